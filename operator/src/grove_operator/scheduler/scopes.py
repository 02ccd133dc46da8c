"""The scopes of one gang: who must, or would like to, share a domain with whom.

    (siblings)          for a scaled gang, its base gang's constraint: shared with all gangs of the PodCliqueSet replica
      gang              spec.topologyConstraint
        group           topologyConstraintGroupConfigs[]
          podgroup      podgroups[]: the leaves, which ask for pods

A scope without a constraint of its own is dissolved into its parent, except leaves, which are packed together there.
A scope that must sit on one node asks for one *unit*: all its pods as a single shape, which makes a level of the search
disappear.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from grove_operator.scheduler.lanes import NOTHING, Demand, Lanes, Need
from grove_operator.scheduler.model import Constraint, Gang, Member, PodGroup, comes_later
from grove_operator.scheduler.nodes import NodeTable, Shape
from grove_operator.scheduler.topology import TopologyIndex

Where = Mapping[str, Mapping[str, int]]
"""Members placed by the decision at hand: gang key -> member key -> node row."""
NOWHERE: Mapping[str, int] = {}


class ScopeError(Exception):
    """A gang asks for something the topology doesn't have; `reason` is the refusal's machine word."""

    def __init__(self, reason: str, scope: str, message: str, level: str = "") -> None:
        super().__init__(message)
        self.reason, self.scope, self.level = reason, scope, level


@dataclass(eq=False, slots=True)
class Scope:
    """`required` and `wished` are levels (0: anywhere), already made consistent with the parent's.

    `demand`: pods asked for now; `full`: all that are known to come, those beyond the minima and those still gated
    included. `ask`, `ask_full`: the same with units in place of the pods that must share a node. `need`, `need_full`:
    what these come to on the lanes. `anchors`: rows of nodes where members run already, one for each member.
    `signature` is equal for scopes that ask for the same. `labelled`: the finest label level that the scope or a part
    of it requires: its nodes need the labels down to that level even where it sits on a single host.
    `zoned`: all in one NUMA zone. `is_picky`: a unit that can't float inside a broader domain, as not every host there
    will do.
    """

    name: str
    required: int
    wished: int
    is_constrained: bool
    children: list[Scope] = field(default_factory=list)
    needed: list[Member] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    extras: list[Member] = field(default_factory=list)
    demand: Demand = field(default_factory=list)
    full: Demand = field(default_factory=list)
    ask: Demand = field(default_factory=list)
    ask_full: Demand = field(default_factory=list)
    need: Need = NOTHING
    need_full: Need = NOTHING
    anchors: list[int] = field(default_factory=list)
    unit: Shape | None = None
    signature: tuple[object, ...] = ()
    labelled: int = 0
    zoned: bool = False
    is_picky: bool = False
    inner: dict[int, list[tuple[Scope, int]]] = field(default_factory=dict)

    @property
    def is_leaf(self) -> bool:
        return not self.children

    @property
    def pods(self) -> int:
        return sum(n for _, n in self.demand)

    def walk(self) -> Iterator[Scope]:
        yield self
        for child in self.children:
            yield from child.walk()

    def leaves(self) -> Iterator[Scope]:
        return (s for s in self.walk() if s.is_leaf)

    def templates(self, level: int) -> list[tuple[Scope, int]]:
        """Scopes below that need a domain narrower than `level`, outermost ones, equal ones counted together."""
        found = self.inner.get(level)
        if found is None:
            counted: dict[tuple[object, ...], tuple[Scope, int]] = {}
            for scope in [] if self.unit else self._narrower(level):
                _, n = counted.get(scope.signature, (scope, 0))
                counted[scope.signature] = (scope, n + 1)
            found = self.inner[level] = list(counted.values())
        return found

    def _narrower(self, level: int) -> Iterator[Scope]:
        for child in self.children:
            if child.demand and (child.unit is None or child.is_picky):
                if child.required > level:
                    yield child
                else:
                    yield from child._narrower(level)


def build(
    gang: Gang,
    siblings: Sequence[Gang],
    table: NodeTable,
    index: TopologyIndex,
    where: Where,
    extras: Mapping[str, int] | None = None,
    held: Mapping[str, int] | None = None,
) -> Scope:
    """The scope tree of what is still to be placed. Raises ScopeError for levels that the topology doesn't have.

    `siblings` are the other gangs of the same PodCliqueSet replica; the base gang's constraint holds for all of them.
    With `extras` (podgroup -> count) it asks for so many members beyond the minima, and for no minima.
    `held` has levels that scopes are to keep beyond what they require, by the scope's name.
    """
    builder = _Builder(table, index, where, extras, held)
    base = next((s for s in siblings if s.key == gang.base_key), None)
    if base is not None and base.constraint:
        outer = builder.scope(f"podgang {base.name} and its siblings", base.constraint, 0)
        outer.children = [builder.gang(gang, outer.required)]
        tree = builder.close(outer)
    else:
        tree = builder.gang(gang, 0)
    is_bound_to_siblings = gang.base is None or (base is not None and bool(base.constraint))
    if siblings and tree.is_constrained and is_bound_to_siblings:
        rows = [row for s in siblings for g in s.podgroups for row in builder.rows(s, g.members)]
        if rows:
            tree.anchors = [*tree.anchors, *rows]
            builder.sum_up(tree)
    return tree


def with_siblings(
    tree: Scope, siblings: Sequence[Gang], table: NodeTable, index: TopologyIndex, where: Where
) -> Scope | None:
    """`tree` and what its unplaced siblings will need, as one scope for look-ahead; None if they need nothing."""
    if not tree.is_constrained:
        return None
    builder = _Builder(table, index, where)
    waiting = [s for sibling in siblings if (s := builder.gang(sibling, tree.required, gated=True)).demand]
    if not waiting:
        return None
    whole = Scope(tree.name, tree.required, tree.wished, True, children=[*(tree.children or [tree]), *waiting])
    return builder.close(whole)


def prepare(tree: Scope, lanes: Lanes) -> None:
    """Express what each scope asks for on these lanes; the parts of a unit ask for nothing of their own."""
    if tree.ask:
        tree.need = lanes.need(tree.ask)
        tree.need_full = tree.need if tree.ask_full is tree.ask else lanes.need(tree.ask_full)
    for child in tree.children if tree.unit is None else ():
        prepare(child, lanes)


def narrower(scope: Scope, level: int) -> Iterator[Scope]:
    """Children that still ask for pods; one that asks for nothing narrower than the domain gives way to its own."""
    for child in scope.children:
        if not child.demand:
            continue
        if not child.is_leaf and not child.unit and max(child.required, child.wished) <= level:
            yield from narrower(child, level)
        else:
            yield child


def is_loose(scope: Scope, level: int) -> bool:
    """It needs no domain of its own inside one of this level (a unit needs a host, which packing sees to)."""
    return (scope.unit is not None and not scope.is_picky) or (
        scope.is_leaf and max(scope.required, scope.wished) <= level
    )


class _Builder:
    def __init__(
        self,
        table: NodeTable,
        index: TopologyIndex,
        where: Where,
        extras: Mapping[str, int] | None = None,
        held: Mapping[str, int] | None = None,
    ) -> None:
        self.table, self.index, self.where, self.wanted, self.held = table, index, where, extras, held or {}

    def gang(self, gang: Gang, required: int, *, gated: bool = False) -> Scope:
        root = self.scope(f"podgang {gang.name}", gang.constraint, required)
        grouped: set[str] = set()
        if gang.groups:
            by_name = {g.name: g for g in gang.podgroups}
            for config in gang.groups:
                members = [by_name[n] for n in config.podgroups if n in by_name]
                grouped.update(g.name for g in members)
                group = self.scope(f"group {config.name}", config.constraint, root.required)
                group.children = [self.leaf(gang, g, group, gated) for g in members]
                if not group.is_constrained:
                    root.children += group.children
                elif group.children:
                    root.children.append(self.close(group))
        root.children += [self.leaf(gang, g, root, gated) for g in gang.podgroups if g.name not in grouped]
        return self.close(root)

    def scope(self, name: str, constraint: Constraint, required: int) -> Scope:
        if not constraint:
            return Scope(name, required, required, False)
        asked = (self._level(constraint.required, name), self.held.get(name, 0))
        own_required = max(asked)
        own_wished = max(self._level(constraint.preferred, name), own_required)
        required = max(required, own_required)
        # A parent's wish isn't the child's: the child only inherits what it can't avoid.
        labelled = max((level for level in asked if level < self.index.host), default=0)
        zoned = bool(constraint.required) and constraint.required == self.index.zone
        return Scope(name, required, max(own_wished, required), True, labelled=labelled, zoned=zoned)

    def rows(self, gang: Gang, members: Iterable[Member]) -> list[int]:
        """Rows of the nodes where members run; a node that is gone anchors nothing."""
        placed, row = self.where.get(gang.key, NOWHERE), self.table.row
        found = [placed.get(m.key) if m.node is None else row.get(m.node) for m in members]
        return [r for r in found if r is not None]

    def leaf(self, gang: Gang, group: PodGroup, parent: Scope, gated: bool) -> Scope:
        leaf = self.scope(f"podgroup {group.name}", group.constraint, parent.required)
        placed = self.where.get(gang.key, NOWHERE)
        waiting: list[Member] = []
        coming: list[Member] = []
        bound = 0
        for member in group.members:
            if member.node is not None or (placed and member.key in placed):
                bound += 1
                continue
            coming.append(member)
            if gated or not member.is_gated:
                waiting.append(member)
        waiting.sort(key=comes_later)
        missing = max(group.minimum - bound, 0)
        leaf.needed, leaf.extras = waiting[:missing], waiting[missing:]
        if self.wanted is not None:
            leaf.needed = leaf.extras[: self.wanted.get(group.name, 0)]
            coming = leaf.needed
        shape = self.table.shape
        leaf.shapes = [shape(m.needs) for m in leaf.needed]
        leaf.demand = _count(leaf.shapes)
        leaf.full = leaf.demand if len(coming) == len(leaf.needed) else _count([shape(m.needs) for m in coming])
        if bound:
            leaf.anchors = self.rows(gang, group.members)
        self.sum_up(leaf)
        return leaf

    def close(self, scope: Scope) -> Scope:
        """Sum up the children."""
        children = scope.children
        scope.demand = _merge([c.demand for c in children])
        is_minimal = all(c.full is c.demand for c in children)
        scope.full = scope.demand if is_minimal else _merge([c.full for c in children])
        scope.anchors = [*scope.anchors, *(row for c in children for row in c.anchors)]
        self.sum_up(scope)
        return scope

    def sum_up(self, scope: Scope) -> None:
        """What the scope asks for: one unit when all must be on one node, else what its parts ask for."""
        own = scope.required if scope.required < self.index.host else 0
        scope.labelled = max([own, scope.labelled, *(c.labelled for c in scope.children)])
        is_anywhere = self.index.is_real[scope.labelled]  # else a host is chosen by its labels too, as a domain is
        is_one = scope.required == self.index.host and bool(scope.demand) and not scope.anchors
        if self.index.zone and not scope.zoned:
            is_one = is_one and not any(s.unit is not None and s.unit.zoned for c in scope.children for s in c.walk())
        if is_one and (is_anywhere or scope.zoned):
            scope.is_picky = not is_anywhere
            scope.unit = self.table.unit(scope.demand, zoned=scope.zoned)
            scope.ask = scope.ask_full = [(scope.unit, 1)]
            if scope.full is not scope.demand:
                scope.ask_full = [(self.table.unit(scope.full, zoned=scope.zoned), 1)]
        elif scope.is_leaf:
            scope.unit, scope.ask, scope.ask_full = None, scope.demand, scope.full
        else:
            scope.unit = None
            scope.ask = _merge([c.ask for c in scope.children])
            is_minimal = all(c.ask_full is c.ask for c in scope.children)
            scope.ask_full = scope.ask if is_minimal else _merge([c.ask_full for c in scope.children])
        scope.signature = (
            (scope.required, scope.wished, tuple((s.number, n) for s, n in scope.ask))
            + tuple(c.signature for c in scope.children if c.demand)
            + (() if scope.ask_full is scope.ask else (tuple((s.number, n) for s, n in scope.ask_full),))
            + ((id(scope),) if scope.anchors else ())
        )

    def _level(self, key: str | None, scope: str) -> int:
        level = self.index.level(key)
        if level is None:
            known = ", ".join(self.index.keys) or "none"
            raise ScopeError(
                "UnknownLevel",
                scope,
                f"{scope}: no level {key} in topology {self.index.name} (levels: {known}); "
                "add it to the ClusterTopologyBinding or correct the constraint",
                level=key or "",
            )
        return level


def _count(shapes: Sequence[Shape]) -> Demand:
    counted: dict[int, tuple[Shape, int]] = {}
    for shape in shapes:
        known = counted.get(shape.number)
        counted[shape.number] = (shape, 1) if known is None else (shape, known[1] + 1)
    return list(counted.values())


def _merge(demands: Sequence[Demand]) -> Demand:
    if len(demands) == 1:
        return demands[0]
    merged: dict[int, tuple[Shape, int]] = {}
    for demand in demands:
        for shape, n in demand:
            known = merged.get(shape.number)
            merged[shape.number] = (shape, n) if known is None else (shape, known[1] + n)
    return list(merged.values())
