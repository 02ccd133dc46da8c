"""Counts per node and per domain for a few shapes along one topology, kept in step from the table's dirty log.

    lane               value on a node                                   domain: the sum over its nodes
    shape s            how many pods of s fit there now
    joint (r, size)    floor(free of r / size), where any shape fits     only when there are several shapes
    scarce             free devices of the kind the shapes ask for       what counts as left over

K[C, N] holds the lanes by position, sums[C, G] by domain of all levels above the hosts, numbered in one go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grove_operator.scheduler.nodes import Bools, Ints, NodeTable, Shape
from grove_operator.scheduler.predicates import claims_collide
from grove_operator.scheduler.topology import TopologyIndex

Demand = list[tuple[Shape, int]]
UNUSED = 2**61
MANY = 64


def chain(sizes: dict[int, int]) -> list[tuple[int, int]] | None:
    """(size, pieces of that size needed), largest size first, or None when the sizes don't divide each other.

    Lemma. Sizes s1 > s2 > ... each dividing the one before, n_i pods of size s_i, nodes with c_b free fit iff for all i

        Σ_{j<=i} n_j · (s_j / s_i)  <=  Σ_b floor(c_b / s_i)

    Necessary: cut the larger pods into pieces of s_i. Sufficient: placing sizes in descending order, wherever they
    fit, takes exactly s_j/s_i from every later right-hand side, so room for the next size never depends on choices.
    """
    found: list[tuple[int, int]] = []
    pieces, previous = 0, 0
    for size in sorted(sizes, reverse=True):
        if previous and previous % size:
            return None
        pieces = pieces * (previous // size if previous else 1) + sizes[size]
        found.append((size, pieces))
        previous = size
    return found


def divisible_fits(free: Ints, sizes: dict[int, int]) -> bool:
    """The lemma on plain numbers: `free` per node, `sizes` maps size to count. ValueError if sizes don't divide."""
    inequalities = chain(sizes)
    if inequalities is None:
        raise ValueError(f"sizes {sorted(sizes)} don't divide each other")
    return all(pieces <= int((free // size).sum()) for size, pieces in inequalities)


def is_device(resource: str) -> bool:
    """Extended resources are counted in whole devices."""
    return "/" in resource


@dataclass(frozen=True, slots=True)
class Need:
    """A domain can hold a demand only if the sum of each of these lanes reaches its amount.

    `pods` are the (lane, count) pairs of the shapes alone, `telling` those pairs that may tell how many hosts it takes;
    `rows` and `amounts` are made for indexing: [k] and [k, 1].
    """

    pods: tuple[tuple[int, int], ...]
    telling: tuple[tuple[int, int], ...]
    pairs: tuple[tuple[int, int], ...]
    rows: Ints | slice
    amounts: Ints


NOTHING = Need((), (), (), slice(0, 0), np.zeros((0, 1), dtype=np.int64))


class Lanes:
    def __init__(self, table: NodeTable, index: TopologyIndex, shapes: Sequence[Shape]) -> None:
        self.table, self.index = table, index
        self.shapes = sorted(shapes, key=lambda s: s.number)
        self.lane = {id(s): i for i, s in enumerate(self.shapes)}
        self.limit = 2**61 // max(len(table), 1)
        """Larger values are cut to this, so that sums stay in range."""
        self._count_anew()

    def _count_anew(self) -> None:
        table = self.table
        self._statics, self._seen = table.statics, table.now
        self._columns = np.flatnonzero(np.any([s.request for s in self.shapes], axis=0))
        rows = [s.request[self._columns] for s in self.shapes]
        self._joint: dict[tuple[int, int], int] = {}
        self._sizes: dict[int, list[int]] = {}
        if len(self.shapes) > 1:
            for at, column in enumerate(self._columns.tolist()):
                self._sizes[column] = self._sizes_of(column)
                for size in self._sizes[column]:
                    self._joint[column, size] = len(rows)
                    rows.append(_only(at, size, len(self._columns)))
        devices = [at for at, c in enumerate(self._columns.tolist()) if is_device(table.resources[c])]
        self.scarce = len(rows) if devices else 0
        if devices:
            rows.append(_only(devices[0], 1, len(self._columns)))
        asked = np.array(rows, dtype=np.int64)
        self._request = np.maximum(asked, 1)[:, :, None]
        self._unused = np.where(asked == 0, UNUSED, 0)[:, :, None]
        self._masks = np.array([s.mask for s in self.shapes])
        self._claiming = [i for i, s in enumerate(self.shapes) if s.claims]
        self._zoned = [i for i, s in enumerate(self.shapes) if s.zoned]
        self._exclusive = [i for i in self._claiming if self.shapes[i].is_exclusive]
        self._needs: dict[tuple[tuple[int, int], ...], Need] = {}
        empty = self._lowest(table.alloc[:, self._columns].max(axis=0, initial=0)[:, None])[:, 0]
        self._is_large = bool((empty > self.limit).any())
        for i in self._exclusive:
            empty[i] = min(int(empty[i]), 1)
        self.most: list[int] = np.maximum(empty, 0).tolist()
        """Per lane, what no node's value exceeds."""
        self._fill(len(rows))

    def _sizes_of(self, column: int) -> list[int]:
        """Sizes by which a resource is counted: all that the shapes ask for if they divide each other, else 1."""
        sizes = {int(s.request[column]): 1 for s in self.shapes if s.request[column]}
        is_chain = is_device(self.table.resources[column]) and chain(sizes) is not None
        return sorted(sizes, reverse=True) if is_chain else [1]

    def _fill(self, lanes: int) -> None:
        index = self.index
        self.k: Ints = np.zeros((lanes, len(self.table)), dtype=np.int64)
        for start in range(0, len(self.table), 4096):
            rows = index.perm[start : start + 4096]
            self.k[:, start : start + 4096] = self._values(rows)
        self.sums: Ints = np.zeros((lanes, index.offset[-1]), dtype=np.int64)
        for level in range(index.host if len(self.table) else 0):
            self.sums[:, index.offset[level] : index.offset[level + 1]] = np.add.reduceat(
                self.k, index.lo[level], axis=1
            )
        self._flat = self.sums.reshape(-1)
        self._views = [*(self.sums[:, index.offset[v] : index.offset[v + 1]] for v in range(index.host)), self.k]
        self._tops: Ints | None = None
        self._stale: list[Ints] = []
        self._lane_offset = (np.arange(lanes) * index.offset[-1])[:, None, None]

    def _values(self, rows: Ints) -> Ints:
        """[C, m]: all lanes on these rows."""
        count = len(self.shapes)
        values = self._lowest(self.table.free[rows[:, None], self._columns].T)
        shapes = values[:count]
        shapes *= self._masks[:, rows]
        np.maximum(values, 0, out=values)
        if self._is_large:
            np.minimum(values, self.limit, out=values)
        for i in self._exclusive:
            np.minimum(values[i], 1, out=values[i])
        if self._claiming:
            claimed = [(at, there) for at, row in enumerate(rows.tolist()) if (there := self.table.claims[row])]
            for i in self._claiming:
                for at, there in claimed:
                    if values[i, at] and claims_collide(self.shapes[i].claims, there):
                        values[i, at] = 0
        for i in self._zoned:
            for at in np.flatnonzero(values[i]).tolist():
                values[i, at] = min(int(values[i, at]), self.table.zones_for(int(rows[at]), self.shapes[i]))
        if self._joint:
            values[count : count + len(self._joint)] *= np.logical_or.reduce(shapes, axis=0)
        return values

    def _lowest(self, free: Ints) -> Ints:
        """[C, m] from free amounts [columns, m]: how often each lane's request is contained in them."""
        each = free // self._request
        each += self._unused
        lowest: Ints = np.minimum.reduce(each, axis=1)
        return lowest

    def catch_up(self) -> None:
        """Follow what changed since the lanes were last used: O(changed rows · levels)."""
        table = self.table
        if table.statics != self._statics:
            self._count_anew()
            return
        if table.now == self._seen:
            return
        rows = table.changed_since(self._seen)
        self._seen = table.now
        if rows is None or 8 * len(rows) > len(table):
            self._fill(len(self.k))
            return
        at = self.index.position[rows]
        values = self._values(rows)
        change = values - self.k[:, at]
        self.k[:, at] = values
        above = self.index.above[:, at]
        if len(at) == 1 or (above[-1] == above[-1, 0]).all():  # all in one domain of the finest level
            self.sums[:, above[:, 0]] += np.add.reduce(change, axis=1)[:, None]
        else:
            where = self._lane_offset + above
            added = np.empty_like(where)
            added[...] = change[:, None, :]
            np.add.at(self._flat, where.reshape(-1), added.reshape(-1))
        if self._tops is not None:
            self._stale.append(above.reshape(-1))

    # ── questions ───────────────────────────────────────────────────────────────────────────────────────────────────

    def at(self, level: int) -> Ints:
        """[C, domains of the level], up to date."""
        self.catch_up()
        return self._views[level]

    def need(self, demand: Demand) -> Need:
        """What the sums of a domain that holds the demand must reach; exact for one shape, else necessary."""
        key = tuple([(s.number, n) for s, n in demand])
        found = self._needs.get(key)
        if found is None:
            pods = [(self.lane[id(s)], n) for s, n in demand]
            pairs = pods + (self._joint_need(demand) if len(demand) > 1 else [])
            rows = np.array([lane for lane, _ in pairs], dtype=np.int64)
            is_range = bool((rows == np.arange(rows[0], rows[0] + len(rows))).all())
            amounts = np.array([[amount] for _, amount in pairs], dtype=np.int64)
            at = slice(int(rows[0]), int(rows[0]) + len(rows)) if is_range else rows
            devices = {lane for (column, _), lane in self._joint.items() if is_device(self.table.resources[column])}
            telling = [p for p in pairs if p[1] > 1 and self.most[p[0]] > 1 and (p in pods or p[0] in devices)]
            found = self._needs[key] = Need(tuple(pods), tuple(telling), tuple(pairs), at, amounts)
        return found

    def _joint_need(self, demand: Demand) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for column, counted in self._sizes.items():
            sizes: dict[int, int] = {}
            for shape, n in demand:
                size = int(shape.request[column])
                if size:
                    sizes[size] = sizes.get(size, 0) + n
            if counted == [1] and sizes:
                found.append((self._joint[column, 1], min(sum(s * n for s, n in sizes.items()), self.limit)))
            else:
                found += [(self._joint[column, size], pieces) for size, pieces in chain(sizes) or ()]
        return found

    def wholes(self, need: Need, level: int, first: int, end: int, cap: int) -> Ints:
        """No more than this many copies of the need fit in each domain, counted up to `cap`."""
        room = self.at(level)[need.rows, first:end]
        if cap == 1:
            held: Bools = np.logical_and.reduce(room >= need.amounts, axis=0)
            return held.astype(np.int64)
        copies: Ints = np.minimum.reduce(room // need.amounts, axis=0, initial=cap)
        return copies

    def holds(self, need: Need, level: int, domains: Ints) -> Bools:
        """Which of these domains reach the need."""
        held: Bools = np.logical_and.reduce(self.at(level)[need.rows][:, domains] >= need.amounts, axis=0)
        return held

    def hosts_bound(self, need: Need, level: int, domains: Ints) -> Ints | None:
        """No fewer hosts than this in each of these domains; None where that is the same for all."""
        bound: Ints | None = None
        for lane, amount in need.telling:
            least = -(-amount // np.maximum(self.tops(level)[lane, domains], 1))
            bound = least if bound is None else np.maximum(bound, least)
        return bound

    def tops(self, level: int) -> Ints:
        """[C, domains of the level]: the largest value of each lane on one node."""
        index = self.index
        self.catch_up()
        if level == index.host:
            return self.k
        if self._tops is None:
            self._tops = np.zeros_like(self.sums)
            for broad in range(index.host - 1, -1, -1):
                self._top_level(broad)
        elif self._stale:
            changed = np.unique(np.concatenate(self._stale))[::-1].tolist()
            self._stale = []
            if len(changed) > MANY:
                for broad in range(index.host - 1, -1, -1):
                    self._top_level(broad)
            else:
                for domain in changed:  # the finer ones first
                    source = self.k if domain >= index.offset[index.host - 1] else self._tops
                    lo, hi = int(index.child_lo[domain]), int(index.child_hi[domain])
                    self._tops[:, domain] = np.maximum.reduce(source[:, lo:hi], axis=1)
        return self._tops[:, index.offset[level] : index.offset[level + 1]]

    def _top_level(self, level: int) -> None:
        index = self.index
        assert self._tops is not None  # noqa: S101
        if not len(self.table):
            return
        lo, hi = index.offset[level], index.offset[level + 1]
        finest = level == index.host - 1
        source = self.k if finest else self._tops[:, index.offset[level + 1] : index.offset[level + 2]]
        starts = index.lo[level] if finest else index.child_lo[lo:hi] - index.offset[level + 1]
        self._tops[:, lo:hi] = np.maximum.reduceat(source, starts, axis=1)


def _only(at: int, size: int, length: int) -> Ints:
    row = np.zeros(length, dtype=np.int64)
    row[at] = size
    return row
