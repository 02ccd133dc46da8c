"""NUMA zones: a required level inside hosts, known from NodeResourceTopology reports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from grove_operator.engine import scheduling_view as view
from grove_operator.engine.pod_needs import PodTrimmer
from grove_operator.engine.scheduling_feed import Feed
from grove_operator.engine.scheduling_zones import trim_report
from grove_operator.scheduler.model import GPU, Decision, Gang, Snapshot, Topology, dump, load
from grove_operator.scheduler.solve import Solver, schedule
from tests.support.placing import gpu_node, gpu_pod
from tests.unit.scheduler.notation import HOST, cluster, gang, placed

NUMA = "example.com/numa"


def zoned(nodes: str, zones: dict[str, tuple[int, ...]], levels: str = "rack") -> Snapshot:
    """Free GPUs per NUMA zone of each node."""
    plain = cluster(levels, nodes)
    reported = tuple(
        replace(n, zones=tuple(((GPU, gpus),) for gpus in zones.get(n.name, ())), zoned=n.used) for n in plain.nodes
    )
    return Snapshot(reported, (Topology("default", plain.topologies[0].keys, NUMA),))


def numa(podgroups: str, **constraints: str) -> Gang:
    return gang(podgroups, **{k: v.replace("numa", NUMA) for k, v in constraints.items()})


ROWS = [
    # case, nodes, zones, gang, expected nodes of A
    ("a whole zone, not two halves", "a:4[r1] b:4[r1]", {"a": (2, 2), "b": (4, 0)}, "A:1x4", "b"),
    ("all pods of the scope in one", "a:8[r1] b:6[r1]", {"a": (4, 4), "b": (0, 6)}, "A:3x2", "b b b"),
    ("no zone is large enough", "a:8[r1]", {"a": (4, 4)}, "A:5x1", ""),
    ("no report, no zone", "a:8[r1]", {}, "A:1x1", ""),
    ("what no zone lists is the host's", "a:4,9000m[r1]", {"a": (4,)}, "A:2x1,4000m", "a a"),
]


@pytest.mark.parametrize(("case", "nodes", "zones", "asked", "expected"), ROWS, ids=[r[0] for r in ROWS])
def test_a_required_zone_holds_the_whole_scope(
    case: str, nodes: str, zones: dict[str, tuple[int, ...]], asked: str, expected: str
) -> None:
    decision = schedule(zoned(nodes, zones), [numa(asked, A="R=numa")])
    assert placed(decision).get("A", []) == expected.split()


def test_each_podgroup_has_a_zone_of_its_own() -> None:
    decision = schedule(zoned("a:8[r1]", {"a": (4, 4)}), [numa("A:2x2 B:1x4", root="R=host", A="R=numa", B="R=numa")])
    assert not decision.assignments, "what was taken since the report counts against every zone"
    decision = schedule(zoned("a:8[r1]", {"a": (4, 4)}), [numa("A:1x4 B:1x4", root="R=host", A="R=numa", B="R=numa")])
    assert placed(decision) == {"A": ["a"], "B": ["a"]}


def test_a_required_rack_still_holds_where_some_hosts_have_none() -> None:
    snapshot = zoned("a:4 b:4[r1] c:4[r1]", {"a": (4,), "b": (2, 2), "c": (4,)})
    decision = schedule(snapshot, [numa("A:1x4 B:1x1", root="R=rack", A="R=numa")])
    assert placed(decision) == {"A": ["c"], "B": ["b"]}


def test_taking_over_a_host_uses_up_its_zones_until_the_next_report() -> None:
    solver = Solver(zoned("a:8[r1]", {"a": (4, 4)}), [numa("A:1x4", name="g1", A="R=numa"), numa("A:1x4", A="R=numa")])
    assert placed(solver.decide(["ns/g1"]), "g1") == {"A": ["a"]}
    assert not solver.decide(["ns/g"]).assignments
    table = solver.cluster.table
    node = table.nodes[0]
    used = (("cpu", 1000), (GPU, 4), ("pods", 1))
    assert solver.cluster.update(replace(node, used=used, zones=(((GPU, 0),), ((GPU, 4),)), zoned=used))
    assert placed(solver.decide(["ns/g"])) == {"A": ["a"]}


@pytest.mark.parametrize(
    ("zones", "said"),
    [
        ({}, "none of the 1 hosts with room has a NodeResourceTopology with zones; have one made for each node"),
        ({"a": (3, 5)}, "the best one, on a, is short of 1 nvidia.com/gpu"),
    ],
)
def test_a_refusal_says_what_the_zones_lack(zones: dict[str, tuple[int, ...]], said: str) -> None:
    (refusal,) = schedule(zoned("a:8[r1]", zones), [numa("A:6x1", A="R=numa")]).refusals
    assert said in refusal.message
    assert (refusal.level, refusal.scope) == (NUMA, "podgroup A")


def test_zones_survive_a_file() -> None:
    snapshot = zoned("a:8[r1]", {"a": (4, 4)})
    assert load(Snapshot, dump(snapshot)) == snapshot


def report(name: str, *gpus: str) -> dict[str, Any]:
    zones = [
        {
            "name": f"node-{i}",
            "type": "Node",
            "resources": [{"name": GPU, "capacity": "4", "allocatable": "4", "available": free}],
        }
        for i, free in enumerate(gpus)
    ]
    return {"metadata": {"name": name, "resourceVersion": "1"}, "topologyPolicies": ["None"], "zones": zones}


def test_a_report_knows_of_the_pods_that_ran_when_it_came() -> None:
    feed, trim = Feed(), PodTrimmer()
    feed.node(
        None, view.trim_node({**gpu_node("a"), "metadata": {**gpu_node("a")["metadata"], "resourceVersion": "1"}})
    )

    def bound(name: str, phase: str) -> None:
        pod = gpu_pod(name, None, 2)
        pod["metadata"] |= {"uid": name, "resourceVersion": "1"}
        feed.usage.observe(None, trim({**pod, "spec": {**pod["spec"], "nodeName": "a"}, "status": {"phase": phase}}))

    bound("runs", "Running")
    bound("starts", "Pending")
    feed.zones(None, trim_report(report("a", "2", "4")))
    feed.refresh(lambda key: None)
    (node,) = feed.solver.cluster.table.nodes
    assert node.zones == (((GPU, 2),), ((GPU, 4),))
    assert dict(node.zoned)[GPU] == 2
    table = feed.solver.cluster.table
    shape = table.unit([(table.shape(trim(gpu_pod_with_uid())["needs"]), 1)], zoned=True)
    assert table.zones_for(0, shape) == 0 + 2  # 4 - 2 that only starts, in pieces of 1; nothing is left in the other


def gpu_pod_with_uid() -> dict[str, Any]:
    pod = gpu_pod("p", None, 1)
    pod["metadata"] |= {"uid": "p", "resourceVersion": "1"}
    return pod


def test_a_level_of_domain_numa_is_no_node_label() -> None:
    levels = [{"domain": "rack", "key": "rack"}, {"domain": "host", "key": HOST}, {"domain": "numa", "key": NUMA}]
    binding = {"metadata": {"name": "default", "resourceVersion": "1"}, "spec": {"levels": levels}}
    assert view.trim_topology(binding)["topology"] == Topology("default", ("rack", HOST), NUMA)


def test_preferring_a_zone_is_preferring_a_host() -> None:
    decision: Decision = schedule(zoned("a:1[r1] b:1[r1] c:2[r1]", {}), [numa("A:2x1", A="P=numa")])
    assert placed(decision) == {"A": ["c", "c"]}
