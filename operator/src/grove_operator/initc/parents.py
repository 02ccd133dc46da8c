"""Which PodCliques are waited for, and whether enough of their pods are Ready. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

POD_CLIQUE_LABEL = "grove.io/podclique"
FLAGS = ("--podcliques", "-p")


class ArgumentError(ValueError):
    """An argument that can't be read; the message says how it should look."""


def parents_of(argv: Sequence[str]) -> dict[str, int]:
    """Ready pods needed by PodClique name, from `--podcliques=NAME:COUNT` (or `-p`), repeated or with commas.

    Blank entries are skipped; of a repeated name the last one counts. Raises ArgumentError.
    """
    needed: dict[str, int] = {}
    for text in _values(argv):
        for entry in text.split(","):
            if not entry.strip():
                continue
            name, _, count = entry.strip().rpartition(":")
            if not name or not count.isdecimal() or int(count) < 1:
                raise ArgumentError(
                    f"{entry.strip()!r} is not a PodClique's name and a positive count; write NAME:COUNT"
                )
            needed[name] = int(count)
    return needed


def _values(argv: Sequence[str]) -> Iterable[str]:
    rest = iter(argv)
    for word in rest:
        flag, equals, value = word.partition("=")
        if flag not in FLAGS:
            raise ArgumentError(f"{word!r} is not known; use --podcliques=NAME:COUNT")
        if equals:
            yield value
            continue
        following = next(rest, None)
        if following is None:
            raise ArgumentError(f"{flag} needs a value: NAME:COUNT")
        yield following


class Parents:
    """Follows pods and knows which PodCliques still lack Ready ones. A pod belongs to the PodClique its label names."""

    def __init__(self, needed: Mapping[str, int]) -> None:
        self._needed = dict(needed)
        self._ready: dict[str, set[str]] = {name: set() for name in needed}

    def replace(self, pods: Iterable[Mapping[str, Any]]) -> None:
        """These are all pods there are."""
        for ready in self._ready.values():
            ready.clear()
        for pod in pods:
            self.observe(pod)

    def observe(self, pod: Mapping[str, Any], *, is_gone: bool = False) -> None:
        meta = pod["metadata"]
        ready = self._ready.get((meta.get("labels") or {}).get(POD_CLIQUE_LABEL, ""))
        for others in self._ready.values():
            others.discard(meta["name"])
        if ready is not None and not is_gone and _is_ready(pod):
            ready.add(meta["name"])

    def missing(self) -> dict[str, tuple[int, int]]:
        """(Ready, needed) of every PodClique that has too few; empty when the pod may start."""
        counts = {name: (len(self._ready[name]), needed) for name, needed in self._needed.items()}
        return {name: (ready, needed) for name, (ready, needed) in counts.items() if ready < needed}


def _is_ready(pod: Mapping[str, Any]) -> bool:
    if pod["metadata"].get("deletionTimestamp"):
        return False
    found = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in found)
