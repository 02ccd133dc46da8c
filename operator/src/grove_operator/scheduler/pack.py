"""Choose nodes inside one domain: fewest domains of the wished level, then of each narrower level, then fewest hosts.

    range of the domain ── narrow to the best racks ── narrow to ... ── assign to hosts, largest pods first

`narrow` keeps the smallest set of sub-domains that can hold the demand, and among those the one that needs the fewest
hosts and leaves the least over. Three variants give the search something to try when a sibling doesn't fit beside the
first: 0 fewest hosts, 1 tightest hosts (keeps whole hosts whole), 2 exhaustive for mixed sizes, within a step limit.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np

from grove_operator.scheduler.capacity import Capacity
from grove_operator.scheduler.nodes import Bools, Ints, Shape
from grove_operator.scheduler.scopes import Demand

VARIANTS = 3
EXHAUSTIVE_STEPS = 4000
Slots = list[tuple[Shape, Ints, Ints]]
"""(shape, rows, counts), rows distinct within an entry."""


class Packer:
    def __init__(self, capacity: Capacity, subsets: int) -> None:
        self.capacity, self.subsets = capacity, subsets
        self.table, self.index = capacity.table, capacity.index

    def pack(self, demand: Demand, lo: int, hi: int, level: int, wished: int, used: Ints, variant: int) -> Slots | None:
        """Takes the nodes from the table and returns them, or returns None and takes nothing.

        `used`: positions where the scope already has pods; their domains cost nothing more.
        """
        demand = sorted((d for d in demand if d[1]), key=self._size, reverse=True)
        if not demand:
            return []
        everywhere = np.arange(lo, hi)
        if variant == 2:
            return self._exhaustive(demand, everywhere) if len(demand) > 1 else None
        if variant == 1 and demand[0][1] == 1 and len(demand) == 1:
            return None
        narrowed = everywhere
        levels = [wished, *range(wished + 1, self.index.host)] if wished > level else range(level + 1, self.index.host)
        for narrower in levels:
            if narrower < self.index.host:
                narrowed = self._narrow(demand, narrowed, narrower, used)
        slots = self._assign(demand, narrowed, used, tight=variant == 1)
        if slots is None and len(narrowed) < len(everywhere):
            slots = self._assign(demand, everywhere, used, tight=variant == 1)
        return slots

    def _size(self, entry: tuple[Shape, int]) -> tuple[int, ...]:
        """Devices first, then cpu and memory: the order in which pods are placed."""
        request = entry[0].request
        devices = [int(request[c]) for r, c in self.table.column.items() if "/" in r]
        return (
            *sorted(devices, reverse=True),
            int(request[self.table.column["cpu"]]),
            int(request[self.table.column["memory"]]),
        )

    def hosts_needed(self, demand: Demand, positions: Ints) -> int:
        """Lower bound (exact for one shape): hosts taken largest first."""
        rows = self.index.perm[positions]
        most = 1
        for shape, n in demand:
            reach = np.cumsum(np.sort(shape.fits[rows])[::-1])
            most = max(most, int(np.searchsorted(reach, n)) + 1)
        return most

    def _narrow(self, demand: Demand, positions: Ints, level: int, used: Ints) -> Ints:
        """The positions of the best smallest set of domains of `level` that can hold the demand; all when none can."""
        domains = self.index.dom[level][positions]
        starts = np.flatnonzero(np.r_[True, domains[1:] != domains[:-1]])
        if len(starts) == 1:
            return positions
        ids = domains[starts]
        lo, hi = int(positions[0]), int(positions[-1]) + 1
        need, room = self.capacity.columns(demand, lo, hi)
        caps = np.add.reduceat(room[positions - lo], starts, axis=0)
        is_used = np.isin(ids, self.index.dom[level][used]) if len(used) else np.zeros(len(ids), dtype=bool)
        slices = np.split(positions, starts[1:])
        chosen = self._smallest_set(demand, need, caps, is_used, slices)
        return positions if chosen is None else np.concatenate([slices[i] for i in sorted(chosen)])

    def _smallest_set(
        self, demand: Demand, need: Ints, caps: Ints, is_used: Bools, slices: list[Ints]
    ) -> tuple[int, ...] | None:
        if not (caps.sum(axis=0) >= need).all():
            return None
        usable = np.flatnonzero((caps > 0).any(axis=1))
        sorted_caps = -np.sort(-caps[usable], axis=0)
        enough = (np.cumsum(sorted_caps, axis=0) >= need).all(axis=1)
        for size in range(int(np.argmax(enough)) + 1, len(usable) + 1):
            if comb(len(usable), size) > self.subsets:
                return self._greedy_set(need, caps, is_used)
            sets = np.array(list(combinations(usable.tolist(), size)), dtype=np.int64)
            totals = caps[sets].sum(axis=1)
            good = np.flatnonzero((totals >= need).all(axis=1))
            if len(good):
                return self._best_set(demand, sets[good], totals[good], is_used, slices)
        return None

    def _best_set(
        self, demand: Demand, sets: Ints, totals: Ints, is_used: Bools, slices: list[Ints]
    ) -> tuple[int, ...]:
        """Most already used, then fewest hosts, then least left over, then the first by path."""
        fresh = sets.shape[1] - is_used[sets].sum(axis=1)
        order = np.lexsort((np.arange(len(sets)), totals[:, 0], fresh))
        best: tuple[tuple[int, ...], tuple[int, ...]] | None = None
        for i in order[: max(self.subsets // 8, 64)].tolist():
            members = tuple(sets[i].tolist())
            hosts = self.hosts_needed(demand, np.concatenate([slices[m] for m in members]))
            key = (int(fresh[i]), hosts, int(totals[i, 0]), i)
            if best is None or key < best[0]:
                best = (key, members)
        assert best is not None  # noqa: S101 - `sets` is not empty
        return best[1]

    def _greedy_set(self, need: Ints, caps: Ints, is_used: Bools) -> tuple[int, ...]:
        """Largest share of what is missing first; the last one is the smallest that completes the set."""
        chosen: list[int] = []
        missing = need.copy()
        left = np.ones(len(caps), dtype=bool)
        while (missing > 0).any():
            completes = left & (caps >= missing).all(axis=1)
            share = np.minimum(caps, np.maximum(missing, 0)).sum(axis=1)
            if completes.any():
                ids = np.flatnonzero(completes)
                pick = int(ids[np.lexsort((ids, caps[ids].sum(axis=1), ~is_used[ids]))[0]])
            else:
                ids = np.flatnonzero(left)
                pick = int(ids[np.lexsort((ids, -share[ids], ~is_used[ids]))[0]])
            left[pick] = False
            chosen.append(pick)
            missing = missing - caps[pick]
        return tuple(chosen)

    def _assign(self, demand: Demand, positions: Ints, used: Ints, *, tight: bool) -> Slots | None:
        """Largest shape first (which by the lemma never spoils a divisible instance)."""
        mark = self.table.mark()
        touched = {int(p) for p in used}
        slots: Slots = []
        for shape, n in demand:
            self.table.catch_up(shape)
            chosen = self._hosts(shape, n, positions, touched, tight=tight)
            if chosen is None:
                self.table.undo(mark)
                return None
            at, counts = chosen
            touched.update(at.tolist())
            rows = self.index.perm[at]
            self.table.take(shape, rows, counts)
            slots.append((shape, rows, counts))
        return slots

    def _hosts(
        self, shape: Shape, n: int, positions: Ints, touched: set[int], *, tight: bool
    ) -> tuple[Ints, Ints] | None:
        fits = shape.fits[self.index.perm[positions]]
        open_ = np.flatnonzero(fits > 0)
        if int(fits.sum()) < n:
            return None
        if tight or (n == 1 and not touched):
            order = open_[np.lexsort((open_, fits[open_]))]
        else:
            new = np.array([int(p) not in touched for p in positions[open_]], dtype=bool)
            order = open_[np.lexsort((open_, -fits[open_], new))]
        picked: list[int] = []
        counts: list[int] = []
        left = n
        while left:
            i = int(order[0])
            if not tight and int(positions[i]) not in touched:
                # The last host is the tightest that takes the rest.
                enough = order[fits[order] >= left]
                if len(enough):
                    i = int(enough[np.lexsort((enough, fits[enough]))[0]])
            order = order[order != i] if int(order[0]) != i else order[1:]
            take = min(left, int(fits[i]))
            picked.append(int(positions[i]))
            counts.append(take)
            left -= take
        return np.array(picked, dtype=np.int64), np.array(counts, dtype=np.int64)

    def _exhaustive(self, demand: Demand, positions: Ints) -> Slots | None:
        """Depth first over single pods, hosts with equal free amounts tried once; gives up after EXHAUSTIVE_STEPS."""
        rows = self.index.perm[positions]
        pods = [shape for shape, n in demand for _ in range(n)]
        free = self.table.free[rows].copy()
        fits = {id(s): s.fits[rows] > 0 for s, _ in demand}
        where = [-1] * len(pods)
        steps, depth = 0, 0
        tried: list[set[bytes]] = [set() for _ in pods]
        while 0 <= depth < len(pods):
            shape = pods[depth]
            if where[depth] >= 0:
                free[where[depth]] += shape.request
            steps += 1
            if steps > EXHAUSTIVE_STEPS or any(s.has_ports for s, _ in demand):
                return None
            columns = shape.columns
            options = np.flatnonzero((free[:, columns] >= shape.asked).all(axis=1) & fits[id(shape)])
            following = next((i for i in options.tolist() if self._look(free[i], i, fits) not in tried[depth]), None)
            if following is None:
                where[depth] = -1
                tried[depth] = set()
                depth -= 1
                continue
            tried[depth].add(self._look(free[following], following, fits))
            where[depth] = following
            free[following] -= shape.request
            depth += 1
        if depth < 0:
            return None
        slots: Slots = []
        for shape, _ in demand:
            spots, counts = np.unique([w for w, s in zip(where, pods, strict=True) if s is shape], return_counts=True)
            self.table.take(shape, rows[spots], counts.astype(np.int64))
            slots.append((shape, rows[spots], counts.astype(np.int64)))
        return slots

    @staticmethod
    def _look(free: Ints, host: int, fits: dict[int, Bools]) -> bytes:
        return free.tobytes() + bytes(int(f[host]) for f in fits.values())
