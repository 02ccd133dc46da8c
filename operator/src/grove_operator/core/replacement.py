"""When a pod that ended is replaced, and by which pod.

    first end at an index            at once
    ended again within the hour      not before 10, 20, 40 ... 300 s have passed since it was made

So an evicted pod costs no time, and one that its node refuses again and again no storm of writes. The count of ends in
a row travels on the pods themselves: a restart of the operator forgets nothing. Until its successor is made, the ended
pod stays to be looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from grove_operator.api.constants import ANNOTATION_ENDS_IN_A_ROW
from grove_operator.api.kinds import Json
from grove_operator.core import podstate
from grove_operator.core.objects import is_terminating

WAIT_MIN_S, WAIT_MAX_S = 10.0, 300.0
FORGIVEN_S = 3600.0
"""A pod that lived this long ended for another reason than its predecessor."""


@dataclass(frozen=True, slots=True)
class Successor:
    """The pod to make at `index`, `ends` in a row before it; or, with `wait_s`, the ended pod to keep until then."""

    index: int
    ends: int = 0
    wait_s: float = 0.0
    ended: Json | None = None


def successors(indices: Iterable[int], pods: Iterable[Json], now: datetime) -> list[Successor]:
    """One for each free index."""
    ended = {podstate.pod_index(p): p for p in sorted(pods, key=_made) if podstate.is_finished(p)}
    return [_successor(index, ended.get(index), now) for index in indices]


def ends_in_a_row(pod: Json) -> int:
    """How many pods ended before this one, each within the hour."""
    text = (pod["metadata"].get("annotations") or {}).get(ANNOTATION_ENDS_IN_A_ROW, "")
    return int(text) if text.isdigit() else 0


def _successor(index: int, ended: Json | None, now: datetime) -> Successor:
    if ended is None:
        return Successor(index)
    before = ends_in_a_row(ended)
    lived_s = (now - datetime.fromisoformat(_made(ended))).total_seconds()
    wait_s = min(WAIT_MAX_S, WAIT_MIN_S * 2 ** (min(before, 10) - 1)) if before else 0.0
    if lived_s < wait_s and not is_terminating(ended):
        return Successor(index, wait_s=wait_s - lived_s, ended=ended)
    return Successor(index, 0 if lived_s >= FORGIVEN_S else before + 1, ended=ended)


def _made(pod: Json) -> str:
    return str(pod["metadata"].get("creationTimestamp", "1970-01-01T00:00:00Z"))
