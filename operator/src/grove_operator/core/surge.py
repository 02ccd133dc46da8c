"""Replicas beside the set's own while a rolling update runs: first in line, last to be missed.

    annotation grove.io/rollout-max-surge: "1"                  a set of 3 replicas, 0 1 2
    update begins   ──> Surge=Unknown SurgePending              3 is made from the new template, 0 1 2 are not touched
    3 is available  ──> Surge=True    SurgeAvailable            0, 1 and 2 follow, each once the one before is available
    all are new     ──> no condition                            3 goes
    3 has no place  ──> Surge=False   NoRoom and its reason     3 goes, 0 1 2 follow as without a surge

What is said with False holds for the rest of this update, else the room that is given back would be tried for ever,
and stays to be read until the next one begins. Further replicas exist while, and only while, the set's status says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from grove_operator.api import conditions
from grove_operator.api.constants import (
    ANNOTATION_MAX_SURGE,
    CONDITION_SURGE,
    LABEL_PCS_REPLICA_INDEX,
)
from grove_operator.api.kinds import Json
from grove_operator.api.syntax import positive_count
from grove_operator.core.objects import label_number
from grove_operator.core.observed import OWNERSHIP_CONFLICT, SetView
from grove_operator.core.outcome import EventSpec
from grove_operator.core.strategy import ON_DELETE, is_noticed, is_paused, is_running, set_progress, strategy
from grove_operator.core.template import Template

SETTLE_S = 10.0
"""A further replica that is selected for less is not given up for want of room: its scheduler may not know yet of
what has just come free. The same time is left to pods that should be gone and are not."""
PENDING, AVAILABLE = "SurgePending", "SurgeAvailable"
NO_ROOM, NAME_TAKEN, NOTHING_TO_PROTECT = "NoRoom", "NameTaken", "NothingToProtect"
GIVEN_UP = "SurgeGivenUp"
"""Reason of the event."""


@dataclass(frozen=True, slots=True)
class Surge:
    """What an update does about further replicas. `said`: the condition; None: there is nothing to say.

    `lacking`: indices of those that are not there yet; the first is in line before the set's own replicas.
    `is_there`: all are, so that each of the set's own is waited for until it is available. `waits`: they find no place
    while pods are on their way out, so that none of them is selected before these are gone.
    """

    said: Json | None = None
    lacking: tuple[int, ...] = ()
    is_there: bool = False
    waits: bool = False
    wake_after_s: float | None = None


def max_surge(template: Template) -> int:
    """0 where the annotation is absent, or is not what admission lets pass."""
    return positive_count(template.annotations.get(ANNOTATION_MAX_SURGE, ""))


def surging(template: Template) -> int:
    """How many replicas there are beside the set's own, by what its status says."""
    return max_surge(template) if is_running(set_progress(template)) and _lasts(_before(template)) else 0


def indices(template: Template) -> range:
    """Of all replicas that should exist now."""
    return range(template.replicas + surging(template))


def judged(
    view: SetView,
    available: AbstractSet[int],
    updated: AbstractSet[int],
    now: datetime,
    *,
    settling: AbstractSet[int] = frozenset(),
    is_stuck: bool = False,
) -> Surge:
    """`available`, `updated`: indices of replicas, further ones included. To be asked before anything is selected.

    `settling`: those with pods that are Ready for less than the set asks; of further ones that is too early.
    `is_stuck`: the set has made no progress within its deadline.
    """
    template, before = view.template, _before(view.template)
    if not max_surge(template) or strategy(template) == ON_DELETE:
        return Surge()
    if not is_noticed(template):  # a new update begins: what the last one gave up may be tried again
        return Surge(before if _lasts(before) and is_running(set_progress(template)) else None)
    if not is_running(set_progress(template)) or (before and not _lasts(before)):
        return Surge(before if not _lasts(before) else None)
    if before is None:
        return _begun(view, available, updated)
    return _continued(view, (available & updated) - settling, now, is_stuck=is_stuck)


def ended(surge: Surge) -> Json | None:
    """The condition after the update: what was given up stays to be read."""
    return None if _lasts(surge.said) else surge.said


def news(template: Template, said: Json | None) -> Iterator[EventSpec]:
    """One event when a surge is given up."""
    if said and said["status"] == "False" and not _is_given_up(_before(template)):
        yield EventSpec(template.obj, GIVEN_UP, said["message"], is_warning=True)


def is_decision(template: Template, said: Json | None) -> bool:
    """Replicas come or go by it."""
    return surging_word(_before(template)) != surging_word(said)


def surging_word(condition: Json | None) -> tuple[str, str] | None:
    return (condition["status"], condition["reason"]) if condition else None


