"""Those listed scenarios that tell most about the loop, on a real API server with the scheduler in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from grove_operator.api.kinds import EVENT, POD, POD_GANG
from grove_operator.kube.client import HttpKubeApi
from tests.scenarios.objects import objects, outcome
from tests.scenarios.outcome import check
from tests.scenarios.reading import Scenario, scenarios
from tests.support.placing import EVERYTHING, Plane, placing_plane, put, scheduling, until, wipe

pytestmark = pytest.mark.needs_tools
CHOSEN = [s for s in scenarios() if s.data.get("on a server")]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with placing_plane(tmp_path_factory.mktemp("scenarios")) as made:
        yield made


@pytest.mark.parametrize("scenario", CHOSEN, ids=[s.title for s in CHOSEN])
async def test_a_scenario_ends_as_listed(plane: Plane, scenario: Scenario) -> None:
    async with plane.client() as api:
        await wipe(api, EVERYTHING)
        await put(api, objects(scenario))
        async with scheduling(api):

            async def holds() -> bool:
                try:
                    await _check(api, scenario)
                except (AssertionError, KeyError):
                    return False
                return True

            try:
                await until(holds, "", 30)
            except AssertionError:
                await _check(api, scenario)
                raise
            await asyncio.sleep(0.2)  # nothing more is bound afterwards
            await _check(api, scenario)


async def _check(api: HttpKubeApi, scenario: Scenario) -> None:
    pods, gangs = (await api.list(POD)).items, (await api.list(POD_GANG)).items
    check(scenario, outcome(scenario, pods, gangs))
    refused = [gang for gang, claims in scenario.expect.items() if "pending" in claims]
    events = [e["involvedObject"]["name"] for e in (await api.list(EVENT, namespace="ns")).items]
    for gang in refused:
        waiting = [p for p in pods if p["metadata"]["labels"].get("grove.io/podgang") == gang]
        for pod in waiting:
            if pod["spec"].get("nodeName") or pod["spec"].get("schedulingGates"):
                continue
            (told,) = [c for c in pod["status"]["conditions"] if c["type"] == "PodScheduled"]
            assert (told["status"], told["reason"]) == ("False", "Unschedulable")
            assert pod["metadata"]["name"] in events
