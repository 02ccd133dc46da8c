"""Bound volumes and required anti-affinity per host, in the loop against the simulated API server."""

from __future__ import annotations

from typing import Any

from grove_operator.api.kinds import PERSISTENT_VOLUME_CLAIM, POD, POD_GANG, Json
from grove_operator.engine.pod_needs import both, selects
from tests.unit.scheduler.test_gang_scheduler import World, node, pod, pod_gang

ZONE_B: Json = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "rack", "operator": "In", "values": ["r2"]}]}]}


def volume(name: str, affinity: Json | None = None) -> Json:
    spec: Json = {"nodeAffinity": {"required": affinity}} if affinity else {}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def claim(name: str, volume: str = "") -> Json:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"volumeName": volume} if volume else {},
        "status": {"phase": "Bound" if volume else "Pending"},
    }


def uses(name: str, claim: str, **spec: Any) -> Json:
    return pod(name, volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": claim}}], **spec)


def apart(name: str, app: str, avoids: str = "", **spec: Any) -> Json:
    """A pod labelled app=`app` that won't share a host with pods labelled app=`avoids`."""
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": avoids}}}
    rule = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    found = pod(name, **({"affinity": rule} if avoids else {}), **spec)
    found["metadata"]["labels"]["app"] = app
    return found


async def test_a_pod_goes_where_its_bound_volume_can_be_used() -> None:
    world = World(
        node("a", 9), node("b", 1, "r2"), volume("v", ZONE_B), claim("c", "v"), uses("p0", "c"), pod_gang(pods=["p0"])
    )
    async with world.running():
        assert world.nodes() == {"p0": "b"}


async def test_an_unbound_claim_is_named_and_its_binding_brings_the_gang_back() -> None:
    world = World(
        node("a", 1), volume("v"), claim("c"), uses("p0", "c"), pod("p1"), node("b", 1), pod_gang(pods=["p0", "p1"])
    )
    async with world.running():
        assert set(world.nodes().values()) == {""}
        assert "volume data (claim c is not bound to a volume)" in world.condition()["message"]
        await world.api.patch(PERSISTENT_VOLUME_CLAIM, "ns", "c", {"spec": {"volumeName": "v"}})
        await world.api.patch(PERSISTENT_VOLUME_CLAIM, "ns", "c", {"status": {"phase": "Bound"}}, subresource="status")
        await world.clock.settle()
        assert set(world.nodes().values()) == {"a", "b"}


async def test_pods_that_avoid_each_other_get_a_host_each() -> None:
    pods = [apart(f"p{i}", "w", "w") for i in range(3)]
    world = World(node("a", 8), node("b", 1), node("c", 1), *pods, pod_gang(pods=["p0", "p1", "p2"]))
    async with world.running():
        assert sorted(world.nodes().values()) == ["a", "b", "c"]


async def test_too_few_hosts_for_pods_that_avoid_each_other_is_a_refusal() -> None:
    pods = [apart(f"p{i}", "w", "w") for i in range(3)]
    world = World(node("a", 8), node("b", 1), *pods, pod_gang(pods=["p0", "p1", "p2"]))
    async with world.running():
        assert set(world.nodes().values()) == {""}
        told = world.condition()["message"]
        assert "takes 2 of 3" in told
        assert "short of 1 hosts without colliding host ports or anti-affinity" in told


async def test_one_sided_avoidance_holds_both_ways_whoever_came_first() -> None:
    first = apart("first", "noisy", on="a", schedulerName="default-scheduler")
    shy = apart("p0", "shy", "noisy")
    world = World(node("a", 9), node("b", 1), first, shy, pod_gang(pods=["p0"]))
    async with world.running():
        assert world.nodes()["p0"] == "b", "the noisy one was seen before anybody avoided it"
        noisy = apart("q0", "noisy")
        noisy["metadata"]["labels"]["grove.io/podgang"] = "web-1"
        await world.api.create(POD, "ns", noisy)
        world.api.seed(pod_gang("web-1", pods=["q0"]))
        await world.clock.settle()
        assert world.nodes()["q0"] == "a", "and no noisy one joins the shy"


async def test_a_strangers_port_is_respected_also_beside_a_pod_that_was_just_placed_there() -> None:
    port = [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]
    stranger = pod("busy", None, on="a", schedulerName="default-scheduler", containers=port)
    pods = [pod("p0", gpus=4), pod("p1", containers=port)]
    world = World(node("a", 4), node("b", 0), stranger, *pods, pod_gang(pods=["p0", "p1"]))
    async with world.running():
        assert world.nodes() == {"busy": "a", "p0": "a", "p1": "b"}


async def test_anti_affinity_over_a_whole_zone_is_refused_by_name() -> None:
    term = {"topologyKey": "topology.kubernetes.io/zone", "labelSelector": {}}
    rule = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    world = World(node("a", 9), pod("p0", affinity=rule), pod_gang(pods=["p0"]))
    async with world.running():
        assert "required podAntiAffinity by topology.kubernetes.io/zone" in world.condition()["message"]
        assert world.api.find(POD_GANG, "ns", "web-0") is not None
        assert world.nodes() == {"p0": ""}


def test_a_label_selector_reads_as_kubernetes_reads_it() -> None:
    rules = [("In", ["x"], True), ("NotIn", ["x"], False), ("Exists", [], True), ("DoesNotExist", [], False)]
    for operator, values, holds in rules:
        selector = {"matchExpressions": [{"key": "app", "operator": operator, "values": values}]}
        assert selects(selector, {"app": "x"}) is holds
        assert selects(selector, {}) is not holds
    assert selects({}, {})
    assert not selects({"matchLabels": {"app": "x"}}, {"app": "y"})


def test_two_affinities_hold_together_and_a_term_that_matches_nothing_stays_one() -> None:
    assert both((("a",), ("b",)), (("c",),)) == (("a", "c"), ("b", "c"))  # type: ignore[arg-type, comparison-overlap]
    assert both(((),), (("c",),)) == ((),)  # type: ignore[arg-type, comparison-overlap]
