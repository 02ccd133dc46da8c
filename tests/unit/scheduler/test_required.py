"""Required levels: scenarios 1 to 19 of the scheduling reference."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grove_operator.scheduler.model import Closest, Topology
from grove_operator.scheduler.solve import schedule
from tests.unit.scheduler.notation import cluster, gang, nodes_of, placed

RACK_ROWS = [
    # scenario, levels, nodes, gang, expected nodes
    ("1 the rack that is whole", "rack", "a:0/1[r1] b:1[r1] c:1[r2] d:1[r2]", ("A:2x1", "R=rack", ""), "c d"),
    ("3 the finer level", "rack spine", "a:1/2[r1,s1] b:2[r1,s2]", ("A:2x1", "", "R=spine"), "b b"),
    ("4 two per node", "rack", "a:1[r1] b:2[r1] c:2[r2] d:2[r2]", ("A:4x1", "R=rack", ""), "c c d d"),
    ("6 three of four", "rack", "a:1[r1] b:2[r1] c:1[r2] d:2[r2]", ("A:4x1", "R=rack", ""), ""),
    ("7 fragmented", "rack", "a:2[r1] b:2[r2] c:2[r3] d:2[r4]", ("A:4x1", "R=rack", ""), ""),
    ("9 cpu counts", "rack", "a:2,5000m[r1] b:2,1000m[r2]", ("A:2x1,2000m", "R=rack", ""), "a a"),
    ("10 full racks", "rack", "a:0/2[r1] b:0/2[r1] c:2[r2]", ("A:2x1", "R=rack", ""), "c c"),
    ("13 one host", "rack", "a:1[r1] b:1[r1] c:2[r2]", ("A:2x1", "", "R=host"), "c c"),
    ("18 no constraint", "", "a:2 b:2", ("A:2x1 B:2x1", "", ""), "a a b b"),
]


@pytest.mark.parametrize(("case", "levels", "nodes", "asked", "expected"), RACK_ROWS, ids=[r[0] for r in RACK_ROWS])
def test_a_required_level_holds_the_whole_scope(
    case: str, levels: str, nodes: str, asked: tuple[str, str, str], expected: str
) -> None:
    podgroups, root, own = asked
    decision = schedule(cluster(levels, nodes), [gang(podgroups, root=root, A=own)])
    assert nodes_of(decision) == expected.split()
    assert bool(decision.refusals) == (not expected)


def test_a_refusal_names_every_rack_with_what_it_takes_and_what_it_lacks() -> None:  # 6, 7
    decision = schedule(cluster("rack", "a:1[r1] b:2[r1] c:1[r2] d:2[r2]"), [gang("A:4x1", root="R=rack")])
    (refusal,) = decision.refusals
    assert refusal.closest == (Closest("r1", 3, 4), Closest("r2", 3, 4))
    assert (refusal.resource, refusal.short, refusal.level, refusal.proven) == ("nvidia.com/gpu", 1, "rack", True)
    assert refusal.message == (
        "podgang g needs 4 pods in one rack: r1 takes 3 of 4, r2 takes 3 of 4; r1 is short of 1 nvidia.com/gpu"
    )


def test_ten_pods_that_no_rack_can_hold_stay_whole() -> None:  # 12
    nodes = " ".join(f"n{i}:1[z{i // 28},b{i // 14},r{i // 7}]" for i in range(30))
    decision = schedule(cluster("zone block rack", nodes), [gang("A:10x1", root="R=rack")])
    assert not decision.assignments
    assert decision.refusals[0].closest[0].fits == 7


def test_each_podgroup_keeps_its_own_required_level() -> None:  # 15
    nodes = " ".join(f"n{i:02}:1[b{i // 8},r{i // 4}]" for i in range(16))
    found = placed(schedule(cluster("block rack", nodes), [gang("W:3x1 B:4x1", W="R=rack", B="R=block")]))
    assert len({int(n[1:]) // 4 for n in found["W"]}) == 1
    assert len({int(n[1:]) // 8 for n in found["B"]}) == 1


def test_a_gang_wide_rack_holds_groups_without_a_level_of_their_own() -> None:  # 16
    decision = schedule(
        cluster("rack", "a:2[r1] b:1[r1] c:2[r2] d:2[r2]"),
        [gang("w0:1x1 w1:1x1 router:2x1", root="R=rack", groups={"sg-0": ("w0", ""), "sg-1": ("w1", "")})],
    )
    assert nodes_of(decision) == ["c", "c", "d", "d"]


def test_an_unknown_level_refuses_only_its_own_gang() -> None:  # 19
    decision = schedule(
        cluster("rack", "a:2[r1]"), [gang("A:1x1", name="bad", root="R=planet"), gang("A:1x1", name="good")]
    )
    assert nodes_of(decision, "good") == ["a"]
    assert [(r.gang, r.reason, r.level) for r in decision.refusals] == [("ns/bad", "UnknownLevel", "planet")]


def test_an_unknown_topology_is_a_configuration_error() -> None:  # 19
    (refusal,) = schedule(cluster("rack", "a:2[r1]"), [gang("A:1x1", topology="fabric")]).refusals
    assert refusal.reason == "UnknownTopology"
    assert "there is no ClusterTopologyBinding fabric (there are: default)" in refusal.message


def test_without_a_binding_a_plain_node_label_still_works_as_a_level() -> None:
    snapshot = replace(cluster("rack", "a:1[r1] b:2[r2]"), topologies=())
    assert nodes_of(schedule(snapshot, [gang("A:2x1", root="R=rack")])) == ["b", "b"]


def test_the_only_topology_serves_gangs_that_name_none() -> None:
    snapshot = replace(cluster("rack", "a:1[r1] b:2[r2]"), topologies=(Topology("fabric", ("rack",)),))
    assert nodes_of(schedule(snapshot, [gang("A:2x1", root="R=rack")])) == ["b", "b"]


def test_the_same_rack_name_in_two_blocks_is_two_racks() -> None:
    snapshot = cluster("block rack", "a:1[b1,r1] b:1[b2,r1]")
    assert not schedule(snapshot, [gang("A:2x1", root="R=rack")]).assignments


def test_nvlink_cliques_that_do_not_nest_in_racks_are_a_topology_of_their_own() -> None:
    clique = "nvidia.com/gpu.clique"
    racks = cluster("rack", "a:4[r1] b:4[r1] c:4[r2] d:4[r2]")
    wired = {"a": "c1", "b": "c2", "c": "c1", "d": "c2"}
    nodes = tuple(replace(n, labels={**n.labels, clique: wired[n.name]}) for n in racks.nodes)
    snapshot = replace(racks, nodes=nodes, topologies=(*racks.topologies, Topology("nvl", (clique,))))
    gangs = [
        gang("A:2x4", name="by-rack", root="R=rack"),
        gang("A:2x2", name="by-clique", topology="nvl", root=f"R={clique}"),
    ]
    alone = schedule(snapshot, gangs[1:])
    assert len({wired[n] for n in nodes_of(alone, "by-clique")}) == 1
    both = schedule(snapshot, gangs)
    assert nodes_of(both, "by-rack") == ["c", "d"] or nodes_of(both, "by-rack") == ["a", "b"]
    assert len({wired[n] for n in nodes_of(both, "by-clique")}) == 1


def test_a_host_without_the_label_of_a_required_rack_is_no_place_for_a_group_that_wishes_for_a_host() -> None:
    snapshot = cluster("block rack", "a:8[,r1] b:4[b1,r1] c:4[b1,r1]")
    asked = gang("A:3x2", groups={"g": ("A", "P=host")}, A="R=rack")
    assert nodes_of(schedule(snapshot, [asked])) == ["b", "b", "c"]


def test_several_podgroups_that_must_share_one_host_do() -> None:
    snapshot = cluster("rack", "a:2[r1] b:4[r1] c:3[r2]")
    together = gang("A:1x1 B:1x2", root="R=host")
    assert nodes_of(schedule(snapshot, [together])) == ["c", "c"]
    grouped = gang("A:1x1 B:1x2 C:1x1", groups={"g": ("A B", "R=host")})
    found = placed(schedule(snapshot, [grouped]))
    assert found["A"] == found["B"]
    (refusal,) = schedule(snapshot, [gang("A:2x2 B:1x1", root="R=host")]).refusals
    assert (refusal.reason, refusal.proven, refusal.short) == ("Insufficient", True, 1)


def test_a_node_without_the_label_is_in_no_rack() -> None:
    snapshot = cluster("rack", "a:4 b:1[r1] c:1[r1]")
    assert nodes_of(schedule(snapshot, [gang("A:2x1", root="R=rack")])) == ["b", "c"]
    assert nodes_of(schedule(snapshot, [gang("A:4x1")])) == ["a"] * 4


def test_two_pods_with_the_same_host_port_never_share_a_node() -> None:
    asked = gang("A:2x1")
    members = tuple(
        replace(m, needs=replace(m.needs, claims=(("0.0.0.0", "TCP", 8080),))) for m in asked.podgroups[0].members
    )
    asked = replace(asked, podgroups=(replace(asked.podgroups[0], members=members),))
    assert nodes_of(schedule(cluster("", "a:8 b:1"), [asked])) == ["a", "b"]
    assert not schedule(cluster("", "a:8"), [asked]).assignments
