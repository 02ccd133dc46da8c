"""Room kept for a gang that can't be placed yet, so that others don't take what it needs piece by piece.

The domain of its required level that is nearest to holding it, and could hold it if nothing ran there, is chosen.
Who has waited too long (a stream of small ones would starve it) gets what is free on as many of its hosts as it needs;
who is on its way back only what is free now on as many hosts as it would fill.
"""

from __future__ import annotations

import numpy as np

from grove_operator.scheduler.nodes import Ints, Shape
from grove_operator.scheduler.scopes import Scope
from grove_operator.scheduler.search import Search


def hosts_to_drain(search: Search, tree: Scope) -> Ints:
    """Node rows; none when no domain could ever hold the tree."""
    lo, free = _nearest(search, tree)
    if not len(free):
        return free
    order = _most_room_first(free)
    reach = np.min([np.cumsum(_when_empty(search, shape)[lo + order]) / n for shape, n in tree.ask], axis=0)
    return _rows(search, lo, order[: int(np.searchsorted(reach, len(tree.ask))) + 1])


def hosts_with_room(search: Search, tree: Scope) -> Ints:
    """Node rows where some of the tree could be placed now, no more than all of it needs."""
    lo, free = _nearest(search, tree)
    order = _most_room_first(free)
    k = free[order]
    wanted = sum(n for _, n in tree.ask)
    return _rows(search, lo, order[(k > 0) & (np.cumsum(k) - k < wanted)])


def _nearest(search: Search, tree: Scope) -> tuple[int, Ints]:
    """First position of the chosen domain, and how many pods each of its hosts takes now; no hosts without a domain."""
    lanes, index = search.ready(tree), search.index
    empty = {shape.number: _when_empty(search, shape) for shape, _ in tree.ask}
    allowed = search.capacity.anchored(tree, tree.required, 0, len(search.table))
    best: tuple[float, int] | None = None
    for domain in np.flatnonzero(index.real[tree.required]).tolist():
        lo, hi = index.range(tree.required, domain)
        if allowed is not None and not allowed[domain]:
            continue
        if all(int(empty[shape.number][lo:hi].sum()) >= n for shape, n in tree.ask):
            share = min(int(lanes.k[lanes.lane[id(shape)], lo:hi].sum()) / n for shape, n in tree.ask)
            if best is None or share > best[0]:
                best = (share, domain)
    if best is None:
        return 0, np.zeros(0, dtype=np.int64)
    lo, hi = index.range(tree.required, best[1])
    return lo, np.sum([lanes.k[lanes.lane[id(shape)], lo:hi] for shape, _ in tree.ask], axis=0)


def _most_room_first(free: Ints) -> Ints:
    order: Ints = np.argsort(-free, kind="stable")
    return order


def _rows(search: Search, lo: int, order: Ints) -> Ints:
    rows: Ints = search.index.perm[lo + order]
    return rows


def _when_empty(search: Search, shape: Shape) -> Ints:
    """By position: how many pods of the shape a host takes when nothing runs there."""
    most = np.full(len(search.table), 1 if shape.is_exclusive else 2**31)
    for column, amount in shape.asked:
        np.minimum(most, search.table.alloc[:, column] // amount, out=most)
    found: Ints = (np.maximum(most, 0) * shape.mask)[search.index.perm]
    return found
