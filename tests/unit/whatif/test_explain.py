"""Why a gang waits, and the smallest change that unblocks it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grove_operator.scheduler.explain import Explanation, Holding
from grove_operator.scheduler.model import GPU, Gang, Needs, Snapshot
from grove_operator.scheduler.ways_out import explain, irreducible, least, shortest
from tests.unit.scheduler.notation import cluster, gang


def holding(pod: str, node: str, gpus: int, **more: object) -> Holding:
    return Holding("other", pod, node, Needs(((GPU, gpus), ("pods", 1))), **more)  # type: ignore[arg-type]


def ask(snapshot: Snapshot, *gangs: Gang, held: tuple[Holding, ...] = (), runs: int = 250) -> Explanation:
    """About the first gang."""
    return explain(snapshot, gangs, gangs[0].key, held, runs=runs)


def ways(explanation: Explanation) -> dict[str, str]:
    return {way.action: way.message for way in explanation.ways_out}


def test_a_gang_that_would_be_placed_needs_no_explanation() -> None:
    said = ask(cluster("rack", "a:2[r1]"), gang("A:2x1"))
    assert (said.refusal, said.scopes, said.ways_out) == (None, (), ())
    assert "nothing stands in its way" in said.sentence


def test_the_closest_domain_what_is_short_there_and_who_holds_it() -> None:
    there = cluster("rack", "a:1/4[r1] b:1/4[r1] c:1/4[r2]")
    held = (holding("x", "a", 3, gang="other/train"), holding("y", "b", 3, gang="other/train"), holding("z", "c", 3))
    said = ask(there, gang("A:3x1", root="R=rack"), held=held)
    (scope,) = said.scopes
    assert (scope.scope, scope.level, scope.domain, scope.fits, scope.wanted) == ("podgang g", "rack", "r1", 2, 3)
    assert (scope.resource, scope.short) == (GPU, 1)
    assert [(h.kind, h.key, h.amount, h.nodes) for h in scope.holders] == [("podgang", "other/train", 6, ("a", "b"))]


def test_every_scope_is_asked_by_itself_and_an_outer_one_waits_for_the_inner() -> None:
    there = cluster("rack", "a:4[r1] b:4[r2]")
    said = ask(there, gang("A:1x4 B:2x4", B="R=rack"))
    by_name = {s.scope: s for s in said.scopes}
    assert by_name["podgroup A"].is_satisfied
    assert not by_name["podgroup B"].is_satisfied
    assert by_name["podgang g"].blocked_by == "podgroup B"


def test_the_least_amount_on_the_fewest_nodes_is_freed_where_that_is_least() -> None:
    there = cluster("rack", "a:0/4[r1] b:1/4[r1] c:0/4[r2] d:0/4[r2]")
    assert ways(ask(there, gang("A:3x1", root="R=rack"))) == {
        "free": "free 2 nvidia.com/gpu on b in r1",
        "lower": "lower minAvailable of A by 2 to 1",
    }


def test_a_gang_is_evicted_whole_and_the_smallest_one_that_helps() -> None:
    there = cluster("rack", "a:0/4[r1] b:0/4[r2]")
    held = (holding("x0", "a", 2, gang="other/x"), holding("x1", "a", 2, gang="other/x"), holding("y", "b", 4))
    said = ask(there, gang("A:3x1", root="R=rack"), held=held)
    (way,) = [w for w in said.ways_out if w.action == "evict"]
    assert way.targets in (("podgang other/x",), ("pod other/y",))
    assert way.amount == 4


def test_nobody_of_higher_priority_and_nothing_that_belongs_to_its_node_is_evicted() -> None:
    there = cluster("rack", "a:0/4[r1]")
    for untouchable in (holding("x", "a", 4, priority=5), holding("x", "a", 4, is_pinned=True)):
        said = ask(there, gang("A:2x1"), held=(untouchable,))
        assert "evict" not in ways(said)


def test_several_are_evicted_only_where_one_is_not_enough() -> None:
    there = cluster("rack", "a:0/4[r1]")
    held = tuple(holding(f"x{i}", "a", 1) for i in range(4))
    (way,) = [w for w in ask(there, gang("A:3x1"), held=held).ways_out if w.action == "evict"]
    assert len(way.targets) == 3


def test_its_own_siblings_are_neither_evicted_nor_freed() -> None:
    there = cluster("rack", "a:0/4[r1]")
    base = gang("A:4x1", name="base", on={"A": "a a a a"})
    held = tuple(replace(holding(m.name, "a", 1), namespace="ns", gang="ns/base") for m in base.podgroups[0].members)
    said = ask(there, gang("B:1x1", name="scaled", base="base"), base, held=held)
    assert said.refusal is not None
    assert ways(said) == {}


def test_waiting_for_terminating_pods_comes_first() -> None:
    there = cluster("rack", "a:0/4[r1]")
    said = ask(there, gang("A:2x1"), held=(holding("x", "a", 2, is_leaving=True), holding("y", "a", 2)))
    assert said.ways_out[0].message == "wait until terminating pod other/x is gone"


def test_a_cordoned_node_is_brought_back_but_no_more_than_needed() -> None:
    there = cluster("rack", "a:0/4[r1] b:4[r1] c:4[r1]")
    nodes = tuple(replace(n, unschedulable=n.name in "bc") for n in there.nodes)
    said = ask(replace(there, nodes=nodes), gang("A:3x1", root="R=rack"))
    (way,) = [w for w in said.ways_out if w.action == "uncordon"]
    assert way.amount == 1
    assert "cordoned" in way.message


def test_min_available_is_lowered_by_the_least_k() -> None:
    said = ask(cluster("rack", "a:5[r1]"), gang("A:8x1"))
    assert ways(said)["lower"] == "lower minAvailable of A by 3 to 5"


@pytest.mark.parametrize(
    ("asked", "scope"),
    [
        (gang("A:4x1", root="R=rack"), "podgang g"),
        (gang("A:4x1", A="R=rack"), "podgroup A"),
        (gang("A:2x1 B:2x1", groups={"both": ("A B", "R=rack")}), "group both"),
    ],
)
def test_the_one_level_that_stands_in_the_way_is_relaxed(asked: Gang, scope: str) -> None:
    said = ask(cluster("rack", "a:2[r1] b:2[r2]"), asked)
    assert ways(said)["relax"] == f"relax the required rack of {scope} to preferred"


def test_levels_that_only_help_together_are_relaxed_together() -> None:
    said = ask(cluster("rack", "a:2[r1] b:2[r2]"), gang("A:4x1", root="R=rack", A="R=rack"))
    assert ways(said)["relax"] == "relax the required levels of podgroup A, podgang g to preferred"


def test_gangs_that_come_first_have_their_places_and_later_ones_do_not() -> None:
    there = cluster("rack", "a:2[r1]")
    first, target, later = (gang("A:1x1", name=n) for n in ("a", "m", "z"))
    big = replace(target, podgroups=gang("A:2x1", name="m").podgroups)
    said = ask(there, big, first, later)
    assert said.refusal is not None
    assert said.scopes[0].short == 1
    assert ask(there, replace(big, priority=1), first, later).refusal is None


def test_members_beyond_the_minimum_are_explained_too() -> None:
    there = cluster("rack", "a:2/4[r1]")
    said = ask(there, gang("A:4x1/1"), held=(holding("x", "a", 2),))
    assert said.refusal is not None
    assert said.refusal.pods == ("ns/g-A-2", "ns/g-A-3")
    assert ways(said)["evict"] == "evict pod other/x (2 nvidia.com/gpu)"


def test_the_budget_of_runs_is_kept_and_its_end_is_told() -> None:
    held = tuple(holding(f"x{i}", "a", 1) for i in range(8))
    said = ask(cluster("rack", "a:0/8[r1]"), gang("A:8x1"), held=held, runs=3)
    assert said.runs <= 3
    assert not said.is_complete


def test_an_unknown_gang_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        explain(cluster("rack", "a:1[r1]"), [], "ns/none")


def test_least_changes() -> None:
    assert least(9, lambda k: k >= 4) == 4
    assert shortest([3, 1, 2, 9], lambda some: sum(some) >= 5) == [3, 1, 2]
    assert irreducible([3, 1, 2, 9], lambda some: sum(some) >= 9) == [9]
    assert irreducible([9, 1, 2, 3], lambda some: sum(some) >= 6) == [1, 2, 3]
