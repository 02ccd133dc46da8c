"""The listed scenarios (tests/scenarios/*.yaml) against the whole loop on the simulated API server."""

from __future__ import annotations

import asyncio

import pytest

from grove_operator.api.kinds import POD, POD_GANG
from grove_operator.engine.binder import GangScheduler
from grove_operator.sim.apiserver import SimApi
from grove_operator.sim.clock import SimClock
from tests.scenarios.objects import objects, outcome
from tests.scenarios.outcome import check
from tests.scenarios.reading import Scenario, scenarios

ALL = scenarios()


@pytest.mark.parametrize("scenario", ALL, ids=[s.title for s in ALL])
async def test_the_loop_binds_as_listed_and_then_rests(scenario: Scenario) -> None:
    clock = SimClock()
    api = SimApi(clock)
    api.seed(*objects(scenario))
    task = asyncio.create_task(GangScheduler(api.as_user("scheduler"), clock).run())
    try:
        await clock.settle()
        check(scenario, outcome(scenario, api.objects(POD), api.objects(POD_GANG)))
        written = len(api.writes)
        api.end_watches()
        await clock.advance(3600)
        assert len(api.writes) == written, "zero writes at rest"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
