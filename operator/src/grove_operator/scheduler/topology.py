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

from grove_operator.scheduler.nodes import Bools, Ints, NodeTable

HOSTNAME = "kubernetes.io/hostname"


class TopologyIndex:
    def __init__(self, table: NodeTable, name: str, keys: Sequence[str]) -> None:
        self.name, self.keys = name, tuple(keys)
        self.host = len(keys) + 1
        paths = [_path(node.labels, self.keys, node.name) for node in table.nodes]
        order = sorted(range(len(paths)), key=lambda i: (paths[i], table.nodes[i].name))
        self.perm: Ints = np.array(order, dtype=np.int64)
        self.position: Ints = np.empty(len(order), dtype=np.int64)
        self.position[self.perm] = np.arange(len(order))
        self.lo: list[Ints] = []
        self.hi: list[Ints] = []
        self.dom: list[Ints] = []
        self.real: list[Bools] = []
        self._paths: list[list[tuple[str, ...]]] = []
        ordered = [paths[i] for i in order]
        hosts = [(*paths[i], (True, table.nodes[i].name)) for i in order]
        for level in range(self.host + 1):
            self._add_level(level, hosts if level == self.host else ordered)

    def _add_level(self, level: int, ordered: Sequence[tuple[tuple[bool, str], ...]]) -> None:
        starts: list[int] = []
        dom = np.zeros(len(ordered), dtype=np.int64)
        for i, path in enumerate(ordered):
            if i == 0 or path[:level] != ordered[i - 1][:level]:
                starts.append(i)
            dom[i] = len(starts) - 1
        self.lo.append(np.array(starts, dtype=np.int64))
        self.hi.append(np.array([*starts[1:], len(ordered)] if starts else [], dtype=np.int64))
        self.dom.append(dom)
        self.real.append(
            np.array([level == self.host or all(ok for ok, _ in ordered[s][:level]) for s in starts], bool)
        )
        self._paths.append([tuple(label for _, label in ordered[s][:level]) for s in starts])

    def level(self, key: str | None) -> int | None:
        """Level of a node label key: None when no such level; the hostname is always one."""
        if not key:
            return 0
        if key in self.keys:
            return self.keys.index(key) + 1
        return self.host if key == HOSTNAME else None

    def level_name(self, level: int) -> str:
        if level == 0:
            return "cluster"
        return self.keys[level - 1] if level < self.host else HOSTNAME

    def domain_name(self, level: int, domain: int) -> str:
        """`b1/r2` for a domain, the node's name for a host, `the cluster` for everything."""
        path = self._paths[level][domain]
        if level == 0:
            return "the cluster"
        return path[-1] if level == self.host else "/".join(path)

    def sums(self, level: int, values: Ints) -> Ints:
        """Sum per domain of per-position values."""
        if not len(self.lo[level]):
            return np.zeros(0, dtype=np.int64)
        if level == self.host:
            return values
        return np.add.reduceat(values, self.lo[level])

    def largest(self, level: int, values: Ints) -> Ints:
        if not len(self.lo[level]):
            return np.zeros(0, dtype=np.int64)
        return values if level == self.host else np.maximum.reduceat(values, self.lo[level])

    def inside(self, level: int, lo: int, hi: int) -> tuple[int, int]:
        """Ids of the domains of `level` within the range [lo, hi) of a broader one: first, end."""
        if lo >= hi:
            return 0, 0
        return int(self.dom[level][lo]), int(self.dom[level][hi - 1]) + 1

    def parents(self, level: int, broader: int) -> Ints:
        """For each domain of `level`, its domain at a broader level."""
        return self.dom[broader][self.lo[level]]


def _path(labels: dict[str, str], keys: Sequence[str], name: str) -> tuple[tuple[bool, str], ...]:
    """(has the label, value) per key; a missing one stands alone under the node's name and sorts first."""
    return tuple((True, labels[k]) if labels.get(k) else (False, name) for k in keys)
