"""In which order domains are tried for a scope: by O3 to O7 of the objective, best first.

primary   room for the siblings too
          a domain of the enclosing scope's wished level that is in use already
          fewest domains of the own wished level (a bound)
          fewest hosts (a bound)
          fewest other replicas of the same PodCliqueSet, for gangs that spread
          nodes of the gang whose place is taken over
          room for the members beyond the minima
          most of the equal scopes that are to be placed
          a domain that the gang uses already
          least left over, in the domain of the broadest level first ("pack the top-most domain")
last      the domain's path
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from grove_operator.scheduler.capacity import Capacity
from grove_operator.scheduler.hosts import fewest
from grove_operator.scheduler.lanes import Lanes
from grove_operator.scheduler.liking import NONE, Liking
from grove_operator.scheduler.nodes import Bools, Ints
from grove_operator.scheduler.scopes import Scope

COUNTED = 32
"""Up to so many candidates get their domains counted exactly."""
Key = Callable[[Ints], Ints | Bools]


class Ranking:
    """Domains of one `level` in [lo, hi), itself a domain of `outer`, for one scope."""

    def __init__(
        self,
        capacity: Capacity,
        lanes: Lanes,
        scope: Scope,
        level: int,
        outer: int,
        lo: int,
        hi: int,
        liking: Liking = NONE,
    ):
        self.liking = liking
        self.capacity, self.lanes, self.index = capacity, lanes, capacity.index
        self.scope, self.level, self.outer, self.lo, self.hi = scope, level, outer, lo, hi
        self.first, _ = self.index.inside(level, lo, hi)

    def ids(self) -> Ints:
        """Domains that pass the necessary tests."""
        copies = self.capacity.wholes(self.lanes, self.scope, self.level, self.lo, self.hi)
        allowed = self.capacity.anchored(self.scope, self.level, self.lo, self.hi)
        if allowed is not None:
            copies = copies * allowed
        return np.flatnonzero(copies) + self.first

    def best_first(self, lookahead: Scope | None, touched: set[int], wished: int, count: int) -> Iterator[int]:
        """`touched`: positions the gang uses already; `wished`: the level the enclosing scope wishes for.

        `count` equal scopes are to be placed: domains that hold more of them come first.
        """
        ids = self.ids()
        if len(ids) < 2:
            yield from ids.tolist()
            return
        keys = self._keys(lookahead, touched, wished, count)
        among = ids
        for key in keys:
            values = key(among)
            among = among[values == np.minimum.reduce(values)]
            if len(among) == 1:
                break
        best = int(among[0])
        yield best
        order = np.lexsort([ids, *(key(ids) for key in reversed(keys))])
        yield from (d for d in ids[order].tolist() if d != best)

    def _keys(self, lookahead: Scope | None, touched: set[int], wished: int, count: int) -> list[Key]:
        keys: list[Key] = []
        if lookahead is not None:
            short = self.capacity.wholes(self.lanes, lookahead, self.level, self.lo, self.hi) == 0
            keys.append(lambda ids: short[ids - self.first])
        inside = [p for p in touched if self.lo <= p < self.hi]
        if inside and self.outer < wished <= self.level:
            keys.append(self._is_fresh(inside, wished))
        if self.scope.wished > self.level:
            keys.append(self.domains_bound)
        if self.level < self.index.host:
            keys.append(self._hosts_bound)
        keys += [self._replicas_in(spread) for spread in self.liking.spread if self.outer < spread <= self.level]
        reused = [p for p in self.liking.reuse if self.lo <= p < self.hi]
        if reused:
            keys.append(self._is_fresh(reused, self.level))
        if self.scope.need_full is not self.scope.need:
            keys.append(self._is_crowded)
        if count > 1:
            copies = self.capacity.copies(self.lanes, self.scope, self.level, self.lo, self.hi, count)
            keys.append(lambda ids: -copies[ids - self.first])
        if inside:
            keys.append(self._is_fresh(inside, self.level))
        keys += [self._spare_around(broader) for broader in range(self.outer + 1, self.level + 1)]
        return keys

    def _around(self, ids: Ints, level: int) -> Ints:
        """The domains of a broader level that these sit in."""
        return self.index.dom[level][self.index.lo[self.level][ids]]

    def _replicas_in(self, level: int) -> Key:
        counts = self.liking.spread[level]
        return lambda ids: counts[self._around(ids, level) if level < self.level else ids]

    def _spare_around(self, level: int) -> Key:
        def spare(ids: Ints) -> Ints:
            found: Ints = self.lanes.at(level)[self.lanes.scarce]
            return found[self._around(ids, level) if level < self.level else ids]

        return spare

    def _is_fresh(self, touched: list[int], level: int) -> Key:
        """Is the domain's domain of that level one that the gang doesn't use yet?"""
        used = {int(self.index.dom[level][p]) for p in touched}

        def is_fresh(ids: Ints) -> Bools:
            around = self._around(ids, level) if level < self.level else ids
            return np.array([d not in used for d in around.tolist()])

        return is_fresh

    def _is_crowded(self, ids: Ints) -> Bools:
        return ~self.lanes.holds(self.scope.need_full, self.level, ids)

    def _hosts_bound(self, ids: Ints) -> Ints:
        bound = self.lanes.hosts_bound(self.scope.need, self.level, ids)
        return np.zeros(len(ids), dtype=np.int64) if bound is None else bound

    def domains_bound(self, ids: Ints) -> Ints:
        """No fewer domains of the scope's wished level than this: the largest of them that together take each shape.

        Of many candidates only a rougher bound is taken: pods over what the largest domain takes.
        """
        wished, index = self.scope.wished, self.index
        bound = np.ones(len(ids), dtype=np.int64)
        inner, stop = index.inside(wished, self.lo, self.hi)
        starts, ends = index.lo[self.level][ids], index.hi[self.level][ids] - 1
        if wished < index.host:
            starts, ends = index.dom[wished][starts], index.dom[wished][ends]
        bounds = np.stack([starts, ends + 1], axis=1).reshape(-1) - inner
        for shape, n in self.scope.ask:
            if n > 1:
                lane = self.lanes.at(wished)[self.lanes.lane[id(shape)], inner:stop]
                if len(ids) <= COUNTED:
                    spans = bounds.reshape(-1, 2).tolist()
                    least = [fewest(lane[first:end], n) for first, end in spans]
                    np.maximum(bound, np.array(least, dtype=np.int64), out=bound)
                    continue
                largest = np.maximum.reduceat(np.append(lane, 0), bounds)[::2]
                np.maximum(bound, -(-n // np.maximum(largest, 1)), out=bound)
        return bound
