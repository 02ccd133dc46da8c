"""Nested scopes, siblings and back-tracking: scenarios 36 to 55."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grove_operator.scheduler.solve import schedule
from tests.unit.scheduler.notation import cluster, gang, nodes_of, placed

TREE = " ".join(f"n{i}:2[z{i // 4},s{i // 2},r{i}]" for i in range(8))
"""2 zones x 2 spines x 2 racks x one node of 2 GPUs: n0..n7."""


def digits(nodes: list[str], per_domain: int) -> set[int]:
    """Which domains of so many consecutive nodes are used."""
    return {int(n.lstrip("n")) // per_domain for n in nodes}


def test_zone_spine_and_rack_nest() -> None:  # 36
    used = TREE.replace("n1:2", "n1:0/2")
    decision = schedule(
        cluster("zone spine rack", used),
        [
            gang(
                "a0:1x2 b0:1x2 a1:1x2 b1:1x2",
                root="R=zone",
                groups={"g0": ("a0 b0", "R=spine"), "g1": ("a1 b1", "R=spine")},
                a0="R=rack",
                b0="R=rack",
                a1="R=rack",
                b1="R=rack",
            )
        ],
    )
    found = placed(decision)
    assert nodes_of(decision) == ["n4", "n5", "n6", "n7"]
    assert digits(found["a0"] + found["b0"], 2) != digits(found["a1"] + found["b1"], 2)


def test_a_preferred_zone_moves_to_where_the_groups_fit() -> None:  # 37, 39
    decision = schedule(
        cluster("zone rack", "a:3[z1,r1] b:4[z1,r2] c:4[z2,r3] d:4[z2,r4]"),
        [gang("A:2x2 B:2x2", root="P=zone", groups={"g0": ("A", "R=rack"), "g1": ("B", "R=rack")})],
    )
    assert nodes_of(decision) == ["c", "c", "d", "d"]


def test_six_pods_fill_one_spine_before_they_open_the_next() -> None:  # 40
    nodes = " ".join(f"n{i}:1[z,s{i // 4},r{i // 2}]" for i in range(8))
    decision = schedule(
        cluster("zone spine rack", nodes),
        [
            gang(
                "a:1x1 b:1x1 c:1x1 d:1x1 e:1x1 f:1x1",
                root="P=spine",
                groups={"g0": ("a b c", ""), "g1": ("d e f", "")},
            )
        ],
    )
    used = nodes_of(decision)
    assert sorted(sum(int(n[1:]) // 4 == s for n in used) for s in (0, 1)) == [2, 4]


def test_every_level_of_a_whole_grove_system_holds() -> None:  # 42
    nodes = " ".join(f"n{i}:2[b{i // 8},r{i // 4}]" for i in range(16))
    podgroups = "p0:2x1 d0:2x1 p1:2x1 d1:2x1"
    found = placed(
        schedule(
            cluster("block rack", nodes),
            [
                gang(
                    podgroups,
                    root="R=block",
                    groups={"g0": ("p0 d0", "R=rack"), "g1": ("p1 d1", "R=rack")},
                    p0="R=host",
                    d0="R=host",
                    p1="R=host",
                    d1="R=host",
                )
            ],
        )
    )
    assert all(len(set(hosts)) == 1 for hosts in found.values())
    assert len(digits(found["p0"] + found["d0"], 4)) == len(digits(found["p1"] + found["d1"], 4)) == 1
    assert len(digits([n for hosts in found.values() for n in hosts], 8)) == 1


def test_a_host_below_a_block_needs_no_level_between() -> None:  # 43
    decision = schedule(cluster("block rack", "a:1[b1,r1] b:2[b1,r1]"), [gang("A:2x1", root="R=block", A="R=host")])
    assert nodes_of(decision) == ["b", "b"]


def test_scaled_gangs_stay_in_the_rack_of_their_base() -> None:  # 48
    nodes = " ".join(f"n{i}:1[r{i // 6}]" for i in range(12)) + " x:5[r9]"
    gangs = [
        gang("w:2x1", name="base", root="R=rack"),
        gang("w:2x1", name="s0", base="base", root="R=rack"),
        gang("w:2x1", name="s1", base="base", root="R=rack"),
    ]
    decision = schedule(cluster("rack", nodes), gangs)
    used = [a.node for a in decision.assignments]
    assert len(used) == 6
    assert len(digits(used, 6)) == 1, "rack r9 is tighter but holds only two of the three gangs"


def test_a_scaled_gang_is_free_of_its_base_where_only_their_groups_are_bound_to_racks() -> None:
    gangs = [
        gang("w:2x1", name="base", w="R=rack"),
        gang("w:2x1", name="s0", base="base", root="R=rack"),
    ]
    decision = schedule(cluster("rack", "a:2[r1] b:2[r2]"), gangs)
    assert len(set(nodes_of(decision, "base"))) == 1
    assert len(set(nodes_of(decision, "s0"))) == 1
    assert set(nodes_of(decision, "base")) != set(nodes_of(decision, "s0"))


def test_ten_replicas_in_eleven_gangs_share_the_block_that_holds_them_all() -> None:  # 45, 49
    nodes = " ".join(f"n{i:02}:2[b0]" for i in range(18)) + " " + " ".join(f"m{i}:2[b1]" for i in range(8))
    names = [f"w{i}" for i in range(3)]
    base = gang(" ".join(f"{n}:2x1" for n in names), name="base", root="R=block", w0="R=host", w1="R=host", w2="R=host")
    scaled = [gang("w:2x1", name=f"s{i}", base="base", root="R=host", gated="w") for i in range(7)]
    first = schedule(cluster("block", nodes), [base, *scaled])
    assert {a.node[0] for a in first.assignments} == {"n"}, "block b1 is tighter but too small for the siblings"
    hosts = {n: nodes_of(first, "base")[2 * i] for i, n in enumerate(names)}
    bound = gang(
        " ".join(f"{n}:2x1" for n in names),
        name="base",
        root="R=block",
        on={n: f"{h} {h}" for n, h in hosts.items()},
    )
    ungated = [gang("w:2x1", name=f"s{i}", base="base", root="R=host") for i in range(7)]
    taken = cluster(
        "block", " ".join(t.replace(":2[", ":0/2[") if t[:3] in hosts.values() else t for t in nodes.split())
    )
    second = schedule(taken, [bound, *ungated])
    assert len(second.assignments) == 14
    assert {a.node[0] for a in second.assignments} == {"n"}


def test_replicas_of_a_podcliqueset_are_free_of_each_other() -> None:  # 46
    gangs = [gang("A:2x1", name=f"web-{i}", root="R=block") for i in range(2)]
    decision = schedule(cluster("block rack", "a:2[b1,r1] b:2[b2,r2]"), gangs)
    assert nodes_of(decision, "web-0") == ["a", "a"]
    assert nodes_of(decision, "web-1") == ["b", "b"]


def test_mixed_sizes_fit_where_the_largest_alone_would_not_twice() -> None:  # 51
    decision = schedule(cluster("rack", "a:8[r1] b:1/8[r1]"), [gang("leader:1x1 worker:1x8", root="R=rack")])
    assert placed(decision) == {"leader": ["b"], "worker": ["a"]}


def test_sixteen_free_devices_are_not_enough_when_they_are_scattered() -> None:  # 52
    decision = schedule(
        cluster("rack", "a:4[r1] b:4[r1] c:4[r1] d:4[r1] e:8[r2] f:7[r2] g:1[r2] h:0/8[r2]"),
        [gang("A:2x4 B:1x8", root="R=rack")],
    )
    assert not decision.assignments
    assert decision.refusals[0].proven


@pytest.mark.parametrize("order", ["A:2x4 B:1x8 C:1x4", "C:1x4 A:2x4 B:1x8", "C:1x4 B:1x8 A:2x4"])
def test_a_sibling_moves_on_when_its_choice_would_starve_another(order: str) -> None:  # 54
    snapshot = cluster("block rack", "x0:4[b,x] x1:4[b,x] y:8[b,y] z:4[b,z]")
    found = placed(schedule(snapshot, [gang(order, root="R=block", A="R=rack", B="R=rack", C="R=rack")]))
    assert found == {"A": ["x0", "x1"], "B": ["y"], "C": ["z"]}


def test_scope_trees_may_have_unequal_depth() -> None:  # 55
    decision = schedule(cluster("rack", "a:8[r1]"), [gang("a:2x1 b:2x1 c:1x4", groups={"ab": ("a b", "R=rack")})])
    assert nodes_of(decision) == ["a"] * 5


def test_parts_that_fit_alone_but_not_together_are_told_so() -> None:
    snapshot = cluster("block rack", "a:2[b1,r1] b:2[b1,r2]")
    gangs = [gang("A:2x1 B:2x1 C:2x1", root="R=block", A="R=rack", B="R=rack", C="R=rack")]
    (refusal,) = schedule(snapshot, gangs).refusals
    assert (refusal.scope, refusal.level) == ("podgang g", "block")
    assert refusal.short > 0
    roomy = replace(snapshot, nodes=cluster("block rack", "a:3[b1,r1] b:3[b1,r2]").nodes)
    (refusal,) = schedule(roomy, gangs).refusals
    assert "one block" in refusal.message or "together" in refusal.message
