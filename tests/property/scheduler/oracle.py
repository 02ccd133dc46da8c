"""An independent judge: the same question as a mixed-integer program for HiGHS. Shares no code with the solver.

x[s, n] pods of podgroup s on node n; z[g, d] scope g sits in domain d; u[d] a wished domain, y[n] a host is used

    Σ_n x[s, n] = count(s)                 every minimum placed
    Σ_s size·x[s, n] <= free(n)            per resource
    x[s, n] <= count(s)·z[g, dom_g(n)]     for every scope g around s,   Σ_d z[g, d] = 1
    minimise 1000·Σ u + Σ y                fewest wished domains, then fewest hosts
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import highspy
import numpy as np


@dataclass(frozen=True)
class Problem:
    """`free[n][r]`; `paths[n]` coarse to fine; podgroups as (count, request); scopes as (level, podgroups).

    Levels count labels: 0 is everywhere, 1 the coarsest. `wished`: the level whose domains are to be few.
    """

    free: Sequence[Sequence[int]]
    paths: Sequence[tuple[str, ...]]
    podgroups: Sequence[tuple[int, Sequence[int]]]
    scopes: Sequence[tuple[int, Sequence[int]]]
    wished: int | None = None


def solve(problem: Problem) -> tuple[int, int] | None:
    """(wished domains, hosts) of a best placement, or None when there is none."""
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    model.setOptionValue("threads", 1)
    hosts = range(len(problem.free))
    x = {(s, n): model.addIntegral(lb=0, ub=count) for s, (count, _) in enumerate(problem.podgroups) for n in hosts}
    y = [model.addBinary() for _ in hosts]
    for s, (count, _) in enumerate(problem.podgroups):
        model.addConstr(sum(x[s, n] for n in hosts) == count)
        for n in hosts:
            model.addConstr(x[s, n] - count * y[n] <= 0)
    for n in hosts:
        for r in range(len(problem.free[n])):
            used = [int(request[r]) * x[s, n] for s, (_, request) in enumerate(problem.podgroups) if request[r]]
            if used:
                model.addConstr(sum(used) <= int(problem.free[n][r]))
    for level, members in problem.scopes:
        _one_domain(model, problem, x, level, members)
    few: list[highspy.highs.highs_var] = []
    if problem.wished is not None:
        u = {d: model.addBinary() for d in sorted({path[: problem.wished] for path in problem.paths})}
        for n in hosts:
            model.addConstr(y[n] - u[problem.paths[n][: problem.wished]] <= 0)
        few = list(u.values())
    model.minimize(sum(1000 * v for v in few) + sum(y))
    if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    value = model.getSolution().col_value
    total = lambda variables: round(float(np.sum([value[v.index] for v in variables])))  # noqa: E731
    return total(few), total(y)


def _one_domain(
    model: highspy.Highs,
    problem: Problem,
    x: dict[tuple[int, int], highspy.highs.highs_var],
    level: int,
    members: Sequence[int],
) -> None:
    z = {d: model.addBinary() for d in sorted({path[:level] for path in problem.paths})}
    model.addConstr(sum(z.values()) == 1)
    for s in members:
        for n, path in enumerate(problem.paths):
            model.addConstr(x[s, n] - problem.podgroups[s][0] * z[path[:level]] <= 0)
