"""Gang termination in virtual time (grove-behaviour 6.6): who is recycled, when, and who keeps running."""

from __future__ import annotations

from datetime import datetime

from grove_operator.api import conditions
from grove_operator.api.kinds import EVENT, HPA, POD, POD_CLIQUE, POD_CLIQUE_SET, POD_GANG, SCALING_GROUP, Json
from grove_operator.sim.apiserver import Request
from tests.sim.shapes import clique, group, podcliqueset
from tests.sim.world import World, world

DELAY_S = 60.0


def workload(cliques: list[Json], groups: list[Json] | None = None, *, replicas: int = 1) -> Json:
    return podcliqueset(cliques, groups, replicas=replicas, terminationDelay="60s")


def uids_by_clique(w: World) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for pod in w.api.objects(POD):
        found.setdefault(pod["metadata"]["labels"]["grove.io/podclique"], set()).add(pod["metadata"]["uid"])
    return found


async def lose(w: World, clique_name: str, count: int = 1) -> None:
    """Pods go and, with the scheduler stopped, their successors find no place."""
    for pod in w.pods(clique_name)[:count]:
        await w.api.delete(POD, "ml", pod["metadata"]["name"], grace_s=0)


async def after_the_delay(w: World) -> None:
    await w.rest(DELAY_S + 5)


def kept(before: dict[str, set[str]], after: dict[str, set[str]]) -> dict[str, int]:
    """How many pods of each clique are the same as before."""
    return {name: len(pods & after.get(name, set())) for name, pods in before.items()}


async def running(w: World, obj: Json) -> dict[str, set[str]]:
    await w.apply(obj)
    await w.rest()
    assert all(conditions.is_true(pod, "Ready") for pod in w.api.objects(POD))
    before = uids_by_clique(w)
    await w.stop_scheduler()
    return before


async def test_a_clique_below_its_minimum_for_the_whole_delay_takes_its_replica_with_it_and_no_other() -> None:
    async with world() as w:
        obj = workload([clique("a", 2, 2), clique("b", 3, 1)], replicas=2)
        before = await running(w, obj)
        lost_at = w.clock.now()
        await lose(w, "web-0-a")
        await w.rest(DELAY_S - 5)
        assert kept(before, uids_by_clique(w)) == {"web-0-a": 1, "web-0-b": 3, "web-1-a": 2, "web-1-b": 3}
        await w.clock.run_until(lambda: kept(before, uids_by_clique(w))["web-0-b"] == 0, 15)
        assert DELAY_S - 1 <= (w.clock.now() - lost_at).total_seconds() < DELAY_S + 5
        await w.rest()
        assert kept(before, uids_by_clique(w)) == {"web-0-a": 0, "web-0-b": 0, "web-1-a": 2, "web-1-b": 3}
        assert {k: len(v) for k, v in uids_by_clique(w).items()} == {k: len(v) for k, v in before.items()}


async def test_a_group_at_full_minimum_takes_the_whole_replica_with_it() -> None:
    async with world() as w:
        obj = workload([clique("fe", 1, 1), clique("w", 3, 3)], [group("g", ["w"], 2, 2)])
        before = await running(w, obj)
        await lose(w, "web-0-g-1-w")
        await after_the_delay(w)
        assert set(kept(before, uids_by_clique(w)).values()) == {0}


async def test_a_clique_with_pods_to_spare_is_not_recycled_until_the_last_of_its_minimum_is_lost() -> None:
    async with world() as w:
        before = await running(w, workload([clique("a", 2, 1), clique("b", 1, 1)]))
        await lose(w, "web-0-a")
        await after_the_delay(w)
        assert kept(before, uids_by_clique(w)) == {"web-0-a": 1, "web-0-b": 1}
        survivor = next(p for p in w.pods("web-0-a") if p["metadata"]["uid"] in before["web-0-a"])
        await w.api.delete(POD, "ml", survivor["metadata"]["name"], grace_s=0)
        await after_the_delay(w)
        assert kept(before, uids_by_clique(w)) == {"web-0-a": 0, "web-0-b": 0}


async def test_one_breached_group_replica_of_which_enough_are_left_is_recycled_alone_with_all_its_cliques() -> None:
    async with world() as w:
        obj = workload([clique("fe", 1), clique("l", 1), clique("w", 2, 2)], [group("g", ["l", "w"], 2, 1)])
        before = await running(w, obj)
        await lose(w, "web-0-g-0-w")
        await after_the_delay(w)
        assert kept(before, uids_by_clique(w)) == {
            "web-0-fe": 1,
            "web-0-g-0-l": 0,
            "web-0-g-0-w": 0,
            "web-0-g-1-l": 1,
            "web-0-g-1-w": 2,
        }


async def test_when_both_group_replicas_are_breached_the_whole_replica_goes_and_the_group_says_so() -> None:
    async with world() as w:
        obj = workload([clique("fe", 1), clique("w", 2, 2)], [group("g", ["w"], 2, 1)])
        before = await running(w, obj)
        await lose(w, "web-0-g-0-w")
        await lose(w, "web-0-g-1-w")
        await after_the_delay(w)
        assert set(kept(before, uids_by_clique(w)).values()) == {0}
        live = w.api.objects(SCALING_GROUP)[0]
        assert conditions.is_true(live, "GangTerminationInProgress")
        await w.restart_after_loss()
        live = w.api.objects(SCALING_GROUP)[0]
        assert conditions.find(live, "GangTerminationInProgress") is None
        assert all(conditions.is_true(pod, "Ready") for pod in w.api.objects(POD))


