"""All or nothing, minima before extras, replacements beside the living: scenarios 57 to 79."""

from __future__ import annotations

import pytest

from grove_operator.scheduler.model import Gang
from grove_operator.scheduler.solve import schedule
from tests.unit.scheduler.notation import cluster, gang, nodes_of, placed

ROWS = [
    ("57 whole or not", "a:2", "A:2x2", {}, {}),
    ("58 over two nodes", "a:1 b:1", "A:2x1", {}, {"A": 2}),
    ("60 two groups on one node", "a:2", "s0:1x1 s1:1x1", {}, {"s0": 1, "s1": 1}),
    ("61 a minimum of each", "a:2", "s0:2x1/1 s1:2x1/1", {}, {"s0": 1, "s1": 1}),
    ("63 up to the minima", "a:2/4", "s0:5x1/2 s1:2x1/1", {"s0": "a"}, {"s0": 1, "s1": 1}),
    ("64 then beyond", "a:3/4", "s0:5x1/2 s1:2x1/1", {"s0": "a"}, {"s0": 2, "s1": 1}),
    ("67 one bound, one waits", "a:1", "A:2x1/1", {}, {"A": 1}),
    ("76 a minimum of zero", "a:1", "A:1x1/0 B:1x1", {}, {"B": 1}),
]


@pytest.mark.parametrize(("case", "nodes", "podgroups", "running", "expected"), ROWS, ids=[r[0] for r in ROWS])
def test_minima_are_placed_whole_and_extras_as_they_fit(
    case: str, nodes: str, podgroups: str, running: dict[str, str], expected: dict[str, int]
) -> None:
    found = placed(schedule(cluster("", nodes), [gang(podgroups, on=running)]))
    assert {k: len(v) for k, v in found.items()} == expected


def test_every_gang_gets_its_minima_before_any_gets_more() -> None:  # 66
    gangs = [gang("s0:2x1/1 s1:2x1/1", name=f"g{i}") for i in range(2)]
    decision = schedule(cluster("", "a:4"), gangs)
    assert [placed(decision, f"g{i}") for i in range(2)] == [{"s0": ["a"], "s1": ["a"]}] * 2


def test_elastic_groups_are_not_interleaved_over_racks() -> None:  # 70
    decision = schedule(cluster("rack", "a:2[r1] b:2[r2]"), [gang("A:2x1/1 B:2x1/1", A="P=rack", B="P=rack")])
    assert sorted(placed(decision).values()) == [["a", "a"], ["b", "b"]]


def sg_x(*, replicas: int = 2) -> list[Gang]:
    """Clique pc-a 2 (min 1); scaling group of `replicas`, minAvailable 1, of pc-b 1 and pc-c 3 (min 1)."""
    base = gang("pc-a:2x1/1 x0-b:1x1 x0-c:3x1/1", name="base")
    scaled = [gang(f"x{i}-b:1x1 x{i}-c:3x1/1", name=f"s{i}", base="base") for i in range(1, replicas)]
    return [*scaled, base]


@pytest.mark.parametrize(
    ("usable", "base_pods", "scaled_pods"), [(2, 0, 0), (3, 3, 0), (4, 4, 0), (5, 3, 2), (10, 6, 4)]
)
def test_base_minima_then_scaled_minima_then_extras(usable: int, base_pods: int, scaled_pods: int) -> None:  # 72, 73
    nodes = " ".join(f"n{i}:1" for i in range(usable))
    decision = schedule(cluster("", nodes), sg_x())
    assert len(nodes_of(decision, "base")) == base_pods
    assert len(nodes_of(decision, "s1")) == scaled_pods


def test_gated_pods_hold_nothing_and_gated_extras_block_no_minimum() -> None:  # 75
    waiting = gang("A:2x1", name="waiting", gated="A-1")
    partly = gang("A:3x1/2", name="partly", gated="A-2")
    decision = schedule(cluster("", "a:3"), [waiting, partly])
    assert nodes_of(decision, "waiting") == []
    assert nodes_of(decision, "partly") == ["a", "a"]
    assert not decision.refusals


@pytest.mark.parametrize("gated", ["", "decode-1"])
def test_a_rack_is_chosen_for_the_whole_gang_whichever_gate_was_lifted_first(gated: str) -> None:
    """The pods of a gang are ungated one after the other; r2 would hold the minima, and only them."""
    racks = cluster("rack", "a:2[r1] b:1[r1] c:1[r1] d:2[r2] e:0[r2]")
    minima_first = schedule(racks, [gang("decode:2x1/1 prefill:1x1", root="P=rack", gated=gated)])
    assert set(nodes_of(minima_first)) <= {"a", "b", "c"}


def test_a_replacement_joins_its_gang_though_another_rack_is_emptier() -> None:  # 78
    snapshot = cluster("rack", "a:1/2[r1] b:2[r2]")
    for level in ("R=rack", "P=rack"):
        decision = schedule(snapshot, [gang("A:2x1", root=level, on={"A": "a"})])
        assert nodes_of(decision) == ["a"]


def test_a_replacement_never_leaves_its_required_domain() -> None:  # 79
    decision = schedule(cluster("rack", "a:0/1[r1] b:2[r2]"), [gang("A:2x1", root="R=rack", on={"A": "a"})])
    assert not decision.assignments
    (refusal,) = decision.refusals
    assert [c.domain for c in refusal.closest] == ["r1"]
    assert "where its running members are" in refusal.message


def test_extras_that_find_no_place_say_why_without_refusing_the_gang() -> None:
    decision = schedule(cluster("rack", "a:1[r1] b:1[r2]"), [gang("A:3x1/1", root="R=rack")])
    assert len(decision.assignments) == 1
    (refusal,) = decision.refusals
    assert refusal.pods == ("ns/g-A-1", "ns/g-A-2")


def test_higher_priority_goes_first_then_the_older() -> None:  # 123
    gangs = [
        gang("A:1x1", name="old", created="2026-01-01"),
        gang("A:1x1", name="new", created="2026-02-01"),
        gang("A:1x1", name="high", created="2026-03-01", priority=10),
    ]
    decision = schedule(cluster("", "a:2"), gangs)
    assert {a.gang for a in decision.assignments} == {"ns/high", "ns/old"}


def test_neighbours_in_index_are_neighbours_in_place() -> None:
    decision = schedule(cluster("rack", "a:2[r1] b:2[r1]"), [gang("A:4x1", root="R=rack")])
    assert [a.node for a in sorted(decision.assignments, key=lambda a: a.pod)] == ["a", "a", "b", "b"]


def test_a_group_without_minima_beside_siblings_to_look_ahead_for_is_no_fault() -> None:
    base = gang("A:1x1 B:2x2/0", name="base", root="R=host")
    scaled = gang("A:2x1/1", name="s", base="base", root="R=host", gated="A")
    decision = schedule(cluster("rack", "a:8[r1] b:2[r1]"), [base, scaled])
    assert placed(decision, "base")["A"] == ["a"]
