"""Which narrower domains to use: as few as can be, and among those sets the one that needs the fewest hosts.

domains of one level ── one that holds all? the tightest ── else the smallest sets that hold all ── else greedily
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np

from grove_operator.scheduler import hosts
from grove_operator.scheduler.lanes import Lanes, Need
from grove_operator.scheduler.nodes import Bools, Ints
from grove_operator.scheduler.topology import TopologyIndex

EVALUATED = 64
"""Sets whose hosts are counted exactly, the least wasteful first."""


class Narrower:
    def __init__(self, lanes: Lanes, index: TopologyIndex, need: Need, subsets: int):
        """`subsets`: sets looked at, at most."""
        self.lanes, self.index, self.need, self.subsets = lanes, index, need, subsets

    def narrow(self, domains: Ints, level: int, touched: set[int]) -> Ints:
        """Ids among `domains` of a level that are worth using; all of them when no set of them suffices."""
        caps = self.lanes.at(level)[self.need.rows][:, domains]
        is_fresh = np.ones(len(domains), dtype=bool)
        if touched:
            used = {int(self.index.dom[level][p]) for p in touched}
            is_fresh = np.array([d not in used for d in domains.tolist()])
        single = np.flatnonzero(np.logical_and.reduce(caps >= self.need.amounts, axis=0))
        if len(single):
            best = self._best(domains, single, level, is_fresh)
            return domains[best : best + 1]
        if (np.add.reduce(caps, axis=1) < self.need.amounts[:, 0]).any():
            return domains
        return domains[np.sort(self._smallest_set(domains, caps, level, is_fresh))]

    def _best(self, domains: Ints, among: Ints, level: int, is_fresh: Bools) -> int:
        if len(among) == 1:
            return int(among[0])
        ids = domains[among]
        keys = [self.lanes.at(level)[self.lanes.scarce, ids]]
        bound = self.lanes.hosts_bound(self.need, level, ids)
        if bound is not None:
            keys.append(bound)
        return int(among[np.lexsort([*keys, is_fresh[among]])[0]])

    def _smallest_set(self, domains: Ints, caps: Ints, level: int, is_fresh: Bools) -> Ints:
        usable = np.flatnonzero(caps.any(axis=0))
        reach = np.cumsum(-np.sort(-caps[:, usable], axis=1), axis=1)
        least = int(np.argmax((reach >= self.need.amounts).all(axis=0))) + 1
        for size in range(least, len(usable) + 1):
            if comb(len(usable), size) > self.subsets:
                break
            sets = usable[_combinations(len(usable), size)]
            good = np.flatnonzero((caps[:, sets].sum(axis=2) >= self.need.amounts).all(axis=0))
            if len(good):
                return self._best_set(domains, sets[good], level, is_fresh)
        return self._greedy(caps, is_fresh)

    def _best_set(self, domains: Ints, sets: Ints, level: int, is_fresh: Bools) -> Ints:
        """Most already used, then fewest hosts, then least left over, then the first by path."""
        fresh = is_fresh[sets].sum(axis=1)
        spare = self.lanes.at(level)[self.lanes.scarce, domains][sets].sum(axis=1)
        bounds = self.lanes.hosts_bound(self.need, level, domains)
        bound = 0 if bounds is None else int(bounds.min())
        best: tuple[tuple[int, int, int], int] | None = None
        for i in np.lexsort((spare, fresh))[:EVALUATED].tolist():
            if best is not None and fresh[i] > best[0][0]:
                break
            key = (int(fresh[i]), self._hosts(domains[sets[i]], level), int(spare[i]))
            if best is None or key < best[0]:
                best = (key, i)
            if key[1] <= bound or bounds is None:
                break
        assert best is not None  # noqa: S101 - `sets` is not empty
        chosen: Ints = sets[best[1]]
        return chosen

    def _hosts(self, ids: Ints, level: int) -> int:
        """Hosts that these domains together need at least, exact for one shape."""
        most = 1
        for lane, n in self.need.pods:
            if n > 1:
                fits = [self.lanes.k[lane, slice(*self.index.range(level, d))] for d in ids.tolist()]
                most = max(most, hosts.fewest(np.concatenate(fits), n))
        return most

    def _greedy(self, caps: Ints, is_fresh: Bools) -> Ints:
        """Largest share of what is missing first; the last one is the smallest that completes the set."""
        chosen: list[int] = []
        missing = self.need.amounts[:, 0].copy()
        left = np.ones(caps.shape[1], dtype=bool)
        while (missing > 0).any():
            ids = np.flatnonzero(left & (caps >= missing[:, None]).all(axis=0))
            if len(ids):
                pick = int(ids[np.lexsort((caps[:, ids].sum(axis=0), ~is_fresh[ids]))[0]])
            else:
                ids = np.flatnonzero(left)
                share = np.minimum(caps[:, ids], np.maximum(missing, 0)[:, None]).sum(axis=0)
                pick = int(ids[np.lexsort((-share, is_fresh[ids]))[0]])
            left[pick] = False
            chosen.append(pick)
            missing = missing - caps[:, pick]
        return np.array(chosen, dtype=np.int64)


@lru_cache(maxsize=256)
def _combinations(n: int, size: int) -> Ints:
    return np.array(list(combinations(range(n), size)), dtype=np.int64)
