"""Spread pods of one domain over its hosts: fewest hosts, the last of them the tightest that takes the rest.

fits      8 8 5 3 1     11 pods: 8 on the first, then the tightest host that takes the 3 left:  8 . . 3 .
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grove_operator.scheduler.nodes import Bools, Ints, Shape

Slot = tuple[Shape, list[int], list[int]]
"""(shape, positions, counts), positions distinct within a slot."""
Choice = tuple[list[int], list[int]]
BASE = 1 << 20


def choose(
    fits: Ints, spare: Ints, n: int, touched: Sequence[int], *, tight: bool, liked: Bools | None = None
) -> Choice | None:
    """Indices of hosts and how many of `n` pods each takes, or None when they don't all fit.

    `spare`: what is free of the scarce device, the tie-break between equal `fits`. Hosts in `touched` come first: they
    cost nothing more. `liked` ones come before others where that costs no host. With `tight` the
    fullest hosts are filled first, which keeps whole hosts whole.
    """
    if int(fits.sum()) < n:
        return None
    at: list[int] = []
    counts: list[int] = []
    if touched and not tight:
        for i in sorted((i for i in touched if fits[i]), key=lambda i: (-int(fits[i]), i)):
            if not n:
                break
            take = min(n, int(fits[i]))
            at.append(i)
            counts.append(take)
            n -= take
        fits = fits.copy()
        fits[list(touched)] = 0
    if n:
        rest_at, rest_counts = _tightest_first(fits, spare, n) if tight else _largest_first(fits, spare, n, liked)
        at += rest_at
        counts += rest_counts
    return at, counts


def _largest_first(fits: Ints, spare: Ints, n: int, liked: Bools | None) -> Choice:
    enough = np.flatnonzero(fits >= n)
    if liked is not None and liked.any():
        if liked[enough].any():
            enough = enough[liked[enough]]
        spare = np.where(liked, 0, np.minimum(spare, BASE - 2) + 1)
    if len(enough):
        return [_tightest(fits, spare, enough)], [n]
    order = np.argsort(np.minimum(spare, BASE - 1) - np.minimum(fits, BASE) * BASE, kind="stable")
    reach = np.cumsum(fits[order])
    full = int(np.searchsorted(reach, n))
    at, counts = order[:full].tolist(), fits[order[:full]].tolist()
    left = n - (int(reach[full - 1]) if full else 0)
    tail = order[full:]
    at.append(_tightest(fits, spare, np.sort(tail[fits[tail] >= left])))
    counts.append(left)
    return at, counts


def _tightest(fits: Ints, spare: Ints, among: Ints) -> int:
    return int(among[np.argmin(_tightness(fits[among], spare[among]))])


def _tightness(fits: Ints, spare: Ints) -> Ints:
    return np.minimum(fits, BASE) * BASE + np.minimum(spare, BASE - 1)


def _tightest_first(fits: Ints, spare: Ints, n: int) -> Choice:
    order = np.argsort(_tightness(fits, spare), kind="stable")
    order = order[fits[order] > 0]
    reach = np.cumsum(fits[order])
    last = int(np.searchsorted(reach, n))
    counts = fits[order[: last + 1]].tolist()
    counts[-1] -= int(reach[last]) - n
    return order[: last + 1].tolist(), counts


def level_out(caps: Ints, n: int) -> list[int]:
    """`n` pods over as few of the places as take them, the largest, each with the same share as far as it has room.

    Where shares can't be equal the larger places take one more.
    """
    order = np.argsort(-caps, kind="stable")
    used = order[: fewest(caps, n)]
    shares = np.zeros(len(caps), dtype=np.int64)
    for nth, place in enumerate(used[::-1].tolist()):  # the smallest first: what it can't take falls to the others
        shares[place] = min(int(caps[place]), n // (len(used) - nth))
        n -= int(shares[place])
    return shares.tolist()


def fewest(fits: Ints, n: int) -> int:
    """How many hosts `n` pods need at least, taking the largest first (exact for one shape)."""
    reach = np.cumsum(np.sort(fits)[::-1])
    return int(np.searchsorted(reach, n)) + 1
