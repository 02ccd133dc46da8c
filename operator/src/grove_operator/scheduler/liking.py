"""What a gang would like beside its levels, at no cost to them: how to fill hosts, where its like are not, old places.

packing   pack          fewest hosts, the last of them the tightest (default)
          balanced      as few domains and hosts as pack, each with the same share
          small-first   smallest hosts first, which keeps the large ones whole
spread    label keys: domains with fewer replicas of the same PodCliqueSet come first, after the objective's O3
reuse     nodes of the gang whose reservation this one takes over, or of the pods that its members follow: taken
          wherever that is no worse by O2 and O3
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from grove_operator.scheduler.nodes import Ints
from grove_operator.scheduler.topology import TopologyIndex

PACK, BALANCED, SMALL_FIRST = "pack", "balanced", "small-first"
PACKINGS = (PACK, BALANCED, SMALL_FIRST)


@dataclass(frozen=True, slots=True)
class Liking:
    """`spread` has, per level, how many other replicas each of its domains holds; `reuse` are positions."""

    packing: str = PACK
    spread: dict[int, Ints] = field(default_factory=dict)
    reuse: frozenset[int] = frozenset()

    @property
    def spread_level(self) -> int:
        """The finest level to spread over, 0 for none."""
        return max(self.spread, default=0)


NONE = Liking()


def replicas_per_domain(
    index: TopologyIndex, keys: Iterable[str], replicas: Iterable[Iterable[int]]
) -> dict[int, Ints]:
    """How many of the replicas (node rows of each) every domain holds, for each key that is a level."""
    levels = sorted({level for key in keys if (level := index.level(key))})
    found: dict[int, Ints] = {level: np.zeros(len(index.lo[level]), dtype=np.int64) for level in levels}
    for rows in replicas:
        at = index.position[list(rows)]
        for level, counts in found.items():
            if len(at):
                counts[np.unique(index.dom[level][at])] += 1
    return found
