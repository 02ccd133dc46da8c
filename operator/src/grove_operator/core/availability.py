"""How much of a live PodClique or scaling group must be up, and whether it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from grove_operator.api import conditions
from grove_operator.api.constants import (
    CONDITION_EVER_SCHEDULED,
    CONDITION_MIN_AVAILABLE_BREACHED,
    LABEL_POD_TEMPLATE_HASH,
)
from grove_operator.api.kinds import Json
from grove_operator.core.objects import is_terminating, label
from grove_operator.core.outcome import EventSpec

Live = Mapping[str, Any]


def least(obj: Live) -> int:
    """minAvailable, 1 where none is said; nothing is missed of what is scaled to 0."""
    spec = obj["spec"]
    if spec.get("replicas") == 0:
        return 0
    return 1 if spec.get("minAvailable") is None else int(spec["minAvailable"])


def reaches_least(obj: Live | None, counter: str) -> bool:
    """True when the object lives and its status counts at least the minimum."""
    if obj is None or is_terminating(obj):
        return False
    return bool((obj.get("status") or {}).get(counter, 0) >= least(obj))


def is_breached(clique: Live) -> bool:
    """A PodClique that had its minimum scheduled and has it no longer, or not in working order.

    One that was never scheduled only waits.
    """
    return (
        not is_terminating(clique)
        and conditions.is_true(clique, CONDITION_EVER_SCHEDULED)
        and conditions.is_true(clique, CONDITION_MIN_AVAILABLE_BREACHED)
    )


def clique_is_current(clique: Live, template_hash: str, generation_hash: str) -> bool:
    """All of the PodClique's wanted pods run the current template, and enough of them are Ready (7.3).

    What a template that comes back finds half replaced is not current, though its hash never went.
    """
    status = clique.get("status") or {}
    return (
        _rests(status)
        and label(clique, LABEL_POD_TEMPLATE_HASH) == template_hash
        and status.get("currentPodTemplateHash") == template_hash
        and status.get("currentPodCliqueSetGenerationHash") == generation_hash
        and status.get("updatedReplicas", 0) >= max(least(clique), status.get("replicas", 0))
        and status.get("readyReplicas", 0) >= least(clique)
    )


def group_is_current(group: Live | None, generation_hash: str) -> bool:
    """The scaling group has converged on this template, and no update to another one was left half done."""
    status = (group or {}).get("status") or {}
    return _rests(status) and status.get("currentPodCliqueSetGenerationHash") == generation_hash


def _rests(status: Live) -> bool:
    progress = status.get("updateProgress")
    return not progress or bool(progress.get("updateEndedAt"))


def lost_all(obj: Json, status: Json) -> Iterator[EventSpec]:
    """One event when what was scheduled of a PodClique or group is scheduled no more, and not because it should be."""
    before = (obj.get("status") or {}).get("scheduledReplicas", 0)
    if before and not status.get("scheduledReplicas") and obj["spec"].get("replicas"):
        text = f"all {before} scheduled replicas are lost"
        yield EventSpec(obj, "AllScheduledReplicasLost", text, is_warning=True)
