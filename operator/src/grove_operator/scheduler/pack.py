"""Choose nodes inside one domain: fewest domains of the wished level, then of each narrower level, then fewest hosts.

    range of the domain ── narrow to the best racks ── narrow to ... ── assign to hosts, largest pods first

Three variants give the search something to try when a sibling doesn't fit beside the first: 0 fewest hosts, 1 tightest
hosts (keeps whole hosts whole), 2 exhaustive for mixed sizes, within a step limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grove_operator.scheduler import hosts
from grove_operator.scheduler.hosts import Slot
from grove_operator.scheduler.lanes import Demand, Lanes, Need, is_device
from grove_operator.scheduler.liking import BALANCED, NONE, SMALL_FIRST, Liking
from grove_operator.scheduler.model import Claim
from grove_operator.scheduler.narrow import Narrower
from grove_operator.scheduler.nodes import Bools, Ints, NodeTable, Shape
from grove_operator.scheduler.predicates import claims_collide
from grove_operator.scheduler.topology import TopologyIndex

VARIANTS = 3
EXHAUSTIVE_STEPS = 4000
EXHAUSTIVE_CELLS = 2_000_000


@dataclass(slots=True)
class _Left:
    """What is left on one host that this packing has put pods on already."""

    table: NodeTable
    row: int
    free: list[int]
    claims: list[Claim]

    def fits(self, shape: Shape) -> int:
        if shape.claims and claims_collide(shape.claims, self.claims):
            return 0
        most = min((self.free[c] // amount for c, amount in shape.asked), default=hosts.BASE)
        if shape.zoned:
            most = min(most, self.table.zones_for(self.row, shape, self.free))
        return min(most, 1) if shape.is_exclusive else max(most, 0)

    def take(self, shape: Shape, n: int) -> None:
        self.claims += shape.claims
        for column, amount in shape.asked:
            self.free[column] -= n * amount


class Packer:
    """Packs by the numbers of `lanes`; changes nothing."""

    def __init__(
        self, table: NodeTable, index: TopologyIndex, lanes: Lanes, subsets: int, liking: Liking = NONE
    ) -> None:
        self.table, self.index, self.lanes, self.subsets, self.liking = table, index, lanes, subsets, liking

    def pack(
        self, ask: Demand, need: Need, lo: int, hi: int, level: int, wished: int, touched: set[int], variant: int
    ) -> list[Slot] | None:
        """Positions for what is asked for in [lo, hi), a domain of `level`; None when this variant finds none.

        `touched`: positions where the scope already has pods; their domains cost nothing more.
        """
        if variant and len(ask) == 1 and (variant == 2 or ask[0][1] == 1):
            return None
        self.lanes.catch_up()
        ask = ask if len(ask) == 1 else sorted(ask, key=self._size, reverse=True)
        if variant == 2:
            return self._exhaustive(ask, np.arange(lo, hi))
        touched = {p for p in touched if lo <= p < hi}
        if self.liking.packing == SMALL_FIRST and variant == 0:
            return self._assign(ask, np.arange(lo, hi), touched, tight=True)
        if self.liking.packing == BALANCED and variant == 0 and len(ask) == 1:
            return self._balanced(ask[0][0], ask[0][1], lo, hi, level)
        narrowed = self._narrow(need, lo, hi, level, wished, touched)
        slots = self._assign(ask, narrowed, touched, tight=variant == 1)
        if slots is None and len(narrowed) < hi - lo:
            slots = self._assign(ask, np.arange(lo, hi), touched, tight=variant == 1)
        return slots

    def _size(self, entry: tuple[Shape, int]) -> tuple[int, ...]:
        """Devices first, then cpu and memory: the order in which pods are placed."""
        column, request = self.table.column, entry[0].request
        devices = sorted((amount for c, amount in entry[0].asked if is_device(self.table.resources[c])), reverse=True)
        return (sum(devices[:1]), *devices, 0, int(request[column["cpu"]]), int(request[column["memory"]]))

    def _narrow(self, need: Need, lo: int, hi: int, level: int, wished: int, touched: set[int]) -> Ints:
        """Positions worth using, level by level downwards."""
        index = self.index
        narrower = Narrower(self.lanes, index, need, self.subsets)
        ranges = [(lo, hi)]
        for finer in range(max(level + 1, min(wished, index.host)), index.host):
            inside = [index.inside(finer, *r) for r in ranges]
            domains = np.concatenate([np.arange(*i) for i in inside]) if len(inside) > 1 else np.arange(*inside[0])
            if len(domains) > 1:
                domains = narrower.narrow(domains, finer, touched)
                ranges = [index.range(finer, d) for d in domains.tolist()]
        return np.concatenate([np.arange(*r) for r in ranges]) if len(ranges) > 1 else np.arange(*ranges[0])

    def _assign(self, ask: Demand, positions: Ints, touched: set[int], *, tight: bool) -> list[Slot] | None:
        """Largest shape first (which by the lemma never spoils a divisible instance)."""
        local: dict[int, _Left] = {}
        slots: list[Slot] = []
        spare = self.lanes.k[self.lanes.scarce][positions]
        liked = np.isin(positions, list(self.liking.reuse)) if self.liking.reuse else None
        for nth, (shape, n) in enumerate(ask):
            fits = self.lanes.k[self.lanes.lane[id(shape)]][positions]
            known = _indices(positions, touched | local.keys())
            for i in known:
                if int(positions[i]) in local:
                    fits[i] = local[int(positions[i])].fits(shape)
            chosen = hosts.choose(fits, spare, n, known, tight=tight, liked=liked)
            if chosen is None:
                return None
            at, counts = positions[chosen[0]].tolist(), chosen[1]
            slots.append((shape, at, counts))
            if nth + 1 < len(ask):
                for position, count in zip(at, counts, strict=True):
                    left = local.get(position)
                    if left is None:
                        row = int(self.index.perm[position])
                        free, claims = self.table.free[row].tolist(), [*self.table.claims[row]]
                        left = local[position] = _Left(self.table, row, free, claims)
                    left.take(shape, count)
        return slots

    def _balanced(self, shape: Shape, n: int, lo: int, hi: int, level: int) -> list[Slot] | None:
        """Level by level the fewest domains, the largest first, and in each the same share as far as it has room."""
        index, lane = self.index, self.lanes.lane[id(shape)]
        shares = {(lo, hi): n}
        for finer in range(level + 1, index.host + 1):
            inner: dict[tuple[int, int], int] = {}
            for (first, end), wanted in shares.items():
                ids = np.arange(*index.inside(finer, first, end))
                caps = self.lanes.at(finer)[lane][ids]
                if int(caps.sum()) < wanted:
                    return None
                for domain, share in zip(ids.tolist(), hosts.level_out(caps, wanted), strict=True):
                    if share:
                        inner[index.range(finer, domain)] = share
            shares = inner
        return [(shape, [first for first, _ in shares], list(shares.values()))]

    def _exhaustive(self, ask: Demand, positions: Ints) -> list[Slot] | None:
        """Depth first over single pods, hosts with equal free amounts tried once; gives up after some steps."""
        lanes = self.lanes
        if any(s.claims or s.zoned for s, _ in ask):
            return None
        usable = np.any([lanes.k[lanes.lane[id(s)]][positions] > 0 for s, _ in ask], axis=0)
        positions = positions[usable]
        pods = [shape for shape, n in ask for _ in range(n)]
        free = np.maximum(self.table.free[self.index.perm[positions]], 0)
        fits: dict[int, Bools] = {s.number: lanes.k[lanes.lane[id(s)]][positions] > 0 for s, _ in ask}
        where = [-1] * len(pods)
        steps = min(EXHAUSTIVE_STEPS, EXHAUSTIVE_CELLS // max(len(positions), 1))
        depth = 0
        tried: list[set[bytes]] = [set() for _ in pods]
        while 0 <= depth < len(pods):
            shape = pods[depth]
            if where[depth] >= 0:
                free[where[depth]] += shape.request
            steps -= 1
            if steps < 0:
                return None
            options = np.flatnonzero((free >= shape.request).all(axis=1) & fits[shape.number])
            following = next((i for i in options.tolist() if _look(free[i], i, fits) not in tried[depth]), None)
            if following is None:
                where[depth] = -1
                tried[depth] = set()
                depth -= 1
                continue
            tried[depth].add(_look(free[following], following, fits))
            where[depth] = following
            free[following] -= shape.request
            depth += 1
        if depth < 0:
            return None
        slots: list[Slot] = []
        for shape, _ in ask:
            spots, counts = np.unique([w for w, s in zip(where, pods, strict=True) if s is shape], return_counts=True)
            slots.append((shape, positions[spots].tolist(), counts.tolist()))
        return slots


def _indices(positions: Ints, among: set[int]) -> list[int]:
    """Where those of `among` that are in `positions` (sorted, distinct) stand."""
    if not among or not len(positions):
        return []
    wanted = np.array(sorted(among), dtype=np.int64)
    at = np.minimum(np.searchsorted(positions, wanted), len(positions) - 1)
    found: list[int] = at[positions[at] == wanted].tolist()
    return found


def _look(free: Ints, host: int, fits: dict[int, Bools]) -> bytes:
    return free.tobytes() + bytes(int(f[host]) for f in fits.values())
