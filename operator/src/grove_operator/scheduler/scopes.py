"""The scopes of one gang: who must, or would like to, share a domain with whom.

    (siblings)          for a scaled gang, its base gang's constraint: shared with all gangs of the PodCliqueSet replica
      gang              spec.topologyConstraint
        group           topologyConstraintGroupConfigs[]
          podgroup      podgroups[]: the leaves, which ask for pods

A scope without a constraint of its own is dissolved into its parent, except leaves, which are packed together there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from grove_operator.scheduler.model import Constraint, Gang, Member, PodGroup
from grove_operator.scheduler.nodes import Ints, NodeTable, Shape
from grove_operator.scheduler.topology import TopologyIndex

Demand = list[tuple[Shape, int]]


class ScopeError(Exception):
    """A gang asks for something the topology doesn't have; `reason` is the refusal's machine word."""

    def __init__(self, reason: str, scope: str, message: str, level: str = "") -> None:
        super().__init__(message)
        self.reason, self.scope, self.level = reason, scope, level


@dataclass(eq=False, slots=True)
class Scope:
    """`required` and `wished` are levels (0: anywhere), already made consistent with the parent's.

    `demand` is asked for now; `full` is all that is known to come, members whose gate hasn't been lifted yet included.
    """

    name: str
    required: int
    wished: int
    is_constrained: bool
    children: list[Scope] = field(default_factory=list)
    needed: list[Member] = field(default_factory=list)
    extras: list[Member] = field(default_factory=list)
    demand: Demand = field(default_factory=list)
    full: Demand = field(default_factory=list)
    anchors: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

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


def build(gang: Gang, siblings: Sequence[Gang], table: NodeTable, index: TopologyIndex) -> Scope:
    """The scope tree of what is still to be placed. Raises ScopeError for levels that the topology doesn't have.

    `siblings` are the other gangs of the same PodCliqueSet replica; the base gang's constraint holds for all of them.
    """
    builder = _Builder(table, index)
    tree = builder.gang(gang, 0)
    base = next((s for s in siblings if s.key == gang.base_key), None)
    if base is not None and base.constraint:
        outer = builder.scope(f"podgang {base.name} and its siblings", base.constraint, 0)
        tree = builder.gang(gang, outer.required)
        outer.children = [tree]
        tree = builder.close(outer)
    is_bound_to_siblings = gang.base is None or (base is not None and base.constraint)
    if is_bound_to_siblings:
        rows = [table.row[m.node] for s in siblings for g in s.podgroups for m in g.members if m.node in table.row]
        if rows and tree.is_constrained:
            tree.anchors = np.unique(np.concatenate([tree.anchors, np.array(rows, dtype=np.int64)]))
    return tree


def with_siblings(tree: Scope, siblings: Sequence[Gang], table: NodeTable, index: TopologyIndex) -> Scope | None:
    """`tree` and what its unplaced siblings will need, as one scope for look-ahead; None if they need nothing."""
    builder = _Builder(table, index)
    waiting = []
    for sibling in siblings:
        scope = builder.gang(sibling, tree.required, gated=True)
        if scope.pods:
            waiting.append(scope)
    if not waiting or not tree.is_constrained:
        return None
    whole = Scope(tree.name, tree.required, tree.wished, True, children=[*(tree.children or [tree]), *waiting])
    return builder.close(whole)


class _Builder:
    def __init__(self, table: NodeTable, index: TopologyIndex) -> None:
        self.table, self.index = table, index

    def gang(self, gang: Gang, required: int, *, gated: bool = False) -> Scope:
        root = self.scope(f"podgang {gang.name}", gang.constraint, required)
        by_name = {g.name: g for g in gang.podgroups}
        grouped: set[str] = set()
        for config in gang.groups:
            members = [by_name[n] for n in config.podgroups if n in by_name]
            grouped.update(g.name for g in members)
            group = self.scope(f"group {config.name}", config.constraint, root.required)
            group.children = [self.leaf(g, group, gated) for g in members]
            if not group.is_constrained:
                root.children += group.children
            elif group.children:
                root.children.append(self.close(group))
        root.children += [self.leaf(g, root, gated) for g in gang.podgroups if g.name not in grouped]
        return self.close(root)

    def scope(self, name: str, constraint: Constraint, required: int) -> Scope:
        own_required = self._level(constraint.required, name)
        own_wished = max(self._level(constraint.preferred, name), own_required)
        required = max(required, own_required)
        # A parent's wish isn't the child's: the child only inherits what it can't avoid.
        return Scope(name, required, max(own_wished, required), bool(constraint))

    def leaf(self, group: PodGroup, parent: Scope, gated: bool) -> Scope:
        leaf = self.scope(f"podgroup {group.name}", group.constraint, parent.required)
        bound = [m for m in group.members if m.node is not None]
        waiting = [m for m in group.members if m.node is None and (gated or not m.is_gated)]
        missing = max(group.minimum - len(bound), 0)
        leaf.needed, leaf.extras = waiting[:missing], waiting[missing:]
        leaf.demand = self._demand(leaf.needed)
        leaf.full = self._demand([m for m in group.members if m.node is None])
        rows = [self.table.row[m.node] for m in bound if m.node in self.table.row]
        leaf.anchors = np.unique(np.array(rows, dtype=np.int64))
        return leaf

    def close(self, scope: Scope) -> Scope:
        """Sum up the children."""
        scope.demand = _merge([c.demand for c in scope.children])
        scope.full = _merge([c.full for c in scope.children])
        scope.anchors = np.unique(np.concatenate([scope.anchors, *(c.anchors for c in scope.children)]))
        return scope

    def _demand(self, members: Sequence[Member]) -> Demand:
        return _merge([[(self.table.shape(m.needs), 1)] for m in members])

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


def _merge(demands: Sequence[Demand]) -> Demand:
    merged: dict[int, tuple[Shape, int]] = {}
    for demand in demands:
        for shape, n in demand:
            merged[id(shape)] = (shape, merged.get(id(shape), (shape, 0))[1] + n)
    return list(merged.values())
