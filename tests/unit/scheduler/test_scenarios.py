"""The listed scenarios (tests/scenarios/*.yaml) against the pure function."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from grove_operator.scheduler.solve import schedule
from tests.scenarios.outcome import Outcome, check
from tests.scenarios.reading import Scenario, scenarios

ALL = scenarios()
LISTED = {
    *(1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 18, 19),
    *(21, 22, 24, 25, 27, 28, 30, 31, 33, 34),
    *(36, 37, 39, 40, 42, 43, 45, 46, 48, 49, 51, 52, 54, 55),
    *(57, 58, 60, 61, 63, 64, 66, 67, 70, 72, 73, 75, 76, 78, 79),
    *(81, 82, 84, 87, 88, 91, 93, 94, 121, 123),
}
"""Section 4 of the scheduling reference without preemption, what comes later and what needs the loop."""


@pytest.mark.parametrize("scenario", ALL, ids=[s.title for s in ALL])
def test_the_pure_function_decides_as_listed(scenario: Scenario) -> None:
    seen = scenario.seen_by_the_solver()
    decision = schedule(seen, scenario.gangs, scenario.policy)
    check(scenario, Outcome.of(decision))
    for seed in range(4):
        nodes, gangs = list(seen.nodes), list(scenario.gangs)
        random.Random(seed).shuffle(nodes)
        random.Random(seed).shuffle(gangs)
        assert schedule(replace(seen, nodes=tuple(nodes)), gangs, scenario.policy) == decision


def test_no_listed_scenario_is_missing() -> None:
    assert {s.data["scenario"] for s in ALL} >= LISTED
