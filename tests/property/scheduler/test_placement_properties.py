"""What must hold for every cluster and gang: laws, and agreement with an independent MILP."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grove_operator.scheduler.lanes import Lanes, divisible_fits
from grove_operator.scheduler.model import (
    GPU,
    Assignment,
    Constraint,
    Decision,
    Gang,
    GroupConfig,
    Member,
    Needs,
    Node,
    PodGroup,
    Snapshot,
    Topology,
    dump,
    load,
)
from grove_operator.scheduler.nodes import Ints, NodeTable
from grove_operator.scheduler.solve import schedule
from grove_operator.scheduler.topology import TopologyIndex
from tests.property.scheduler import oracle
from tests.property.scheduler.audit import compare, is_placed
from tests.property.scheduler.instances import instance

LEVELS = ("block", "rack")
QUICK = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
SIZES = (1, 2, 4, 8)


@st.composite
def clusters(draw: st.DrawFn) -> Snapshot:
    """Up to 10 nodes in 1-2 blocks of 1-3 racks; free GPUs 0-8 and some CPU; now and then a label is missing."""
    nodes = []
    for i in range(draw(st.integers(1, 10))):
        labels = {"block": f"b{draw(st.integers(0, 1))}", "rack": f"r{draw(st.integers(0, 2))}"}
        if draw(st.integers(0, 9)) == 0:
            del labels[draw(st.sampled_from(LEVELS))]
        free, cpu = draw(st.integers(0, 8)), draw(st.sampled_from([2000, 8000]))
        nodes.append(Node(f"n{i}", labels, (("cpu", cpu), (GPU, 8), ("pods", 20)), used=((GPU, 8 - free),)))
    return Snapshot(tuple(nodes), (Topology("default", LEVELS),))


constraints = st.builds(Constraint, *[st.sampled_from([None, None, *LEVELS])] * 2)


@st.composite
def gangs(draw: st.DrawFn, name: str = "g") -> Gang:
    groups = []
    for i in range(draw(st.integers(1, 3))):
        requests = {GPU: draw(st.sampled_from((0, *SIZES))), "cpu": draw(st.sampled_from([0, 500, 1500])), "pods": 1}
        needs = Needs(tuple(sorted((k, v) for k, v in requests.items() if v)))
        count = draw(st.integers(1, 4))
        members = tuple(Member("ns", f"{name}-{i}-{j}", needs) for j in range(count))
        groups.append(PodGroup(f"p{i}", draw(st.integers(1, count)), members, draw(constraints)))
    configs = (GroupConfig("c", ("p0", "p1"), draw(constraints)),) if len(groups) > 1 and draw(st.booleans()) else ()
    return Gang("ns", name, tuple(groups), draw(constraints), configs)


cases = st.tuples(clusters(), st.tuples(gangs("g0"), gangs("g1")))


@QUICK
@given(cases)
def test_no_node_is_ever_over_allocated(case: tuple[Snapshot, tuple[Gang, ...]]) -> None:
    snapshot, wanted = case
    needs = {m.key: m.needs for g in wanted for p in g.podgroups for m in p.members}
    used: dict[str, Counter[str]] = {n.name: Counter(dict(n.used)) for n in snapshot.nodes}
    for a in schedule(snapshot, wanted).assignments:
        used[a.node].update(dict(needs[f"{a.namespace}/{a.pod}"].requests))
    for n in snapshot.nodes:
        assert all(used[n.name][resource] <= value for resource, value in n.allocatable)


@QUICK
@given(cases)
def test_a_gang_is_placed_with_all_its_minima_or_not_at_all(case: tuple[Snapshot, tuple[Gang, ...]]) -> None:
    snapshot, wanted = case
    decision = schedule(snapshot, wanted)
    assert len({(a.namespace, a.pod) for a in decision.assignments}) == len(decision.assignments)
    for g in wanted:
        placed = Counter(a.podgroup for a in decision.assignments if a.gang == g.key)
        assert not placed or all(placed[p.name] >= p.minimum for p in g.podgroups)
        assert bool(placed) != any(r.gang == g.key and not r.pods for r in decision.refusals)


@QUICK
@given(cases)
def test_a_required_level_is_never_left_not_even_by_extras(case: tuple[Snapshot, tuple[Gang, ...]]) -> None:
    snapshot, wanted = case
    decision = schedule(snapshot, wanted)
    for g in wanted:
        scopes = [(g.constraint, [p.name for p in g.podgroups])]
        scopes += [(c.constraint, list(c.podgroups)) for c in g.groups]
        scopes += [(p.constraint, [p.name]) for p in g.podgroups]
        for constraint, members in scopes:
            assert len(domains(decision, snapshot, g, members, constraint.required)) <= 1


def domains(
    decision: Decision, snapshot: Snapshot, g: Gang, members: list[str], key: str | None
) -> set[tuple[str, ...]]:
    """Paths of labels down to `key` that the podgroups' pods sit in; a missing label shows as the node's own name."""
    labels = {n.name: n.labels for n in snapshot.nodes}
    keys = LEVELS[: LEVELS.index(key) + 1] if key else ()
    mine = [a for a in decision.assignments if a.gang == g.key and a.podgroup in members]
    return {tuple(labels[a.node].get(k, f"{a.node} and nobody else {a.pod}") for k in keys) for a in mine}


@QUICK
@given(cases, st.randoms(use_true_random=False))
def test_the_order_of_nodes_and_gangs_changes_nothing(
    case: tuple[Snapshot, tuple[Gang, ...]], shuffler: random.Random
) -> None:
    snapshot, wanted = case
    nodes = list(snapshot.nodes)
    shuffler.shuffle(nodes)
    assert schedule(Snapshot(tuple(nodes), snapshot.topologies), wanted[::-1]) == schedule(snapshot, wanted)


@QUICK
@given(cases)
def test_snapshots_gangs_and_decisions_survive_a_file(case: tuple[Snapshot, tuple[Gang, ...]]) -> None:
    snapshot, wanted = case
    assert load(Snapshot, dump(snapshot)) == snapshot
    assert tuple(load(Gang, dump(g)) for g in wanted) == wanted
    decision = schedule(snapshot, wanted)
    assert load(Decision, dump(decision)) == decision


@QUICK
@given(clusters(), st.lists(st.tuples(st.integers(0, 9), st.sampled_from(SIZES), st.booleans()), max_size=12))
def test_undo_restores_every_number_that_is_derived(snapshot: Snapshot, steps: list[tuple[int, int, bool]]) -> None:
    table = NodeTable(snapshot.nodes)
    shapes = {s: table.shape(Needs(((GPU, s), ("pods", 1)))) for s in SIZES}
    lanes = Lanes(table, TopologyIndex(table.nodes, "default", LEVELS), list(shapes.values()))
    before, mark = state(table, lanes), table.mark()
    for row, size, look in steps:
        table.take(np.array([row % len(table)]), shapes[size].request[None])
        if look:
            same(state(table, lanes), state(table, Lanes(table, lanes.index, list(shapes.values()))))
    table.undo(mark)
    same(state(table, lanes), before)


def state(table: NodeTable, lanes: Lanes) -> list[Ints]:
    levels = range(lanes.index.host + 1)
    tops = [lanes.tops(level) for level in levels]
    return [a.copy() for a in (table.free, *(lanes.at(level) for level in levels), *tops)]


def same(found: list[Ints], expected: list[Ints]) -> None:
    assert all((a == b).all() for a, b in zip(found, expected, strict=True))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(SIZES), st.integers(1, 4), min_size=1),
)
def test_the_lemma_agrees_with_trying_everything(free: list[int], sizes: dict[int, int]) -> None:
    pods = tuple(s for s in sorted(sizes, reverse=True) for _ in range(sizes[s]))

    @cache
    def tries(left: tuple[int, ...], i: int) -> bool:
        if i == len(pods):
            return True
        return any(
            tries(tuple(sorted((*left[:b], left[b] - pods[i], *left[b + 1 :]))), i + 1)
            for b in range(len(left))
            if left[b] >= pods[i] and left[b] not in left[:b]
        )

    assert divisible_fits(np.array(free), sizes) == tries(tuple(sorted(free)), 0)


KNOWN = (123, 289, 306, 314, 332, 773, 829, 948, 1000034, 1001583, 1002519, 1018817)
"""Seeds that once failed: a rack left by a host without labels, a host counted twice, places that the search missed."""


@pytest.mark.parametrize("block", range(10))
def test_what_the_oracle_can_place_is_placed_lawfully_and_a_proof_is_a_proof(block: int) -> None:
    figures = compare(50 * block, 50)
    assert figures["instances"] == 50
    assert figures.get("false refusals", 0) == figures.get("undecided", 0) == 0, figures
    assert figures["same domains"] >= figures["placed"] - 1, figures


@pytest.mark.parametrize("seed", KNOWN)
def test_what_failed_once_stays_right(seed: int) -> None:
    figures = compare(seed, 1)
    assert figures.get("false refusals", 0) == figures.get("undecided", 0) == 0
    assert figures.get("same domains", 0) == figures.get("placed", 0)


def test_the_comparison_sees_both_verdicts_in_numbers() -> None:
    """The random instances are neither all easy nor all hopeless."""
    found = [is_placed(schedule(one.snapshot, [one.gang])) for one in map(instance, range(60))]
    assert 15 < sum(found) < 45


@pytest.mark.parametrize("block", range(3))
def test_one_scope_gets_the_fewest_racks_and_then_the_fewest_hosts(block: int) -> None:
    for seed in range(block * 6, block * 6 + 6):
        rng = random.Random(seed)
        paths = [("b", f"r{i // 4}") for i in range(16)]
        free = [(rng.randrange(0, 9),) for _ in paths]
        count = rng.randrange(2, max(3, sum(f[0] for f in free)))
        nodes = tuple(
            Node(f"n{i:02}", dict(zip(LEVELS, p, strict=True)), ((GPU, f[0]), ("pods", 99)))
            for i, (p, f) in enumerate(zip(paths, free, strict=True))
        )
        needs = Needs(((GPU, 1), ("pods", 1)))
        group = PodGroup("p", count, tuple(Member("ns", f"p-{j}", needs) for j in range(count)))
        g = Gang("ns", "g", (group,), Constraint("block", "rack"))
        problem = oracle.Problem(free, paths, [(count, (1,))], [oracle.Scope((0,), 1, 2)])
        found = schedule(Snapshot(nodes, (Topology("default", LEVELS),)), [g]).assignments
        assert bool(found) == oracle.feasible(problem), f"seed {seed}"
        if found:
            racks, hosts = measure(found, nodes)
            assert oracle.improves(problem, [2 if racks == 1 else 1], [racks]) is None, f"seed {seed}"
            assert not oracle.fits_on(problem, racks, hosts - 1), f"seed {seed}: {hosts} hosts in {racks} racks"


def measure(found: tuple[Assignment, ...], nodes: tuple[Node, ...]) -> tuple[int, int]:
    rack = {n.name: (n.labels["block"], n.labels["rack"]) for n in nodes}
    return len({rack[a.node] for a in found}), len({a.node for a in found})


def test_the_brute_force_bound_is_not_vacuous() -> None:
    verdicts = {divisible_fits(np.array(f), {4: 1, 2: 2}) for f in combinations_with_replacement(range(6), 2)}
    assert verdicts == {True, False}
