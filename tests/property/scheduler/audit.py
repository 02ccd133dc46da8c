"""Judge a decision by the instance alone: is it lawful, which levels does it keep? Shares no code with the solver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from grove_operator.scheduler.model import Decision, Policy
from grove_operator.scheduler.solve import schedule
from tests.property.scheduler import oracle
from tests.property.scheduler.instances import Instance, instance

Figures = dict[str, float]
Tell = Callable[[int], None]


def is_placed(found: Decision) -> bool:
    return bool(found.assignments)


def check(found: Decision, of: Instance) -> None:
    """AssertionError when something is over-allocated, a minimum is missing or a required level is left."""
    problem = of.problem
    where = _rows(found)
    for s, (count, _) in enumerate(problem.podgroups):
        assert len(where.get(s, ())) == count, f"seed {of.seed}: podgroup {s} has {where.get(s)} of {count}"
    used: dict[tuple[int, int], int] = Counter()
    for s, nodes in where.items():
        for n in nodes:
            for r, amount in enumerate(problem.podgroups[s][1]):
                used[n, r] += amount
    for (n, r), amount in used.items():
        assert amount <= problem.free[n][r], f"seed {of.seed}: node {n} gives {amount} of {problem.free[n][r]}"
    for scope in problem.scopes:
        nodes = _nodes(scope, where)
        if scope.required and nodes:
            needed = (scope.required, scope.labelled)
            assert all(problem.is_real(n, level) for n in nodes for level in needed), f"seed {of.seed}: {scope} off"
            domains = {problem.domain(n, scope.required) for n in nodes}
            assert len(domains) == 1, f"seed {of.seed}: {scope} is in {domains}"


def reached(found: Decision, problem: oracle.Problem) -> tuple[list[int], list[int]]:
    """Per wishing scope: the finest level at which one domain holds it, and domains of its wished level used."""
    where = _rows(found)
    held, used = [], []
    for scope in problem.scopes:
        if not scope.wished:
            continue
        nodes = _nodes(scope, where)
        kept = max(
            (
                level
                for level in range(scope.required, scope.wished + 1)
                if len({problem.domain(n, level) for n in nodes}) == 1 and all(problem.is_real(n, level) for n in nodes)
            ),
            default=scope.required,
        )
        held.append(kept)
        used.append(len({problem.domain(n, scope.wished) for n in nodes}))
    return held, used


def _rows(found: Decision) -> dict[int, list[int]]:
    where: dict[int, list[int]] = {}
    for a in found.assignments:
        where.setdefault(int(a.podgroup[1:]), []).append(int(a.node[1:]))
    return where


def _nodes(scope: oracle.Scope, where: dict[int, list[int]]) -> list[int]:
    """Where the scope's pods are, the one that ran before included."""
    return [n for s in scope.podgroups for n in where.get(s, ())] + ([] if scope.at is None else [scope.at])


def compare(
    first: int,
    count: int,
    tell: Tell = lambda done: None,
    policy: Policy | None = None,
    make: Callable[[int], Instance] = instance,
) -> Figures:
    """`count` instances from seed `first` on, against the oracle. AssertionError at a counterexample to a proof."""
    tally: Counter[str] = Counter()
    for done, seed in enumerate(range(first, first + count)):
        one = make(seed)
        found = schedule(one.snapshot, [one.gang], policy)
        tally["instances"] += 1
        if not is_placed(found):
            _count_refusal(found, one, tally)
        else:
            check(found, one)
            _count_quality(found, one, tally)
        tell(done + 1)
    return dict(tally)


def _count_refusal(found: Decision, one: Instance, tally: Counter[str]) -> None:
    tally["refused"] += 1
    (refusal,) = found.refusals
    try:
        possible = oracle.feasible(one.problem)
    except oracle.Unanswered:
        tally["unanswered"] += 1
        return
    assert not (possible and refusal.proven), f"seed {one.seed}: a proof that is none: {refusal.message}"
    tally["undecided"] += not refusal.proven
    tally["false refusals"] += possible


def _count_quality(found: Decision, one: Instance, tally: Counter[str]) -> None:
    """Who lost no level uses one domain per scope and can't be beaten; about the others the oracle is asked."""
    tally["placed"] += 1
    kept, used = reached(found, one.problem)
    better = None
    if max(used, default=1) > 1:
        tally["imperfect"] += 1
        try:
            better = oracle.improves(one.problem, kept, used)
        except oracle.Unanswered:
            tally["unanswered"] += 1
    tally["same levels"] += better != "levels"
    tally["same domains"] += better is None
