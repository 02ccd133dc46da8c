"""What a simulated API server remembers of its changes, and what a watch tells of them."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from grove_operator.api.kinds import Json
from grove_operator.engine.merge import copy_json
from grove_operator.engine.ports import WatchEvent


@dataclass(slots=True)
class Change:
    revision: int
    old: Json | None
    new: Json | None


def changes_after(history: Iterable[Change], position: int) -> list[Change]:
    if isinstance(history, deque):
        fresh = list(itertools.takewhile(lambda change: change.revision > position, reversed(history)))
        fresh.reverse()
        return fresh
    return []


def event_of(change: Change, matches: Callable[[Json], bool]) -> WatchEvent | None:
    was = change.old is not None and matches(change.old)
    if change.new is not None and matches(change.new):
        return WatchEvent("MODIFIED" if was else "ADDED", copy_json(change.new))
    if not was or change.old is None:
        return None
    gone = copy_json(change.old)
    gone["metadata"]["resourceVersion"] = str(change.revision)
    return WatchEvent("DELETED", gone)
