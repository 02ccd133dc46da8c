"""What is said of a gang that finds no place."""

from __future__ import annotations

from grove_operator.api.kinds import POD, POD_CLIQUE, SCALING_GROUP, Json
from tests.sim.shapes import clique, group, podcliqueset
from tests.sim.world import world


def refusal(pod: Json) -> Json:
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}
    return {"metadata": {"uid": pod["metadata"]["uid"]}, "status": {"conditions": [said]}}


async def test_a_status_waits_no_longer_once_the_scheduler_has_said_that_there_is_no_place() -> None:
    async with world() as w:
        await w.stop_scheduler()
        await w.apply(podcliqueset([clique("a", 2)], [group("g", ["a"], 1)]))
        await w.clock.advance(0.5)
        for pod in w.api.objects(POD):
            await w.api.patch(POD, "ml", pod["metadata"]["name"], refusal(pod), subresource="status")
        await w.clock.advance(1.0)
        for kind in (POD_CLIQUE, SCALING_GROUP):
            (obj,) = w.api.objects(kind)
            assert obj["status"]["observedGeneration"] == 1, kind.kind
        before = w.writes_of("operator")
        await w.clock.advance(30.0)
        assert w.writes_of("operator") == before
