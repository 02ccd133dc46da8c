"""The exact lane: when the search ends without a place and the sums prove nothing, a mixed-integer program decides.

Equal scopes are one template with a count, so that replicas cost nothing:

    q[t, d]     copies of template t in domain d of its required level         root: Σ_d q = 1
    x[t, s, n]  pods of shape s that copies of t ask for directly, on node n   Σ_{n in d} x = pods(s) · q[t, d]
                for a template c inside t                                      Σ_{e in d} q[c, e] = copies(c) · q[t, d]
    Σ x · request(s) <= free(n) per resource       x_s + x_t <= 1 on n where host ports or anti-affinity collide

The program is exact: copies of one template in one domain are interchangeable, so any split of their pods is one.
Budgets are counts (columns, branch-and-bound nodes), never seconds: the same input gives the same answer anywhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import highspy
import numpy as np

from grove_operator.scheduler.nodes import Ints, Shape
from grove_operator.scheduler.predicates import claims_collide
from grove_operator.scheduler.scopes import Scope
from grove_operator.scheduler.search import Placed, Search

Verdict = list[Placed] | Literal["impossible", "undecided"]


@dataclass(eq=False, slots=True)
class _Template:
    """`count` copies of `scope` for each copy of the parent; `loose` parts need no domain of their own."""

    scope: Scope
    count: int
    loose: list[Scope] = field(default_factory=list)
    inner: list[_Template] = field(default_factory=list)
    copies: dict[int, int] = field(default_factory=dict)
    pods: dict[int, dict[int, int]] = field(default_factory=dict)
    """Columns: of q by domain, of x by shape number and position."""

    @property
    def level(self) -> int:
        return self.scope.required

    def walk(self) -> Iterator[_Template]:
        yield self
        for inner in self.inner:
            yield from inner.walk()


@dataclass(frozen=True, slots=True)
class Bound:
    """A scope uses at most so many domains of a level, those in `home` (where members run) counted in."""

    scope: Scope
    level: int
    most: int
    home: frozenset[int]


def decide(search: Search, tree: Scope, *, columns: int, nodes: int, bounds: Sequence[Bound] = ()) -> Verdict:
    """Where the tree's pods go, by any lawful arrangement; or that there is none; or that the budget ended first.

    The table stays as it is. `search.ready(tree)` is done here. Scopes that have a bound are no copies of others.
    """
    search.ready(tree)
    if any(shape.zoned for shape, _ in tree.ask):
        return "undecided"  # zones inside a host are not in the program
    program = _Program(search, columns)
    cut = _Cut(tree, [bound.scope for bound in bounds])
    root = cut.template(tree, 1)
    try:
        program.add(root, [(0, len(search.table))], None)
        program.share_nodes()
        for bound in bounds:
            program.use_at_most(next(t for t in root.walk() if t.scope is bound.scope), bound)
    except _TooLarge:
        return "undecided"
    values = program.solve(nodes)
    if isinstance(values, str):
        return values
    return list(_hand_out(search, cut, root, [tree], (0, len(search.table)), values))


class _Cut:
    """How a tree of scopes is cut into templates: equal scopes together, but those that are `bound` each alone."""

    def __init__(self, tree: Scope, bound: Sequence[Scope]) -> None:
        self._bound = {id(scope) for scope in bound}
        self._unlike = {id(s) for s in tree.walk() if self._bound and self._bound & {id(c) for c in s.walk()}}

    def template(self, scope: Scope, count: int) -> _Template:
        found = _Template(scope, count)
        inner: dict[tuple[object, ...], list[Scope]] = {}
        for part in self.parts(scope):
            if self.is_loose(part, scope):
                found.loose.append(part)
            else:
                inner.setdefault(self.kind(part), []).append(part)
        found.inner = [self.template(alike[0], len(alike)) for alike in inner.values()]
        return found

    def kind(self, part: Scope) -> tuple[object, ...]:
        """Equal for scopes that one template stands for."""
        return (id(part),) if id(part) in self._unlike else part.signature

    def is_loose(self, part: Scope, around: Scope) -> bool:
        """It needs no domain of its own inside that of the scope around it."""
        is_free = id(part) not in self._bound and (part.unit is not None or part.required <= around.required)
        return is_free or part is around

    def parts(self, scope: Scope) -> Iterator[Scope]:
        """Scopes below that ask for pods: units, leaves, and what needs a narrower domain than `scope`, or is bound."""
        if scope.unit is not None or scope.is_leaf:
            yield scope
        else:
            yield from self._parts_within(scope, scope)

    def _parts_within(self, scope: Scope, around: Scope) -> Iterator[Scope]:
        for child in scope.children:
            if child.demand:
                if child.is_leaf or child.unit is not None or not self.is_loose(child, around):
                    yield child
                else:
                    yield from self._parts_within(child, around)


class _TooLarge(Exception):  # noqa: N818 - no error: the budget's end
    """More columns than the budget allows."""


class _Program:
    def __init__(self, search: Search, columns: int) -> None:
        self.search, self.most = search, columns
        self.upper: list[int] = []
        self.rows: list[tuple[list[int], list[int], float, float]] = []
        self._on_node: dict[int, list[tuple[Shape, int]]] = defaultdict(list)

    def _column(self, upper: int) -> int:
        if len(self.upper) >= self.most:
            raise _TooLarge
        self.upper.append(upper)
        return len(self.upper) - 1

    def _row(self, columns: list[int], factors: list[int], lower: float, upper: float) -> None:
        self.rows.append((columns, factors, lower, upper))

    def add(self, template: _Template, ranges: list[tuple[int, int]], parent: _Template | None) -> None:
        """Columns and rows of a template whose copies may sit within `ranges` (domains of the parent)."""
        search, index, level = self.search, self.search.index, template.level
        most = template.count * (1 if parent is None else sum(self.upper[c] for c in parent.copies.values()))
        for lo, hi in ranges:
            first, _ = index.inside(level, lo, hi)
            fits = search.capacity.wholes(search.lanes, template.scope, level, lo, hi, most)
            allowed = search.capacity.anchored(template.scope, level, lo, hi)
            for i in np.flatnonzero(fits if allowed is None else fits * allowed).tolist():
                template.copies[first + i] = self._column(int(fits[i]))
        if parent is None:
            columns = list(template.copies.values())
            self._row(columns, [1] * len(columns), 1, 1)
        else:
            self._tie_to(parent, template)
        domains = [index.range(level, d) for d in template.copies]
        self._add_pods(template)
        for inner in template.inner:
            self.add(inner, domains, template)

    def _tie_to(self, parent: _Template, child: _Template) -> None:
        """As many copies within each domain of the parent as the parent has there, times its count."""
        index = self.search.index
        for domain, copies in parent.copies.items():
            first, end = index.inside(child.level, *index.range(parent.level, domain))
            within = [child.copies[d] for d in range(first, end) if d in child.copies]
            self._row([*within, copies], [*[1] * len(within), -child.count], 0, 0)

    def _add_pods(self, template: _Template) -> None:
        lanes, index = self.search.lanes, self.search.index
        asked: dict[int, tuple[Shape, int]] = {}
        for part in template.loose:
            for shape, n in part.ask:
                asked[shape.number] = (shape, n + asked.get(shape.number, (shape, 0))[1])
        for number, (shape, n) in asked.items():
            fits = lanes.k[lanes.lane[id(shape)]]
            pods = template.pods[number] = {}
            for domain, copies in template.copies.items():
                lo, hi = index.range(template.level, domain)
                inside = []
                for position in (lo + np.flatnonzero(fits[lo:hi])).tolist():
                    column = self._column(min(int(fits[position]), n * self.upper[copies]))
                    pods[position] = column
                    inside.append(column)
                    self._on_node[position].append((shape, column))
                self._row([*inside, copies], [*[1] * len(inside), -n], 0, 0)

    def share_nodes(self) -> None:
        """No node gives more than it has free, or to two pods that exclude each other."""
        table, perm = self.search.table, self.search.index.perm
        for position, asking in self._on_node.items():
            free = table.free[perm[position]]
            for resource in sorted({c for shape, _ in asking for c, _ in shape.asked}):
                using = [(column, int(shape.request[resource])) for shape, column in asking if shape.request[resource]]
                if sum(amount * self.upper[column] for column, amount in using) > free[resource]:
                    self._row([c for c, _ in using], [a for _, a in using], -np.inf, float(free[resource]))
            self._keep_apart([(shape, column) for shape, column in asking if shape.claims])

    def use_at_most(self, template: _Template, bound: Bound) -> None:
        """u says for each domain whether it is used: Σ x in it <= room · u,   Σ u <= most."""
        dom = self.search.index.dom[bound.level]
        inside: dict[int, list[int]] = defaultdict(list)
        for part in template.walk():
            for pods in part.pods.values():
                for position, column in pods.items():
                    inside[int(dom[position])].append(column)
        used = []
        for domain, columns in sorted(inside.items()):
            if domain not in bound.home:
                used.append(self._column(1))
                room = sum(self.upper[column] for column in columns)
                self._row([*columns, used[-1]], [*[1] * len(columns), -room], -np.inf, 0)
        self._row(used, [1] * len(used), 0, bound.most - len(bound.home))

    def _keep_apart(self, claiming: list[tuple[Shape, int]]) -> None:
        """Of pods that exclude each other only one kind is on the node: y says whether the first is."""
        for i, (shape, column) in enumerate(claiming):
            for other, column_of_other in claiming[i + 1 :]:
                if claims_collide(shape.claims, other.claims):
                    first = self._column(1)
                    self._row([column, first], [1, -self.upper[column]], -np.inf, 0)
                    most = self.upper[column_of_other]
                    self._row([column_of_other, first], [1, most], -np.inf, most)

    def solve(self, nodes: int) -> Ints | Literal["impossible", "undecided"]:
        """The columns' values."""
        if any(lower > 0 and not columns for columns, _, lower, _ in self.rows):
            return "impossible"
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self.upper), len(self.rows)
        lp.col_cost_, lp.col_lower_ = np.zeros(len(self.upper)), np.zeros(len(self.upper))
        lp.col_upper_ = np.array(self.upper, dtype=float)
        lp.row_lower_ = np.array([lower for *_, lower, _ in self.rows], dtype=float)
        lp.row_upper_ = np.array([upper for *_, upper in self.rows], dtype=float)
        lp.integrality_ = [highspy.HighsVarType.kInteger] * len(self.upper)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.cumsum([0, *(len(columns) for columns, *_ in self.rows)])
        lp.a_matrix_.index_ = np.array([c for columns, *_ in self.rows for c in columns], dtype=np.int32)
        lp.a_matrix_.value_ = np.array([f for _, factors, *_ in self.rows for f in factors], dtype=float)
        highs = highspy.Highs()
        for option, value in (("output_flag", False), ("threads", 1), ("mip_max_nodes", nodes)):
            highs.setOptionValue(option, value)
        highs.passModel(lp)
        highs.run()
        status = highs.getModelStatus()
        if status == highspy.HighsModelStatus.kOptimal:
            found: Ints = np.rint(np.array(highs.getSolution().col_value)).astype(np.int64)
            return found
        return "impossible" if status == highspy.HighsModelStatus.kInfeasible else "undecided"


def _hand_out(
    search: Search, cut: _Cut, template: _Template, copies: list[Scope], within: tuple[int, int], values: Ints
) -> Iterator[Placed]:
    """The scopes that these copies stand for, one domain after the other, with their pods on nodes in path order."""
    index = search.index
    first, end = index.inside(template.level, *within)
    waiting = list(copies)
    for domain in range(first, end):
        n = int(values[template.copies[domain]]) if domain in template.copies else 0
        if not n:
            continue
        here, waiting = waiting[:n], waiting[n:]
        lo, hi = index.range(template.level, domain)
        queues = {
            number: [
                int(index.perm[p])
                for p, column in sorted(pods.items(), reverse=True)
                if lo <= p < hi
                for _ in range(int(values[column]))
            ]
            for number, pods in template.pods.items()
        }
        parts = [part for scope in here for part in cut.parts(scope)]
        for part in parts:
            if cut.is_loose(part, template.scope):
                yield from search.members(part, queues)
        for inner in template.inner:
            alike = [p for p in parts if not cut.is_loose(p, template.scope) and cut.kind(p) == cut.kind(inner.scope)]
            yield from _hand_out(search, cut, inner, alike, (lo, hi), values)
