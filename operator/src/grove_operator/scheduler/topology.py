"""A topology as a tree whose domains are contiguous ranges of one node order.

    level 0            the cluster         [0 .................... N)
    level 1..L         the topology's keys [0 .......)[.......)[...)   a domain is a PATH of labels: b1/r1 is not b2/r1
    level L+1          the node itself

Nodes are sorted by path, so `lo[l][d]:hi[l][d]` are the positions of domain `d` at level `l`. A node without the label
of a level (or of a broader one) is in no domain of that level: it sits in a range of its own that is not `real`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grove_operator.scheduler.model import Node
from grove_operator.scheduler.nodes import Bools, Ints

HOSTNAME = "kubernetes.io/hostname"
Path = tuple[tuple[bool, str], ...]


class TopologyIndex:
    def __init__(self, nodes: Sequence[Node], name: str, keys: Sequence[str], zone: str = "") -> None:
        self.name, self.keys, self.zone = name, tuple(keys), zone
        self.host = len(keys) + 1
        self.paths = [path(node, self.keys) for node in nodes]
        order = sorted(range(len(nodes)), key=lambda i: (self.paths[i], nodes[i].name))
        self.perm: Ints = np.array(order, dtype=np.int64)
        self.position: Ints = np.empty(len(order), dtype=np.int64)
        self.position[self.perm] = np.arange(len(order))
        self.lo: list[Ints] = []
        self.hi: list[Ints] = []
        self.dom: list[Ints] = []
        self.real: list[Bools] = []
        self._names: list[list[str]] = []
        ordered = [self.paths[i] for i in order]
        for level in range(self.host):
            self._add_level(level, ordered)
        everywhere = np.arange(len(order), dtype=np.int64)
        self._append(
            everywhere, everywhere, np.ones(len(order), dtype=bool), [nodes[i].name for i in order], len(order)
        )
        self.is_real = [bool(real.all()) for real in self.real]
        self.offset = np.cumsum([0, *(len(lo) for lo in self.lo[: self.host])]).tolist()
        """Where each level above the hosts begins when the domains of all those levels are numbered in one go."""
        self.above: Ints = np.stack([self.dom[level] + self.offset[level] for level in range(self.host)])
        """[host, N]: for each position, the number of its domain at each level."""
        self.child_lo, self.child_hi = self._children()
        """For each such domain its domains at the next level (so numbered), or positions below the finest level."""

    def _add_level(self, level: int, ordered: Sequence[Path]) -> None:
        starts = [i for i, p in enumerate(ordered) if i == 0 or p[:level] != ordered[i - 1][:level]]
        first = np.array(starts, dtype=np.int64)
        dom = np.zeros(len(ordered), dtype=np.int64)
        dom[first[1:]] = 1
        names = ["/".join(label for _, label in ordered[s][:level]) if level else "the cluster" for s in starts]
        real = np.array([all(ok for ok, _ in ordered[s][:level]) for s in starts], dtype=bool)
        self._append(first, np.cumsum(dom), real, names, len(ordered))

    def _append(self, starts: Ints, dom: Ints, real: Bools, names: list[str], end: int) -> None:
        self.lo.append(starts)
        self.hi.append(np.append(starts[1:], [end] if len(starts) else []).astype(np.int64))
        self.dom.append(dom)
        self.real.append(real)
        self._names.append(names)

    def _children(self) -> tuple[Ints, Ints]:
        first, end = [], []
        for level in range(self.host):
            if level == self.host - 1 or not len(self.lo[level]):
                first.append(self.lo[level])
                end.append(self.hi[level])
            else:
                inner = self.dom[level + 1]
                first.append(self.offset[level + 1] + inner[self.lo[level]])
                end.append(self.offset[level + 1] + inner[self.hi[level] - 1] + 1)
        return np.concatenate(first), np.concatenate(end)

    def level(self, key: str | None) -> int | None:
        """Level of a node label key: None when no such level; the hostname is always one. A NUMA zone is of a host."""
        if not key:
            return 0
        if key in self.keys:
            return self.keys.index(key) + 1
        return self.host if key in (HOSTNAME, self.zone) else None

    def level_name(self, level: int) -> str:
        if level == 0:
            return "cluster"
        return self.keys[level - 1] if level < self.host else HOSTNAME

    def domain_name(self, level: int, domain: int) -> str:
        """`b1/r2` for a domain, the node's name for a host, `the cluster` for everything."""
        return self._names[level][domain]

    def inside(self, level: int, lo: int, hi: int) -> tuple[int, int]:
        """Ids of the domains of `level` within the range [lo, hi) of a broader one: first, end."""
        if lo >= hi:
            return 0, 0
        if level == self.host:
            return lo, hi
        dom = self.dom[level]
        return int(dom[lo]), int(dom[hi - 1]) + 1

    def is_in_a_domain(self, level: int) -> Bools:
        """For each position: does its node carry the labels down to this level?"""
        found: Bools = self.real[level][self.dom[level]]
        return found

    def range(self, level: int, domain: int) -> tuple[int, int]:
        """Positions of a domain: lo, hi."""
        return int(self.lo[level][domain]), int(self.hi[level][domain])


def path(node: Node, keys: Sequence[str]) -> Path:
    """(has the label, value) per key; a missing one stands alone under the node's name and sorts first."""
    return tuple((True, node.labels[k]) if node.labels.get(k) else (False, node.name) for k in keys)
