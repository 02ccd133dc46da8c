"""Preferred levels: scenarios 21 to 34, and counting identical pods (81, 82, 93)."""

from __future__ import annotations

from itertools import permutations

import pytest

from grove_operator.scheduler.model import Snapshot
from grove_operator.scheduler.solve import schedule
from tests.unit.scheduler.notation import cluster, gang, nodes_of, placed, score_of

ROWS = [
    ("21 kept where it can be", "rack", "a:1[r1] b:2[r2]", ("A:2x1", "P=rack"), "b b"),
    ("22 else anywhere", "rack", "a:1[r1] b:1[r2]", ("A:2x1", "P=rack"), "a b"),
    (
        "25 the tighter zone, the fuller rack first",
        "zone rack",
        "a:2[A,r1] b:1[A,r2] c:1[A,r3] d:1[A,r4] e:2[B,r5] f:2[B,r6] g:2[B,r7]",
        ("A:3x1", "R=zone P=rack"),
        "a a b",
    ),
    (
        "27 hosts don't matter when they can't",
        "rack",
        "a:1[r1] b:0/1[r1] c:1[r2] d:1[r2]",
        ("A:2x1", "R=rack P=host"),
        "c d",
    ),
    (
        "31 the fuller spine",
        "spine rack",
        "a:1[s1,r1] b:1[s1,r2] c:1[s1,r3] d:1[s2,r4] e:1[s2,r4]",
        ("A:1x1", "P=rack"),
        "d",
    ),
    ("33 the fuller rack", "rack", "a:10[r1] b:9/10[r2]", ("A:1x1", "R=rack"), "b"),
    (
        "81 racks before nodes",
        "block rack",
        "a:2[b1,r1] b:2[b1,r2] c:1[b1,r3] d:1[b1,r3] e:1[b1,r3] f:1[b1,r3]",
        ("A:4x1", "R=block"),
        "c d e f",
    ),
    ("82 the node that takes all", "rack", "a:2[r1] b:1[r1] c:1[r1]", ("A:2x1", "R=rack"), "a a"),
]


@pytest.mark.parametrize(("case", "levels", "nodes", "asked", "expected"), ROWS, ids=[r[0] for r in ROWS])
def test_a_preferred_level_is_best_effort(
    case: str, levels: str, nodes: str, asked: tuple[str, str], expected: str
) -> None:
    decision = schedule(cluster(levels, nodes), [gang(asked[0], root=asked[1])])
    assert nodes_of(decision) == expected.split()


def test_three_pods_use_two_spines_and_never_three() -> None:  # 24
    nodes = " ".join(f"n{i}:1[r1,s{i // 2}]" for i in range(8))
    found = nodes_of(schedule(cluster("rack spine", nodes), [gang("A:3x1", root="R=rack P=spine")]))
    assert len({int(n[1:]) // 2 for n in found}) == 2


def test_more_than_a_rack_stays_in_one_zone_on_two_racks() -> None:  # 28
    nodes = " ".join(f"n{i}:1[z{i // 4},r{i // 2}]" for i in range(8))
    found = nodes_of(schedule(cluster("zone rack", nodes), [gang("A:3x1", root="R=zone P=rack")]))
    assert len({int(n[1:]) // 4 for n in found}) == 1
    assert len({int(n[1:]) // 2 for n in found}) == 2


def test_equal_racks_are_chosen_alike_whatever_the_order_of_the_nodes() -> None:  # 30
    snapshot = cluster("rack", "a:2[r1] b:2[r2] c:2[r3] d:2[r1]")
    answers = {
        str(schedule(Snapshot(order, snapshot.topologies), [gang("A:2x1", root="R=rack")]))
        for order in permutations(snapshot.nodes)
    }
    assert len(answers) == 1


def test_the_score_tells_how_much_of_the_wishes_came_true() -> None:  # 34
    snapshot = cluster("block rack", "a:2[b1,r1] b:1[b1,r1] c:1[b1,r2] d:1[b2,r3]")
    whole = schedule(snapshot, [gang("W:2x1 router:1x1", root="R=block P=rack", W="P=host")])
    assert placed(whole)["W"] == ["a", "a"]
    assert score_of(whole) == 1.0
    split = schedule(snapshot, [gang("W:4x1", root="R=block P=rack")])
    assert nodes_of(split) == ["a", "a", "b", "c"]
    assert score_of(split) == 0.5  # one of two levels kept, on as few racks as possible


def test_a_node_without_room_for_another_pod_is_not_used() -> None:  # 93
    assert not schedule(cluster("rack", "a:4[r1]", pods=1), [gang("A:2x1")]).assignments


def test_fewer_racks_never_cost_a_required_label() -> None:
    """x has room for all, but no rack: a podgroup that is on one host wherever it is still needs a rack."""
    decision = schedule(cluster("rack", "a:4[r1] b:4[r2] x:8"), [gang("A:1x4 B:1x4", root="P=rack", A="R=rack P=host")])
    assert placed(decision)["A"] in (["a"], ["b"])
