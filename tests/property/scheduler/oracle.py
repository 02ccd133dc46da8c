"""An independent judge: the same question as a mixed-integer program for HiGHS. Shares no code with the solver.

x[s, n]    pods of podgroup s on node n              z[g, d]  scope g sits in domain d of its required level
u[g, d]    scope g uses domain d of its wished level

    Σ_n x[s, n] = count(s)                      every minimum placed
    Σ_s size(s)·x[s, n] <= free(n)              per resource
    Σ_{n in d} x[s, n] <= count(s)·z[g, d]      for every scope g around s,   Σ_d z[g, d] = 1
    Σ_{n in d} Σ_s x[s, n] <= pods(g)·u[g, d]   for the scopes whose domains are counted

A placement's quality is (levels lost per wishing scope, domains of the wished level used per wishing scope), outermost
scope first. `improves` asks, term by term, for a placement that is as good in all terms before and better in this one:
a scope that must keep a finer level is a scope that requires it, so each question is one of feasibility alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import highspy
import numpy as np

Path = tuple[str, ...]


@dataclass(frozen=True)
class Scope:
    """Podgroups that share a domain of level `required` and would like one of level `wished` (0: anywhere).

    Level 1 is the coarsest label, len(path) + 1 the host. `at`: a node where a member of the scope runs already.
    `labelled`: a level whose labels its nodes need, though `required` be the host, for which a node needs none.
    """

    podgroups: tuple[int, ...]
    required: int = 0
    wished: int = 0
    at: int | None = None
    labelled: int = 0


@dataclass(frozen=True)
class Problem:
    """`free[n][r]`; `paths[n]` coarse to fine ('' for a label that is missing); podgroups as (count, request).

    Scopes stand outermost first.
    """

    free: Sequence[Sequence[int]]
    paths: Sequence[Path]
    podgroups: Sequence[tuple[int, Sequence[int]]]
    scopes: Sequence[Scope] = field(default=())

    def domain(self, node: int, level: int) -> tuple[object, ...]:
        """Equal for nodes of one domain; a node without the labels stands for itself."""
        path = self.paths[node][:level]
        if level > len(self.paths[node]) or not all(path):
            return (*path, node)
        return path

    def is_real(self, node: int, level: int) -> bool:
        return level > len(self.paths[node]) or all(self.paths[node][:level])


def feasible(problem: Problem) -> bool:
    return _Program(problem).has_solution()


def improves(problem: Problem, kept: Sequence[int], used: Sequence[int]) -> Literal["levels", "domains"] | None:
    """Which of the two terms some placement beats; None when none does.

    `kept`: the finest level at which one domain holds the scope; `used`: domains of its wished level; one entry each
    for every scope that wishes for a level.
    """
    wishing = [g for g, scope in enumerate(problem.scopes) if scope.wished]
    scopes = list(problem.scopes)
    for g, level in zip(wishing, kept, strict=True):
        if level < scopes[g].wished:
            finer = [*scopes[:g], replace(scopes[g], required=level + 1), *scopes[g + 1 :]]
            if feasible(replace(problem, scopes=finer)):
                return "levels"
        scopes[g] = replace(scopes[g], required=level)
    held = _Program(replace(problem, scopes=scopes))
    for g, domains in zip(wishing, used, strict=True):
        if domains > 1:
            held.use_at_most(g, domains - 1)
            if held.has_solution():
                return "domains"
            held.rows.pop()
            held.use_at_most(g, domains)
    return None


def fits_on(problem: Problem, domains: int, hosts: int) -> bool:
    """Is there a placement of a problem of one scope on so few domains of its wished level and so few hosts?"""
    program = _Program(problem)
    program.use_at_most(0, domains)
    program.limit(program.uses(0, len(problem.paths[0]) + 1), hosts)
    return program.has_solution()


class Unanswered(Exception):  # noqa: N818 - no error of anybody's
    """HiGHS ended without an answer within its budget."""


class _Program:
    """Columns, all integer, and rows."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.upper: list[float] = []
        self.rows: list[tuple[dict[int, float], float, float]] = []
        self.x: dict[tuple[int, int], int] = {}
        self._counted: dict[int, list[int]] = {}
        nodes = range(len(problem.free))
        for s, (count, request) in enumerate(problem.podgroups):
            for n in nodes:
                fits = min([count, *(problem.free[n][r] // q for r, q in enumerate(request) if q)])
                if fits > 0:
                    self.x[s, n] = self._column(fits)
            self._row({self.x[s, n]: 1.0 for n in nodes if (s, n) in self.x}, count, count)
        for n in nodes:
            for r in range(len(problem.free[n])):
                entries = {
                    self.x[s, n]: float(request[r])
                    for s, (_, request) in enumerate(problem.podgroups)
                    if request[r] and (s, n) in self.x
                }
                if entries:
                    self._row(entries, 0, problem.free[n][r])
        for scope in problem.scopes:
            if scope.required:
                self._one_domain(scope)

    def _column(self, upper: float) -> int:
        self.upper.append(upper)
        return len(self.upper) - 1

    def _row(self, entries: dict[int, float], lower: float, upper: float) -> None:
        self.rows.append((entries, lower, upper))

    def _domains(self, level: int) -> dict[tuple[object, ...], list[int]]:
        found: dict[tuple[object, ...], list[int]] = {}
        for n in range(len(self.problem.free)):
            found.setdefault(self.problem.domain(n, level), []).append(n)
        return found

    def _one_domain(self, scope: Scope) -> None:
        choice = {}
        only = None if scope.at is None else self.problem.domain(scope.at, scope.required)
        for domain, nodes in self._domains(scope.required).items():
            is_real = all(self.problem.is_real(nodes[0], level) for level in (scope.required, scope.labelled))
            is_open = is_real and only in (None, domain)
            choice[domain] = self._column(1 if is_open else 0)
            for s in scope.podgroups:
                entries = {self.x[s, n]: 1.0 for n in nodes if (s, n) in self.x}
                if entries:
                    entries[choice[domain]] = -float(self.problem.podgroups[s][0])
                    self._row(entries, -np.inf, 0)
        self._row(dict.fromkeys(choice.values(), 1.0), 1, 1)

    def _pods(self, scope: Scope) -> float:
        return float(sum(self.problem.podgroups[s][0] for s in scope.podgroups))

    def uses(self, g: int, level: int) -> list[int]:
        """For each domain of a level a column: 1 when scope g has pods there."""
        scope, found = self.problem.scopes[g], []
        for domain, nodes in self._domains(level).items():
            entries = {self.x[s, n]: 1.0 for s in scope.podgroups for n in nodes if (s, n) in self.x}
            is_home = scope.at is not None and domain == self.problem.domain(scope.at, level)
            if entries or is_home:
                used = self._column(1)
                found.append(used)
                self._row({**entries, used: -self._pods(scope)}, -np.inf, 0)
                if is_home:
                    self._row({used: 1.0}, 1, 1)
        return found

    def use_at_most(self, g: int, domains: int) -> None:
        if g not in self._counted:
            self._counted[g] = self.uses(g, self.problem.scopes[g].wished)
        self.limit(self._counted[g], domains)

    def limit(self, columns: list[int], most: int) -> None:
        self._row(dict.fromkeys(columns, 1.0), 0, most)

    def has_solution(self) -> bool:
        """Raises Unanswered."""
        if any(lower > 0 and not entries for entries, lower, _ in self.rows):
            return False
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self.upper), len(self.rows)
        lp.col_cost_ = np.zeros(len(self.upper))
        lp.col_lower_, lp.col_upper_ = np.zeros(len(self.upper)), np.array(self.upper, dtype=float)
        lp.row_lower_ = np.array([lower for _, lower, _ in self.rows], dtype=float)
        lp.row_upper_ = np.array([upper for _, _, upper in self.rows], dtype=float)
        lp.integrality_ = [highspy.HighsVarType.kInteger] * len(self.upper)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.cumsum([0, *(len(entries) for entries, _, _ in self.rows)])
        lp.a_matrix_.index_ = np.array([i for entries, _, _ in self.rows for i in entries], dtype=np.int32)
        lp.a_matrix_.value_ = np.array([v for entries, _, _ in self.rows for v in entries.values()], dtype=float)
        highs = highspy.Highs()
        for option, setting in (("output_flag", False), ("threads", 1), ("mip_max_nodes", 3000), ("time_limit", 60.0)):
            highs.setOptionValue(option, setting)
        highs.passModel(lp)
        highs.run()
        status = highs.getModelStatus()
        if status == highspy.HighsModelStatus.kOptimal:
            return True
        if status not in (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible):
            raise Unanswered(status)
        return False
