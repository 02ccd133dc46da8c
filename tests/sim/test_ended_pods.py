"""Pods that end, hang or move on: their places are filled, and nothing is counted that does not work."""

from __future__ import annotations

from itertools import pairwise

from grove_operator.api import conditions
from grove_operator.api.kinds import EVENT, POD, POD_CLIQUE, POD_GANG, Json
from tests.sim.shapes import clique, podcliqueset
from tests.sim.world import World, world


async def end(w: World, pod: Json, reason: str = "Evicted") -> None:
    said: Json = {"phase": "Failed", "reason": reason, "message": "the node was low on memory", "conditions": []}
    await w.api.patch(POD, "ml", pod["metadata"]["name"], {"status": said}, subresource="status")


def indices(w: World) -> list[str]:
    return sorted(p["metadata"]["labels"]["grove.io/podclique-pod-index"] for p in w.api.objects(POD))


async def test_an_evicted_pod_is_replaced_at_once_at_its_index_and_the_clique_says_why() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 3, 2)]))
        await w.rest()
        victim = w.pods("web-0-a")[1]
        await end(w, victim)
        await w.rest(1)
        pods = w.pods("web-0-a")
        assert victim["metadata"]["uid"] not in {p["metadata"]["uid"] for p in pods}
        assert indices(w) == ["0", "1", "2"]
        assert all(conditions.is_true(p, "Ready") for p in pods)
        references = w.api.objects(POD_GANG)[0]["spec"]["podgroups"][0]["podReferences"]
        assert {r["name"] for r in references} == {p["metadata"]["name"] for p in pods}
        told = [e for e in w.api.objects(EVENT) if e["reason"] == "PodEnded"]
        assert len(told) == 1
        assert "Evicted: the node was low on memory" in told[0]["message"]


async def test_an_ended_pod_counts_neither_as_present_nor_as_scheduled() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 2)]))
        await w.rest()
        await w.stop_scheduler()
        await end(w, w.pods("web-0-a")[0])
        await w.rest(20)
        live = w.api.objects(POD_CLIQUE)[0]
        counted = {k: live["status"][k] for k in ("replicas", "readyReplicas", "scheduledReplicas", "updatedReplicas")}
        assert counted == {"replicas": 2, "readyReplicas": 1, "scheduledReplicas": 1, "updatedReplicas": 2}
        breach = conditions.find(live, "MinAvailableBreached") or {}
        assert (breach["status"], breach["reason"]) == ("True", "ScheduledReplicasBelowMinAvailable")


async def test_a_pod_terminating_on_a_dead_node_does_not_delay_its_replacement() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 2)]))
        await w.rest()
        await w.stop_nodes()
        victim = next(p for p in w.pods("web-0-a") if p["spec"]["hostname"] == "web-0-a-0")
        await w.api.delete(POD, "ml", victim["metadata"]["name"])
        await w.rest(1)
        there = {p["metadata"]["uid"]: p for p in w.pods("web-0-a")}
        assert "deletionTimestamp" in there[victim["metadata"]["uid"]]["metadata"]
        assert len(there) == 3
        assert indices(w) == ["0", "0", "1"]
        status = w.api.objects(POD_CLIQUE)[0]["status"]
        assert status["scheduledReplicas"] == 2
        gang = w.api.objects(POD_GANG)[0]["spec"]["podgroups"][0]["podReferences"]
        assert victim["metadata"]["name"] not in {r["name"] for r in gang}


async def test_a_pod_that_ends_again_and_again_is_made_ever_less_often() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 1)]))
        await w.rest(1)
        made: list[float] = []
        for _ in range(5):
            pod = w.pods("web-0-a")[-1]
            await end(w, pod, "OutOfcpu")
            gone = pod["metadata"]["uid"]
            await w.clock.run_until(lambda gone=gone: [p["metadata"]["uid"] for p in w.api.objects(POD)] != [gone])
            await w.rest(0.5)
            made.append(w.clock.monotonic())
        gaps = [round(b - a) for a, b in pairwise(made)]
        assert gaps == [10, 20, 40, 80]
        assert indices(w) == ["0"]
        await w.rest(3600)
        await end(w, w.pods("web-0-a")[0])
        await w.rest(1)
        assert conditions.is_true(w.pods("web-0-a")[0], "Ready")


async def test_a_new_operator_keeps_the_pace_of_replacements() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 1)]))
        await w.rest(1)
        for _ in range(2):
            await end(w, w.pods("web-0-a")[0])
            await w.rest(1)
        ended = w.pods("web-0-a")
        assert [p["status"]["phase"] for p in ended] == ["Failed"]
        await w.stop_operator()
        w.start_operator()
        await w.rest(5)
        assert w.pods("web-0-a") == ended
        await w.rest(10)
        assert [p["status"]["phase"] for p in w.pods("web-0-a")] == ["Running"]


async def test_the_sets_priority_class_is_on_pods_that_name_none() -> None:
    async with world() as w:
        own = clique("own", 1, podSpec={"priorityClassName": "high"})
        await w.apply(podcliqueset([own, clique("plain", 1)], priorityClassName="inference"))
        await w.rest()
        classes = {
            p["metadata"]["labels"]["grove.io/podclique"]: p["spec"]["priorityClassName"] for p in w.api.objects(POD)
        }
        assert classes == {"web-0-own": "high", "web-0-plain": "inference"}
        assert w.api.objects(POD_GANG)[0]["spec"]["priorityClassName"] == "inference"
