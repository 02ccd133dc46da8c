"""Statuses are written soon when little happens, and less often when much does."""

from __future__ import annotations

import pytest

from grove_operator.engine.keys import GATHER_S
from grove_operator.engine.pace import CALM_RATE, MAX_S, WINDOW_S, StatusPace
from grove_operator.sim.clock import SimClock


def test_a_quiet_operator_writes_at_once_after_the_burst() -> None:
    assert StatusPace(SimClock()).gather_s() == GATHER_S


@pytest.mark.parametrize(("times_calm", "expected"), [(1, GATHER_S), (3, 3 * GATHER_S), (1000, MAX_S)])
def test_the_wait_grows_with_the_rate_up_to_a_bound(times_calm: int, expected: float) -> None:
    pace = StatusPace(SimClock())
    for _ in range(int(times_calm * CALM_RATE * WINDOW_S)):
        pace.wrote()
    assert pace.gather_s() == pytest.approx(expected)


async def test_the_wait_is_short_again_when_the_burst_is_over() -> None:
    clock = SimClock()
    pace = StatusPace(clock)
    for _ in range(1000):
        pace.wrote()
    await clock.advance(WINDOW_S + 0.1)
    assert pace.gather_s() == GATHER_S