async def test_a_gang_that_was_recycled_and_finds_no_place_is_not_recycled_again() -> None:
    async with world() as w:
        obj = workload([clique("fe", 1), clique("w", 2, 2)], [group("g", ["w"], 1, 1)])
        await running(w, obj)
        await lose(w, "web-0-g-0-w")
        await after_the_delay(w)
        recycled, writes = uids_by_clique(w), w.writes_of("operator")
        await w.rest(3600)
        assert uids_by_clique(w) == recycled
        assert w.writes_of("operator") - writes <= 4, "only statuses and conditions of the set change"


async def test_a_workload_that_never_fitted_waits_and_is_never_recycled() -> None:
    async with world() as w:
        await w.stop_scheduler()
        await w.apply(workload([clique("fe", 1), clique("w", 2, 2)], [group("g", ["w"], 2, 1)]))
        await w.rest()
        before = uids_by_clique(w)
        await w.rest(3600)
        assert uids_by_clique(w) == before


async def test_gangs_services_and_group_sizes_survive_and_an_autoscaled_size_comes_back() -> None:
    async with world() as w:
        frontend = clique("fe", 1, 1, autoScalingConfig={"maxReplicas": 5})
        await w.apply(workload([frontend, clique("w", 2, 2)], [group("g", ["w"], 1, 1)]))
        await w.rest()
        await w.api.patch(SCALING_GROUP, "ml", "web-0-g", {"spec": {"replicas": 3}})
        await w.api.patch(POD_CLIQUE, "ml", "web-0-fe", {"spec": {"replicas": 4}})
        await w.api.patch(HPA, "ml", "web-0-fe", {"status": {"desiredReplicas": 4}}, subresource="status")
        await w.rest()
        survivors = {o["metadata"]["uid"] for kind in (POD_GANG, SCALING_GROUP, HPA) for o in w.api.objects(kind)}
        await w.stop_scheduler()
        await lose(w, "web-0-fe", 4)
        await after_the_delay(w)
        assert survivors == {
            o["metadata"]["uid"] for kind in (POD_GANG, SCALING_GROUP, HPA) for o in w.api.objects(kind)
        }
        assert (w.api.find(SCALING_GROUP, "ml", "web-0-g") or {})["spec"]["replicas"] == 3
        assert (w.api.find(POD_CLIQUE, "ml", "web-0-fe") or {})["spec"]["replicas"] == 4
        reasons = {event["reason"] for event in w.api.objects(EVENT)}
        assert {"PodCliqueSetReplicaDeleteSuccessful", "AllScheduledReplicasLost"} <= reasons


async def test_recovery_within_the_delay_ends_the_breach_and_a_later_one_has_its_whole_delay() -> None:
    async with world() as w:
        before = await running(w, workload([clique("a", 2, 2), clique("b", 1)]))
        await lose(w, "web-0-a")
        await w.rest(DELAY_S - 10)
        await w.restart_after_loss()
        await w.stop_scheduler()
        await lose(w, "web-0-a")
        await w.rest(DELAY_S - 10)
        assert kept(before, uids_by_clique(w))["web-0-b"] == 1
        await w.rest(20)
        assert kept(before, uids_by_clique(w))["web-0-b"] == 0


async def test_an_operator_that_dies_at_any_write_of_a_recycle_leaves_no_half_of_it() -> None:
    obj = workload([clique("fe", 1), clique("l", 1), clique("w", 2, 2)], [group("g", ["l", "w"], 2, 2)])
    for boundary in range(12):
        async with world() as w:
            before = await running(w, obj)
            await lose(w, "web-0-fe")
            await w.rest(DELAY_S - 5)
            seen = 0

            def crash(request: Request, w: World = w, boundary: int = boundary) -> None:
                nonlocal seen
                if request.user == "operator" and request.is_write and request.kind != EVENT.kind:
                    seen += 1
                    if seen > boundary:
                        w.api.before_request(None)
                        w.kill_operator()

            w.api.before_request(crash)
            await w.rest(10)
            w.start_operator()
            await w.rest(20)
            assert set(kept(before, uids_by_clique(w)).values()) == {0}, f"after a crash at write {boundary}"
            assert conditions.is_true(w.api.objects(SCALING_GROUP)[0], "GangTerminationInProgress"), boundary
            recycled = uids_by_clique(w)
            await w.rest(DELAY_S * 3)
            assert uids_by_clique(w) == recycled, f"recycled again after a crash at write {boundary}"


async def test_the_set_is_available_again_when_places_are_found() -> None:
    async with world() as w:
        await running(w, workload([clique("a", 2, 2)]))
        await lose(w, "web-0-a")
        await after_the_delay(w)
        await w.restart_after_loss()
        pcs = w.api.objects(POD_CLIQUE_SET)[0]
        assert pcs["status"]["availableReplicas"] == 1
        since = datetime.fromisoformat((conditions.find(pcs, "Available") or {})["lastTransitionTime"])
        assert since <= w.clock.now()
