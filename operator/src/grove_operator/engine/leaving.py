"""Pods of gangs that still hold a node on their way out: their successors may wait for their places."""

from __future__ import annotations

from grove_operator.api.constants import LABEL_POD_GANG
from grove_operator.api.kinds import Json
from grove_operator.engine.scheduling_view import is_over

LONGEST_S = 120.0
"""A gang waits no longer for its former place than this: a pod may need an hour to end."""


class Leaving:
    """Follows the watch of (trimmed) pods."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, Json]] = {}
        self._given_up: set[str] = set()

    def see(self, old: Json | None, new: Json | None) -> None:
        for pod in (old, new):
            if pod is not None:
                self._forget(pod)
        if new is None:
            self._given_up.discard((old or {})["metadata"]["uid"])
        elif _is_leaving(new) and new["metadata"]["uid"] not in self._given_up and (key := _gang(new)):
            self._of.setdefault(key, {})[new["metadata"]["uid"]] = new

    def of(self, gang: str) -> list[Json]:
        return list(self._of.get(gang, {}).values())

    def give_up(self, gang: str) -> None:
        """Nobody waits any longer for those that are leaving now."""
        self._given_up.update(self._of.pop(gang, ()))

    def _forget(self, pod: Json) -> None:
        pods = self._of.get(_gang(pod), {})
        if pods.pop(pod["metadata"]["uid"], None) and not pods:
            del self._of[_gang(pod)]


def _is_leaving(pod: Json) -> bool:
    return bool(pod["node"] and pod["metadata"]["deletionTimestamp"]) and not is_over(pod)


def _gang(pod: Json) -> str:
    meta = pod["metadata"]
    name = meta["labels"].get(LABEL_POD_GANG)
    return f"{meta['namespace']}/{name}" if name else ""