def _begun(view: SetView, available: AbstractSet[int], updated: AbstractSet[int]) -> Surge:
    """The decision, once for each update, before the first replica is selected."""
    template = view.template
    own = range(template.replicas)
    if is_paused(template) or all(i in updated for i in own):
        return Surge()
    if not any(i in available for i in own):
        return Surge(_false(NOTHING_TO_PROTECT, "no replica is available that a further one could stand in for"))
    if waiting := view.refused:
        return Surge(_false(NO_ROOM, f"{_told(view, waiting[0])}, so there is none for a further replica"))
    lacking = tuple(range(template.replicas, template.replicas + max_surge(template)))
    return Surge(_pending(lacking), lacking)


def _continued(view: SetView, done: AbstractSet[int], now: datetime, *, is_stuck: bool) -> Surge:
    template = view.template
    further = tuple(range(template.replicas, template.replicas + max_surge(template)))
    waiting = {replica_of(pod) for pod in view.refused}  # what is there in part would take what comes free
    lacking = tuple(i for i in further if i not in done or i in waiting)
    refused = [pod for pod in view.refused if replica_of(pod) >= template.replicas]
    clears_in_s = (view.clears_at - now).total_seconds() + SETTLE_S if view.clears_at else 0.0
    settles_in_s = _settles_in_s(template, now)
    waits = bool(refused) and clears_in_s > 0
    is_settled = settles_in_s is not None and settles_in_s <= 0
    found_none = view.refused if is_stuck else refused if is_settled else ()
    if why := _obstacle(view, found_none if clears_in_s <= 0 else ()):
        return Surge(why)
    wake_after_s = clears_in_s if view.refused and clears_in_s > 0 else settles_in_s if refused else None
    if lacking:
        return Surge(_pending(lacking), lacking, waits=waits, wake_after_s=wake_after_s)
    return Surge(_true(further), is_there=True, wake_after_s=wake_after_s)


def _settles_in_s(template: Template, now: datetime) -> float | None:
    """When one of the further replicas will have been in line for long enough; None while none is."""
    for one in (set_progress(template) or {}).get("currentlyUpdating") or ():
        if one["replicaIndex"] >= template.replicas:
            return SETTLE_S - (now - datetime.fromisoformat(one["updateStartedAt"])).total_seconds()
    return None


def _obstacle(view: SetView, refused: Sequence[Json]) -> Json | None:
    """Why there can be no surge: a taken name, a quota, no place for a pod (`refused`: for long enough).

    Of the set's own pods, which get the room of the surge, each finds none until its predecessor is gone: they are
    waited for until nothing else moves.
    """
    taken = [trouble for trouble in view.surge_troubles if trouble.code == OWNERSHIP_CONFLICT]
    if taken:
        return _false(NAME_TAKEN, taken[0].description)
    over_quota = [trouble for trouble in view.surge_troubles if "exceeded quota" in trouble.description]
    if over_quota:
        return _false(NO_ROOM, over_quota[0].description)
    if not refused:
        return None
    is_own = replica_of(refused[0]) < view.template.replicas
    return _false(NO_ROOM, _told(view, refused[0]) + (": it gets the room of the surge" if is_own else ""))


def _told(view: SetView, pod: Json) -> str:
    """With the words of its scheduler, where these are known."""
    name = pod["metadata"]["name"]
    words = view.refusals.get(name, "").strip().rstrip(".")
    return f"no place for pod {name}" + (f": {words}" if words else "")


def _pending(lacking: Iterable[int]) -> Json:
    text = f"{_replicas(lacking)} will be available before any other is updated"
    return conditions.condition(CONDITION_SURGE, None, PENDING, text)


def _true(further: Iterable[int]) -> Json:
    text = f"{_replicas(further)} beyond spec.replicas, until the update ends"
    return conditions.condition(CONDITION_SURGE, True, AVAILABLE, text)


def _false(reason: str, why: str) -> Json:
    return conditions.condition(CONDITION_SURGE, False, reason, f"{why}; the update goes without a surge")


def _replicas(found: Iterable[int]) -> str:
    numbers = [str(i) for i in found]
    return f"replica{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def _before(template: Template) -> Json | None:
    return conditions.find(template.obj, CONDITION_SURGE)


def _lasts(condition: Json | None) -> bool:
    """It says that there are further replicas, or will be."""
    return condition is not None and condition["status"] != "False"


def _is_given_up(condition: Json | None) -> bool:
    return condition is not None and condition["status"] == "False"


def replica_of(obj: Json) -> int:
    """PodCliqueSet replica of a part or pod; -1 when its label is lost."""
    index = label_number(obj, LABEL_PCS_REPLICA_INDEX)
    return -1 if index is None else index
