"""Judgements about live pods (grove-behaviour 1.2 and 3.6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from grove_operator.api import conditions
from grove_operator.api.constants import LABEL_POD_INDEX, LABEL_POD_TEMPLATE_HASH, SCHEDULING_GATE
from grove_operator.api.kinds import Json
from grove_operator.core.objects import is_terminating, label, label_number


def is_ready(pod: Json) -> bool:
    return conditions.is_true(pod, "Ready")


def is_scheduled(pod: Json) -> bool:
    return conditions.is_true(pod, "PodScheduled") or bool(pod["spec"].get("nodeName"))


def is_refused(pod: Json) -> bool:
    """The scheduler has said that it finds no place: it waits, and will not change by itself."""
    said = conditions.find(pod, "PodScheduled")
    return said is not None and said["status"] == "False" and said.get("reason") == "Unschedulable"


def is_active(pod: Json) -> bool:
    """Counts, and holds its index: neither terminating nor finished."""
    return not is_terminating(pod) and not is_finished(pod)


def is_finished(pod: Json) -> bool:
    """Evicted, refused by its node, or run to its end: it never comes back."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def is_ready_of(pod: Json, clique: Json) -> bool:
    """Active, Ready, and of the template that its PodClique has now."""
    key = LABEL_POD_TEMPLATE_HASH
    return is_active(pod) and is_ready(pod) and label(pod, key) == label(clique, key)


def has_grove_gate(pod: Json) -> bool:
    return any(gate["name"] == SCHEDULING_GATE for gate in pod["spec"].get("schedulingGates") or ())


def pod_index(pod: Json) -> int | None:
    """From its label; None when it carries no index."""
    return label_number(pod, LABEL_POD_INDEX)


def health(pod: Json) -> Literal["ready", "erroneous", "started-not-ready", "other"]:
    """Exclusive classes, the first match wins: pods that still pull images or run init containers are "other"."""
    if is_ready(pod):
        return "ready"
    statuses = list(_container_statuses(pod, "initContainerStatuses", "containerStatuses"))
    if any(s.get("lastState", {}).get("terminated", {}).get("exitCode", 0) != 0 for s in statuses):
        return "erroneous"
    if any(s.get("started") and not s.get("ready") for s in _container_statuses(pod, "containerStatuses")):
        return "started-not-ready"
    return "other"


def _container_statuses(pod: Json, *fields: str) -> Iterator[dict[str, Any]]:
    for field in fields:
        yield from pod.get("status", {}).get(field) or ()
