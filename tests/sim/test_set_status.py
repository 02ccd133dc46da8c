"""What a PodCliqueSet says about itself, from the first second to the worst."""

from __future__ import annotations

from typing import Any

from grove_operator.api import conditions
from grove_operator.api.kinds import POD, POD_CLIQUE, POD_CLIQUE_SET, POD_GANG, SCALING_GROUP, Json
from grove_operator.engine.ports import Invalid, Overloaded
from grove_operator.sim.apiserver import Request
from tests.sim.shapes import clique, group, podcliqueset
from tests.sim.world import World, world


def the_set(w: World) -> Json:
    return w.api.objects(POD_CLIQUE_SET)[0]


def verdict(w: World) -> dict[str, tuple[str, str]]:
    """(status, reason) of Available, Progressing and Degraded."""
    found = {kind: conditions.find(the_set(w), kind) for kind in ("Available", "Progressing", "Degraded")}
    return {kind: (c["status"], c["reason"]) for kind, c in found.items() if c}


def nothing_is_bound(request: Request) -> None:
    if request.subresource == "binding":
        raise Overloaded("no room")


WELL = {
    "Available": ("True", "AllReplicasAvailable"),
    "Progressing": ("False", "AllReplicasCurrent"),
    "Degraded": ("False", "AsExpected"),
}


async def test_a_set_is_on_its_way_then_available_and_each_verdict_names_its_generation() -> None:
    async with world() as w:
        w.api.before_request(nothing_is_bound)
        await w.apply(podcliqueset([clique("a", 2)], replicas=2))
        await w.rest(60)
        assert verdict(w) == {
            "Available": ("False", "ReplicasUnavailable"),
            "Progressing": ("True", "ReplicasProgressing"),
            "Degraded": ("False", "AsExpected"),
        }
        w.api.before_request(None)
        await w.restart_scheduler()
        await w.rest(60)
        assert verdict(w) == WELL
        live = the_set(w)
        generations = {c["observedGeneration"] for c in live["status"]["conditions"]}
        assert generations == {live["metadata"]["generation"]} == {live["status"]["observedGeneration"]}
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"spec": {"replicas": 3}})
        await w.rest(60)
        live = the_set(w)
        assert {c["observedGeneration"] for c in live["status"]["conditions"]} == {2}
        assert verdict(w) == WELL


async def test_a_set_that_gets_no_place_is_stuck_after_the_deadline_and_recovers_without_help() -> None:
    async with world() as w:
        w.api.before_request(nothing_is_bound)
        await w.apply(podcliqueset([clique("a", 2)]))
        await w.rest(590)
        assert verdict(w)["Progressing"] == ("True", "ReplicasProgressing")
        await w.rest(20)
        assert verdict(w)["Progressing"] == ("False", "ProgressDeadlineExceeded")
        assert verdict(w)["Degraded"] == ("True", "ProgressDeadlineExceeded")
        writes = w.writes_of("operator")
        await w.rest(3600)
        assert w.writes_of("operator") == writes
        w.api.before_request(None)
        await w.restart_scheduler()
        await w.rest(60)
        assert verdict(w) == WELL


async def test_the_deadline_runs_anew_from_whatever_moves() -> None:
    async with world() as w:

        def one_replica_in_five_minutes(request: Request) -> None:
            if request.subresource == "binding" and int(request.name.split("-")[1]) > w.clock.monotonic() // 300:
                raise Overloaded("no room yet")

        w.api.before_request(one_replica_in_five_minutes)
        await w.apply(podcliqueset([clique("a", 1)], replicas=4))
        seen = set()
        for _ in range(5):
            await w.restart_scheduler()
            await w.rest(290)
            seen.add(verdict(w)["Progressing"])
        assert seen == {("True", "ReplicasProgressing"), ("False", "AllReplicasCurrent")}
        assert verdict(w) == WELL


async def test_a_replica_that_loses_what_it_had_is_degraded_and_one_that_never_started_is_not() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 2)]))
        await w.rest()
        w.api.before_request(nothing_is_bound)
        await w.api.delete(POD, "ml", w.names(POD)[0])
        await w.rest()
        assert verdict(w)["Available"] == ("False", "ReplicasUnavailable")
        assert verdict(w)["Degraded"] == ("True", "MinAvailableBreached")
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"spec": {"replicas": 2}})
        await w.rest()
        degraded = conditions.find(the_set(w), "Degraded") or {}
        assert "web-0-a" in degraded["message"]
        assert "web-1-a" not in degraded["message"]


async def test_a_refused_write_degrades_the_set_until_it_is_taken_and_then_no_error_is_left() -> None:
    async with world() as w:

        def no_service(request: Request) -> None:
            if request.verb == "create" and request.kind == "Service":
                raise Invalid("quota exceeded: services")

        w.api.before_request(no_service)
        await w.apply(podcliqueset([clique("a", 1)]))
        await w.rest()
        status = the_set(w)["status"]
        assert verdict(w)["Degraded"] == ("True", "SyncFailed")
        assert [e["code"] for e in status["lastErrors"]] == ["ERR_CREATE_SERVICE"]
        assert status["observedGeneration"] == 0
        available = conditions.find(the_set(w), "Available") or {}
        assert available["observedGeneration"] == 0  # nobody who waits for this generation believes it
        w.api.before_request(None)
        await w.rest(120)
        assert verdict(w) == WELL
        assert "lastErrors" not in the_set(w)["status"]
        assert the_set(w)["status"]["observedGeneration"] == 1


async def test_conditions_and_phase_that_the_scheduler_wrote_on_a_gang_stay() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 2, 1)]))
        await w.rest()
        theirs: Json = {"type": "Scheduled", "status": "True", "reason": "Scheduled", "message": "", "x": "y"}
        old: list[Any] = w.api.objects(POD_GANG)[0]["status"]["conditions"]
        said: Json = {"status": {"phase": "Running", "placementScore": 0.5, "conditions": [*old, theirs]}}
        await w.api.patch(POD_GANG, "ml", "web-0", said, subresource="status")
        await w.api.patch(POD_CLIQUE, "ml", "web-0-a", {"spec": {"replicas": 3}})
        await w.rest()
        gang = w.api.objects(POD_GANG)[0]
        assert len(gang["spec"]["podgroups"][0]["podReferences"]) == 3
        assert gang["status"] == {"phase": "Running", "placementScore": 0.5, "conditions": [*old, theirs]}


async def test_a_group_replica_below_its_minimum_shows_on_the_set() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("l", 1), clique("w", 2)], [group("g", ["l", "w"], 2, 2)]))
        await w.rest()
        assert verdict(w) == WELL
        w.api.before_request(nothing_is_bound)
        await w.api.delete(POD, "ml", w.pods("web-0-g-1-w")[0]["metadata"]["name"])
        await w.rest()
        breached = conditions.find(w.api.objects(SCALING_GROUP)[0], "MinAvailableBreached") or {}
        assert breached["status"] == "True"
        assert verdict(w)["Available"] == ("False", "ReplicasUnavailable")
        assert verdict(w)["Degraded"] == ("True", "MinAvailableBreached")
