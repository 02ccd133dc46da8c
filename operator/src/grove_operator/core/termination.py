"""Gang termination (grove-behaviour 6): what must go because too little of a gang has worked for too long.

    breach is seen ──── terminationDelay ────> expiry: everything made before it goes
    (persisted time)                           others first, those that show the breach last

The breach condition with its time is the only memory needed. Whoever shows an expired breach stays until everybody
else that is older than the expiry has gone, so an operator that dies half-way is resumed by the next one; and what was
made after the expiry is never touched again by that breach, so nothing is recycled twice for it. A PodClique of which
nothing was ever scheduled holds no place to give up and stays, also when the clocks of operator and server disagree.

What never worked is never recycled: `EverScheduled` on a PodClique and `EverHealthy` on a scaling group say that it
did, and a group whose replica was recycled carries `GangTerminationInProgress` until it is healthy again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from grove_operator.api import conditions
from grove_operator.api.constants import (
    CONDITION_EVER_HEALTHY,
    CONDITION_EVER_SCHEDULED,
    CONDITION_GANG_TERMINATION,
    CONDITION_MIN_AVAILABLE_BREACHED,
    DEFAULT_TERMINATION_DELAY,
    LABEL_SCALING_GROUP,
)
from grove_operator.api.duration import duration_s
from grove_operator.api.kinds import Json
from grove_operator.core.availability import is_breached
from grove_operator.core.objects import is_terminating, label
from grove_operator.core.template import Template


@dataclass(frozen=True, slots=True)
class Verdict:
    """`doomed`: PodCliques to delete now. `flagged`: groups to mark as being terminated. `wake_after_s`: look again."""

    doomed: frozenset[str] = frozenset()
    flagged: frozenset[str] = frozenset()
    wake_after_s: float | None = None


def delay_s(template: Template) -> float:
    return duration_s(template.obj["spec"]["template"].get("terminationDelay") or DEFAULT_TERMINATION_DELAY)


def replica_verdict(
    template: Template, cliques: Mapping[str, Json], groups: Mapping[str, Json], now: datetime
) -> Verdict:
    """Of one PodCliqueSet replica; `cliques` holds the members of its groups, too."""
    delay = delay_s(template)
    alone = {name: obj for name, obj in cliques.items() if not label(obj, LABEL_SCALING_GROUP)}
    expiries = {name: _expiry(obj, delay) for name, obj in alone.items() if is_breached(obj)}
    expiries |= {name: _expiry(obj, delay) for name, obj in groups.items() if is_group_breached(obj)}
    if not expiries:
        return Verdict()
    expiry = min(expiries.values())
    if expiry > now:
        return Verdict(wake_after_s=(expiry - now).total_seconds())
    expired = {name for name, moment in expiries.items() if moment <= now}
    others = _older(cliques, expiry) - expired
    unflagged = {name for name, obj in groups.items() if not conditions.is_true(obj, CONDITION_GANG_TERMINATION)}
    if others or unflagged - expired:
        return Verdict(frozenset(others), frozenset(unflagged - expired))
    return Verdict(frozenset(expired & alone.keys()), frozenset(unflagged & expired))


def group_verdict(template: Template, group: Json, members: Iterable[Mapping[str, Json]], now: datetime) -> Verdict:
    """Of one scaling group, whose `members` stand in one mapping for each replica below `spec.replicas`.

    When too few replicas would be left, the PodCliqueSet replica as a whole is concerned, and nothing happens here.
    """
    delay = delay_s(template)
    by_replica = list(members)
    triggers = [{name: _expiry(o, delay) for name, o in m.items() if is_breached(o)} for m in by_replica]
    breached = sum(bool(found) for found in triggers)
    minimum = group["spec"].get("minAvailable")
    if not breached or group["spec"]["replicas"] - breached < (1 if minimum is None else minimum):
        return Verdict()
    doomed: set[str] = set()
    waits_s: list[float] = []
    for found, cliques in zip(triggers, by_replica, strict=True):
        if not found:
            continue
        expiry = min(found.values())
        if expiry > now:
            waits_s.append((expiry - now).total_seconds())
            continue
        expired = {name for name, moment in found.items() if moment <= now}
        doomed |= _older(cliques, expiry) - expired or expired
    return Verdict(frozenset(doomed), wake_after_s=min(waits_s, default=None))


def is_group_breached(group: Json) -> bool:
    """It was healthy, is so no longer, and was not recycled for that yet."""
    return (
        not is_terminating(group)
        and conditions.is_true(group, CONDITION_EVER_HEALTHY)
        and conditions.is_true(group, CONDITION_MIN_AVAILABLE_BREACHED)
        and not conditions.is_true(group, CONDITION_GANG_TERMINATION)
    )


def being_terminated(group: Json, now: datetime) -> Json:
    """The status that marks a group as recycled."""
    said = conditions.condition(
        CONDITION_GANG_TERMINATION, True, "GangTerminationActive", "the PodCliqueSet replica was recycled"
    )
    return {"conditions": conditions.merged((group.get("status") or {}).get("conditions"), [said], now)}


def _expiry(obj: Json, delay: float) -> datetime:
    """Whole seconds, as creation times are: what is made at or after it is new."""
    breach = conditions.find(obj, CONDITION_MIN_AVAILABLE_BREACHED) or {}
    since = datetime.fromisoformat(breach["lastTransitionTime"])
    return since + timedelta(seconds=delay)


def _older(cliques: Mapping[str, Json], expiry: datetime) -> set[str]:
    whole = expiry.replace(microsecond=0)
    return {
        name
        for name, obj in cliques.items()
        if not is_terminating(obj)
        and datetime.fromisoformat(obj["metadata"]["creationTimestamp"]) < whole
        and _held_a_place(obj)
    }


def _held_a_place(clique: Json) -> bool:
    scheduled = (clique.get("status") or {}).get("scheduledReplicas", 0)
    return bool(scheduled) or conditions.is_true(clique, CONDITION_EVER_SCHEDULED)
