"""Pods of gangs that still hold a node though they are no members any more: their successors may wait for their places.

They are terminating, or will be as soon as the garbage collector comes to them: their gang names others in their place.
"""

from __future__ import annotations

from grove_operator.api.constants import LABEL_POD_GANG
from grove_operator.api.kinds import Json
from grove_operator.engine.scheduling_view import is_over

LONGEST_S = 120.0
"""A gang waits no longer for its former place than this: a pod may need an hour to end."""


class Leaving:
    """Follows the watch of (trimmed) pods."""

    def __init__(self) -> None:
        self._bound: dict[str, dict[str, Json]] = {}

    def see(self, old: Json | None, new: Json | None) -> None:
        if old is not None:
            self._forget(old)
        if new is not None and new["node"] and not is_over(new) and (key := _gang(new)):
            self._bound.setdefault(key, {})[new["metadata"]["uid"]] = new

    def of(self, pod_gang: Json) -> list[Json]:
        """Bound pods that bear the gang's label and are going, or are none of those that it names."""
        meta = pod_gang["metadata"]
        pods = self._bound.get(f"{meta['namespace']}/{meta['name']}")
        if not pods:
            return []
        named = {r["name"] for g in pod_gang["spec"].get("podgroups") or () for r in g.get("podReferences") or ()}
        return [
            pod for pod in pods.values() if pod["metadata"]["deletionTimestamp"] or pod["metadata"]["name"] not in named
        ]

    def _forget(self, pod: Json) -> None:
        key = _gang(pod)
        pods = self._bound.get(key, {})
        if pods.pop(pod["metadata"]["uid"], None) and not pods:
            del self._bound[key]


def _gang(pod: Json) -> str:
    meta = pod["metadata"]
    name = meta["labels"].get(LABEL_POD_GANG)
    return f"{meta['namespace']}/{name}" if name else ""
