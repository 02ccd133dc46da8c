"""Nodes as numpy columns, and what is still free on them, with an undo log.

rows: nodes in order of name        columns: every resource seen on a node or asked for by a pod
free[N, R] int64                    log: (rows, counts, request) of every `take`, undone in reverse
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grove_operator.scheduler.model import HostPort, Needs, Node
from grove_operator.scheduler.predicates import eligible, ports_collide

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(eq=False, slots=True)
class Shape:
    """Interned needs: `request[R]`, `fits[N]` = how many such pods each node takes now, `mask[N]` = may run there."""

    needs: Needs
    request: Ints
    columns: Ints
    asked: Ints
    mask: Bools
    fits: Ints
    seen: int

    @property
    def has_ports(self) -> bool:
        return bool(self.needs.host_ports)


class NodeTable:
    def __init__(self, nodes: Iterable[Node], needs: Iterable[Needs] = ()) -> None:
        self.nodes: Sequence[Node] = sorted(nodes, key=lambda n: n.name)
        self.row = {node.name: i for i, node in enumerate(self.nodes)}
        names = {"pods", "cpu", "memory"}
        names.update(r for node in self.nodes for r, _ in (*node.allocatable, *node.used))
        names.update(r for need in needs for r, _ in need.requests)
        self.resources = sorted(names)
        self.column = {r: i for i, r in enumerate(self.resources)}
        self.alloc = np.zeros((len(self.nodes), len(self.resources)), dtype=np.int64)
        self.free = self.alloc
        for i, node in enumerate(self.nodes):
            for resource, value in node.allocatable:
                self.alloc[i, self.column[resource]] = value
        self.free = self.alloc.copy()
        for i, node in enumerate(self.nodes):
            for resource, value in node.used:
                self.free[i, self.column[resource]] -= value
        self.ports: list[list[HostPort]] = [list(node.used_ports) for node in self.nodes]
        self._shapes: dict[Needs, Shape] = {}
        self._log: list[tuple[Ints, Ints, Shape]] = []
        self._dirty: list[Ints] = []

    def __len__(self) -> int:
        return len(self.nodes)

    def shape(self, needs: Needs) -> Shape:
        """The shape of these needs, its `fits` brought up to date."""
        shape = self._shapes.get(needs)
        if shape is None:
            request = np.zeros(len(self.resources), dtype=np.int64)
            for resource, value in needs.requests:
                request[self.column[resource]] = value
            columns = np.flatnonzero(request)
            shape = Shape(
                needs=needs,
                request=request,
                columns=columns,
                asked=request[columns],
                mask=eligible(needs, self.nodes),
                fits=np.zeros(len(self.nodes), dtype=np.int64),
                seen=len(self._dirty),
            )
            self._shapes[needs] = shape
            self._refresh(shape, np.arange(len(self.nodes)))
        elif shape.seen < len(self._dirty):
            self.catch_up(shape)
        return shape

    def catch_up(self, shape: Shape) -> None:
        """Recompute `fits` of the nodes that changed since the shape was last used."""
        if shape.seen < len(self._dirty):
            changed = self._dirty[shape.seen :]
            shape.seen = len(self._dirty)
            self._refresh(shape, changed[0] if len(changed) == 1 else np.unique(np.concatenate(changed)))

    def take(self, shape: Shape, rows: Ints, counts: Ints) -> None:
        """Place `counts` pods of a shape on `rows` (distinct); the caller has checked that they fit."""
        self.free[rows] -= counts[:, None] * shape.request
        self._log.append((rows, counts, shape))
        self._dirty.append(rows)
        if shape.has_ports:
            for r in rows.tolist():
                self.ports[r].extend(shape.needs.host_ports)

    def mark(self) -> int:
        return len(self._log)

    def undo(self, mark: int) -> None:
        """Give back everything taken since `mark`, newest first."""
        while len(self._log) > mark:
            rows, counts, shape = self._log.pop()
            self.free[rows] += counts[:, None] * shape.request
            self._dirty.append(rows)
            if shape.has_ports:
                for r in rows.tolist():
                    del self.ports[r][-len(shape.needs.host_ports) :]

    def taken_since(self, mark: int) -> list[tuple[Ints, Ints, Shape]]:
        return self._log[mark:]

    def _refresh(self, shape: Shape, rows: Ints) -> None:
        if not len(rows):
            return
        free = self.free[rows[:, None], shape.columns]
        fits = np.maximum((free // shape.asked).min(axis=1), 0)
        fits[~shape.mask[rows]] = 0
        if shape.has_ports:
            wanted = shape.needs.host_ports
            for i, r in enumerate(rows.tolist()):
                if fits[i]:
                    fits[i] = 0 if ports_collide(wanted, self.ports[r]) else 1
        shape.fits[rows] = fits
