"""Places of pods that are gone a moment before their successors are here, as if those were still on their way out.

A pod that ends at once leaves its node before the operator has seen it go; who waits for room would be placed there,
and the update that the pod belonged to could not go on.
"""

from __future__ import annotations

from collections.abc import Iterable

from grove_operator.api.constants import LABEL_POD_CLIQUE, LABEL_POD_INDEX
from grove_operator.api.kinds import Json
from grove_operator.engine.scheduling_feed import waits
from grove_operator.engine.scheduling_view import is_over
from grove_operator.scheduler.model import Gang

Slot = tuple[str, str]
AWAITED_S = 3.0
"""A place is kept no longer than this: nobody may be coming (the gang got smaller)."""


class Vacated:
    """By gang, the last sights of pods whose places are still kept, by PodClique and pod index."""

    def __init__(self) -> None:
        self._pods: dict[str, dict[Slot, Json]] = {}

    def see(self, key: str, pod: Json, pod_gang: Json | None, assumed: str | None = None) -> Json | None:
        """A pod that is gone, as one on its way out, if its place is to be kept; else None.

        One that wasn't bound yet leaves the place that it was going (back) to.
        """
        meta, node = pod["metadata"], pod["node"] or assumed or pod["former"]
        if not node or is_over(pod) or pod_gang is None or pod_gang["metadata"].get("deletionTimestamp"):
            return None
        kept = {**pod, "node": node, "metadata": {**meta, "deletionTimestamp": meta["deletionTimestamp"] or "gone"}}
        self._pods.setdefault(key, {})[_slot(pod)] = kept
        return kept

    def at(self, key: str, pod: Json) -> Json | None:
        """What is kept of the pod before this one."""
        return self._pods.get(key, {}).get(_slot(pod))

    def among(self, keys: Iterable[str]) -> list[str]:
        return sorted(self._pods.keys() & set(keys))

    def let_go(self, key: str, pod: Json) -> bool:
        """False: its place isn't kept any more."""
        pods = self._pods.get(key, {})
        if pods.get(_slot(pod)) is not pod:
            return False
        del pods[_slot(pod)]
        if not pods:
            del self._pods[key]
        return True

    def followed(self, key: str, gang: Gang | None, living: Iterable[Json]) -> list[Json]:
        """Those whose successor has a place or is ready for one; all when there is no gang any more."""
        kept = self._pods.get(key, {})
        if gang is None:
            return list(kept.values())
        can_be_placed = waits(gang)
        there = {_slot(pod) for pod in living if pod["node"] or (can_be_placed and not pod["gated"])}
        return [pod for slot, pod in kept.items() if slot in there]


def _slot(pod: Json) -> Slot:
    labels = pod["metadata"]["labels"]
    return labels.get(LABEL_POD_CLIQUE, ""), labels.get(LABEL_POD_INDEX) or pod["metadata"]["name"]
