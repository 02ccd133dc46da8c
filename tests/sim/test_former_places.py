"""What is replaced goes back to the domain that it had, though its place is still held and there is room elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from grove_operator.api import conditions
from grove_operator.api.kinds import EVENT, NODE, POD, POD_CLIQUE, POD_CLIQUE_SET, POD_GANG, Json
from grove_operator.engine.leaving import LONGEST_S
from grove_operator.engine.vacated import AWAITED_S
from grove_operator.sim.cluster import SimCluster
from grove_operator.sim.kubelets import RACK, Fleet
from tests.sim.shapes import clique, group, podcliqueset

GPU = "nvidia.com/gpu"
ENDS_S = 20.0


def gpus(count: int) -> Json:
    said = {"limits": {GPU: str(count)}, "requests": {GPU: str(count)}}
    return {"containers": [{"name": "main", "image": "x", "resources": said}]}


def in_a_rack(how: str) -> Json:
    return {"topologyName": "default", "pack": {how: "rack"}}


def decode(how: str = "required", replicas: int = 2) -> Json:
    """Two replicas of two hosts' size, each a rack's; the first is the base gang."""
    of_group = group("dec", ["l", "w"], replicas, topologyConstraint=in_a_rack(how))
    return podcliqueset([clique("l", 1, podSpec=gpus(8)), clique("w", 1, podSpec=gpus(8))], [of_group])


@asynccontextmanager
async def cluster(racks: int = 4, ends_s: float = ENDS_S, spread_s: float = 0.0) -> AsyncIterator[SimCluster]:
    """`racks` racks of two hosts with 8 GPUs each; pods take `ends_s` to end, and up to `spread_s` more."""
    it = SimCluster(1, Fleet(blocks=1, racks=racks, hosts=2), end_s=(ends_s, ends_s + spread_s))
    await it.start()
    try:
        yield it
    finally:
        await it.stop()


async def apply(it: SimCluster, pcs: Json) -> None:
    await it.api.create(POD_CLIQUE_SET, "ml", pcs)
    await it.clock.advance(60)


async def apply_rival(it: SimCluster, pcs: Json) -> None:
    """Another set, which finds no room."""
    await apply(it, {**pcs, "metadata": {**pcs["metadata"], "name": "rival"}})


async def change(it: SimCluster, *names: str) -> None:
    """Another image for the named cliques."""
    (web,) = (pcs for pcs in it.api.objects(POD_CLIQUE_SET) if pcs["metadata"]["name"] == "web")
    cliques = web["spec"]["template"]["cliques"]
    for entry in cliques:
        if entry["name"] in names:
            entry["spec"]["podSpec"]["containers"][0]["image"] = "y"
    await it.api.patch(POD_CLIQUE_SET, "ml", "web", {"spec": {"template": {"cliques": cliques}}})


def active(it: SimCluster) -> list[Json]:
    return [p for p in it.api.objects(POD) if "deletionTimestamp" not in p["metadata"]]


def racks(it: SimCluster) -> dict[str, set[str]]:
    """Racks of the active pods by PodClique."""
    rack_of = {n["metadata"]["name"]: n["metadata"]["labels"][RACK] for n in it.api.objects(NODE)}
    found: dict[str, set[str]] = {}
    for pod in active(it):
        if node := pod["spec"].get("nodeName"):
            found.setdefault(pod["metadata"]["labels"]["grove.io/podclique"], set()).add(rack_of[node])
    return found


def uids(it: SimCluster) -> set[str]:
    return {p["metadata"]["uid"] for p in active(it)}


async def updated(it: SimCluster) -> float:
    """Until every active pod runs the new image, Ready; how long that took."""

    def is_new(pod: Json) -> bool:
        return bool(pod["spec"]["containers"][0]["image"] == "y") and conditions.is_true(pod, "Ready")

    began = it.clock.monotonic()
    await it.clock.run_until(lambda: all(map(is_new, of_web(active(it)))))
    return it.clock.monotonic() - began


def of_web(pods: list[Json]) -> list[Json]:
    return [p for p in pods if p["metadata"]["labels"]["app.kubernetes.io/part-of"] == "web"]


def events(it: SimCluster, reason: str) -> list[str]:
    return [e["message"] for e in it.api.objects(EVENT) if e["reason"] == reason]


@pytest.mark.parametrize("how", ["required", "preferred"])
async def test_group_replicas_go_back_to_their_racks_in_an_update(how: str) -> None:
    async with cluster() as it:
        await apply(it, decode(how))
        before, old = racks(it), uids(it)
        assert all(len(found) == 1 for found in before.values())
        await change(it, "l", "w")
        await updated(it)
        assert not old & uids(it)
        assert racks(it) == before
        (first, *_) = events(it, "ReturnsToItsPlace")
        assert "waits until 2 of its former pods are gone from node-0-" in first


async def test_the_gang_names_itself_as_the_one_whose_place_it_takes_over() -> None:
    async with cluster() as it:
        await apply(it, decode())
        assert not any("reuseReservationRef" in g["spec"] for g in it.api.objects(POD_GANG))
        nodes = {p["metadata"]["labels"]["grove.io/podclique"]: p["spec"]["nodeName"] for p in active(it)}
        await change(it, "l", "w")
        await updated(it)
        for gang in it.api.objects(POD_GANG):
            assert gang["spec"]["reuseReservationRef"] == {"namespace": "ml", "name": gang["metadata"]["name"]}
        for pod in active(it):
            former = pod["metadata"]["annotations"]["grove.io/former-node"]
            assert former == nodes[pod["metadata"]["labels"]["grove.io/podclique"]]


async def test_a_gang_that_waits_for_room_does_not_get_the_place_of_one_that_is_updated() -> None:
    async with cluster(racks=2) as it:
        await apply(it, decode())
        before = racks(it)
        await apply_rival(it, decode(replicas=1))
        await change(it, "l", "w")
        await updated(it)
        assert racks(it) == before
        await it.api.patch(POD_CLIQUE_SET, "ml", "web", {"spec": {"replicas": 0}})
        await it.clock.advance(60)
        assert len(racks(it)["rival-0-dec-0-l"]) == 1


@pytest.mark.parametrize("ends_s", [0.0, 0.3, ENDS_S])
@pytest.mark.parametrize("least", [1, 2])
@pytest.mark.parametrize("how", ["required", None])
async def test_pod_by_pod_an_update_keeps_its_places_from_one_that_waits(
    how: str | None, least: int, ends_s: float
) -> None:
    """Also what it has beyond its minima, also where it asks for no level, also where pods are gone at once."""
    async with cluster(racks=2, ends_s=ends_s) as it:
        cliques = [clique(name, 2, least, podSpec=gpus(8)) for name in ("l", "w")]
        of_rack = {"topologyConstraint": in_a_rack(how)} if how else {}
        await apply(it, podcliqueset([c | of_rack for c in cliques]))
        before = racks(it)
        await apply_rival(it, podcliqueset([clique("a", 1, podSpec=gpus(8))]))
        await change(it, "l", "w")
        await updated(it)
        assert racks(it) == before


async def test_a_place_is_kept_for_seconds_only_when_nobody_follows() -> None:
    async with cluster(racks=1, ends_s=0.0) as it:
        await apply(it, podcliqueset([clique("a", 2, 1, podSpec=gpus(8))]))
        await apply_rival(it, podcliqueset([clique("a", 1, podSpec=gpus(8))]))
        await it.api.patch(POD_CLIQUE, "ml", "web-0-a", {"spec": {"replicas": 1}})
        began = it.clock.monotonic()
        await it.clock.run_until(lambda: "rival-0-a" in racks(it))
        assert it.clock.monotonic() - began < AWAITED_S + 2


async def test_a_set_that_is_deleted_leaves_its_room_at_once() -> None:
    async with cluster(racks=1, ends_s=0.0) as it:
        await apply(it, podcliqueset([clique("a", 2, 1, podSpec=gpus(8))]))
        await apply_rival(it, podcliqueset([clique("a", 1, podSpec=gpus(8))]))
        began = it.clock.monotonic()
        await it.api.delete(POD_CLIQUE_SET, "ml", "web")
        await it.clock.run_until(lambda: "rival-0-a" in racks(it))
        assert it.clock.monotonic() - began < AWAITED_S


async def test_room_that_comes_free_in_part_is_kept_until_all_of_the_gang_can_go_back() -> None:
    async with cluster(racks=2, spread_s=60.0) as it:
        await apply(it, decode())
        before = racks(it)
        await apply_rival(it, podcliqueset([clique("a", 1, podSpec=gpus(8))]))
        await change(it, "l", "w")
        await updated(it)
        assert racks(it) == before


async def test_a_pod_of_a_clique_that_prefers_a_rack_stays_there_though_it_must_wait() -> None:
    async with cluster() as it:
        front = clique("a", 4, 1, podSpec=gpus(4)) | {"topologyConstraint": in_a_rack("preferred")}
        await apply(it, podcliqueset([front]))
        before = racks(it)
        assert len(before["web-0-a"]) == 1
        await change(it, "a")
        await updated(it)
        assert racks(it) == before


async def test_without_a_level_nothing_waits() -> None:
    async with cluster() as it:
        await apply(it, podcliqueset([clique("a", 2, 2, podSpec=gpus(8))]))
        await change(it, "a")
        assert await updated(it) < ENDS_S
        assert not events(it, "ReturnsToItsPlace")


async def test_after_two_minutes_it_goes_where_there_is_room() -> None:
    async with cluster(ends_s=3600.0) as it:
        await apply(it, decode(replicas=1))
        before = racks(it)
        await change(it, "l", "w")
        assert LONGEST_S <= await updated(it) < LONGEST_S + 10
        assert not racks(it)["web-0-dec-0-l"] & before["web-0-dec-0-l"]


async def test_what_its_node_threw_out_may_go_anywhere() -> None:
    async with cluster() as it:
        await apply(it, podcliqueset([clique("a", 1, podSpec=gpus(8))]))
        (pod,) = active(it)
        await it.kubelets.evict(pod)
        await it.clock.advance(30)
        (successor,) = [p for p in active(it) if p["metadata"]["uid"] != pod["metadata"]["uid"]]
        assert "grove.io/former-node" not in (successor["metadata"].get("annotations") or {})


@pytest.mark.parametrize("dies", ["operator", "scheduler"])
async def test_it_goes_back_though_a_process_dies_meanwhile(dies: str) -> None:
    async with cluster() as it:
        await apply(it, decode())
        before = racks(it)
        await change(it, "l", "w")
        for _ in range(12):
            await it.clock.advance(5)
            it.kill(dies)
            await it.clock.advance(1)
            it.start_process(dies)
        await updated(it)
        assert racks(it) == before
