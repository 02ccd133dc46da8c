"""Statuses are written soon when little happens, and less often when much does."""

from __future__ import annotations

import pytest

from grove_operator.engine.keys import GATHER_S
from grove_operator.engine.pace import CALM_RATE, MAX_S, WINDOW_S, HeldStatuses, StatusPace, Wait
from grove_operator.sim.clock import SimClock


def test_a_quiet_operator_writes_at_once_after_the_burst() -> None:
    assert StatusPace(SimClock()).quiet() == Wait(GATHER_S, 3 * GATHER_S)


@pytest.mark.parametrize(("times_calm", "expected"), [(1, GATHER_S), (3, 3 * GATHER_S), (1000, MAX_S)])
def test_the_wait_grows_with_the_rate_up_to_a_bound(times_calm: int, expected: float) -> None:
    pace = StatusPace(SimClock())
    for _ in range(int(times_calm * CALM_RATE * WINDOW_S)):
        pace.wrote()
    assert pace.quiet().same_s == pytest.approx(expected)


async def test_the_wait_is_short_again_when_the_burst_is_over() -> None:
    clock = SimClock()
    pace = StatusPace(clock)
    for _ in range(1000):
        pace.wrote()
    await clock.advance(WINDOW_S + 0.1)
    assert pace.quiet().same_s == GATHER_S


async def test_a_held_status_is_due_once_it_stayed_the_same_and_at_the_latest_after_a_while() -> None:
    clock = SimClock()
    held: HeldStatuses[str] = HeldStatuses(clock)
    wait = Wait(1.0, 3.0)
    assert held.wait_s("a", {"n": 1}, wait) == 1.0
    await clock.advance(0.5)
    assert held.wait_s("a", {"n": 1}, wait) == 0.5
    assert held.wait_s("a", {"n": 2}, wait) == 1.0
    await clock.advance(1.0)
    assert held.wait_s("a", {"n": 2}, wait) == 0.0
    for n in range(3):
        assert held.wait_s("a", {"n": n}, wait) == 1.0
        await clock.advance(1.0)
    assert held.wait_s("a", {"n": 99}, wait) == 0.0


async def test_what_has_started_is_not_held_as_long_as_what_is_starting() -> None:
    clock = SimClock()
    held: HeldStatuses[str] = HeldStatuses(clock)
    assert held.wait_s("a", {"n": 1}, Wait(5.0, 5.0)) == 5.0
    await clock.advance(1.0)
    assert held.wait_s("a", {"n": 2}, Wait(0.25, 0.75)) == 0.0
