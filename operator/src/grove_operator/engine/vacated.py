"""Places of pods that are gone a moment before their successors are here, as if those were still on their way out.

A pod that ends at once leaves its node before the operator has seen it go; who waits for room would be placed there,
and the update that the pod belonged to could not go on.
"""

from __future__ import annotations

from collections.abc import Iterable

from grove_operator.api.kinds import Json
from grove_operator.engine.scheduling_feed import waits
from grove_operator.engine.scheduling_view import is_over
from grove_operator.scheduler.model import Gang

AWAITED_S = 3.0
"""A place is kept no longer than this: nobody may be coming (the gang got smaller)."""


class Vacated:
    """By gang, the pods whose places are still kept."""

    def __init__(self) -> None:
        self._pods: dict[str, list[Json]] = {}

    def see(self, key: str, pod: Json, pod_gang: Json | None) -> Json | None:
        """The last sight of a pod that is gone, as one on its way out, if its place is to be kept; else None."""
        meta = pod["metadata"]
        if not pod["node"] or is_over(pod) or pod_gang is None or pod_gang["metadata"].get("deletionTimestamp"):
            return None
        kept = {**pod, "metadata": {**meta, "deletionTimestamp": meta["deletionTimestamp"] or "gone"}}
        self._pods.setdefault(key, []).append(kept)
        return kept

    def among(self, keys: Iterable[str]) -> list[str]:
        return sorted(self._pods.keys() & set(keys))

    def let_go(self, key: str, pod: Json | None = None) -> list[Json]:
        """All of the gang's, or this one alone if its place is still kept."""
        pods = self._pods.pop(key, [])
        kept = [one for one in pods if pod is not None and one is not pod]
        if kept:
            self._pods[key] = kept
        return [one for one in pods if pod is None or one is pod]

    def is_followed(self, key: str, gang: Gang | None) -> bool:
        """As many of the gang as there are places are ready to be placed; or nobody will ever come."""
        if gang is None:
            return True
        waiting = sum(m.node is None and not m.is_gated for g in gang.podgroups for m in g.members)
        return waits(gang) and waiting >= len(self._pods[key])
