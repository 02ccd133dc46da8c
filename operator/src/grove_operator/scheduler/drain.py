"""Room kept for a large gang that has waited too long, so that a stream of small ones can't starve it.

The domain of its required level that is nearest to holding it, and could hold it if nothing ran there, is drained:
what is free on as many of its hosts as the gang would need is kept from gangs that come later in the order.
"""

from __future__ import annotations

import numpy as np

from grove_operator.scheduler.nodes import Ints, Shape
from grove_operator.scheduler.scopes import Scope
from grove_operator.scheduler.search import Search


def hosts_to_drain(search: Search, tree: Scope) -> Ints:
    """Node rows; none when no domain could ever hold the tree."""
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
        return np.zeros(0, dtype=np.int64)
    lo, hi = index.range(tree.required, best[1])
    free = sum(lanes.k[lanes.lane[id(shape)], lo:hi] for shape, _ in tree.ask)
    order = lo + np.argsort(-np.asarray(free), kind="stable")
    reach = np.min([np.cumsum(empty[shape.number][order]) / n for shape, n in tree.ask], axis=0)
    rows: Ints = index.perm[order[: int(np.searchsorted(reach, len(tree.ask))) + 1]]
    return rows


def _when_empty(search: Search, shape: Shape) -> Ints:
    """By position: how many pods of the shape a host takes when nothing runs there."""
    most = np.full(len(search.table), 1 if shape.is_exclusive else 2**31)
    for column, amount in shape.asked:
        np.minimum(most, search.table.alloc[:, column] // amount, out=most)
    found: Ints = (np.maximum(most, 0) * shape.mask)[search.index.perm]
    return found
