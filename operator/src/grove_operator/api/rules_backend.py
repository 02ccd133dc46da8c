"""What the scheduler behind a PodCliqueSet asks of it (grove-behaviour 10.3).

kai-scheduler    exactly one queue: kai.scheduler/queue of the set, else the one that its cliques agree on
volcano          no topology constraints; one queue for all cliques, which exists and is open
lpx-scheduler    no topology constraints
others           nothing
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from grove_operator.api.faults import Fault, path
from grove_operator.api.podcliqueset import PodCliqueSet
from grove_operator.api.rules_topology import constraint_places
from grove_operator.api.syntax import is_dns_subdomain

KAI, VOLCANO, LPX = "kai-scheduler", "volcano", "lpx-scheduler"
KAI_QUEUE = "kai.scheduler/queue"
VOLCANO_QUEUE = "scheduling.grove.io/volcano-queue"
VOLCANO_DEFAULT_QUEUE = "default"
CLIQUES = "spec.template.cliques"
Queues = Mapping[str, Mapping[str, Any]]


def scheduler_of(pcs: PodCliqueSet, default_scheduler: str) -> str:
    """The one scheduler of all cliques; "" while they disagree, which is a fault of its own."""
    names = {clique.spec.pod_spec.get("schedulerName") or default_scheduler for clique in pcs.spec.template.cliques}
    (only,) = names if len(names) == 1 else ("",)
    return only if isinstance(only, str) else ""


def backend_faults(pcs: PodCliqueSet, scheduler: str, queues: Queues | None) -> Iterator[Fault]:
    """Faults by the scheduler's own rules. `queues` are Volcano's by name (None: not known, not judged)."""
    if scheduler in (VOLCANO, LPX):
        for field, _ in constraint_places(pcs):
            fact = f"scheduler {scheduler!r} does not know topologies"
            yield Fault(field, "Invalid", fact, "remove the constraint or use a scheduler that does")
    if scheduler == KAI:
        yield from _kai_faults(pcs)
    elif scheduler == VOLCANO:
        yield from _volcano_faults(pcs, queues)


def volcano_queue(pcs: PodCliqueSet) -> str:
    """The queue that a set for Volcano resolves to: its own annotation, else its first clique's, else `default`."""
    own = _value(pcs.metadata.get("annotations"), VOLCANO_QUEUE)
    cliques = [_value(clique.annotations, VOLCANO_QUEUE) for clique in pcs.spec.template.cliques]
    return own or next((queue for queue in cliques if queue), "") or VOLCANO_DEFAULT_QUEUE


def _kai_faults(pcs: PodCliqueSet) -> Iterator[Fault]:
    own = _label_or_annotation(pcs.metadata.get("labels"), pcs.metadata.get("annotations"))
    wanted, whose = own, "the PodCliqueSet"
    for i, clique in enumerate(pcs.spec.template.cliques):
        queue = _label_or_annotation(clique.labels, clique.annotations)
        if not queue:
            continue
        if not wanted:
            wanted, whose = queue, f"clique {clique.name}"
        elif queue != wanted:
            part = "labels" if _value(clique.labels, KAI_QUEUE) else "annotations"
            field = f"{path(CLIQUES, i, part)}[{KAI_QUEUE}]"
            yield Fault(field, "Invalid", f"queue {queue!r} differs from {wanted!r} of {whose}", "use one queue")
    if not wanted:
        fact = f"is missing, and scheduler {KAI!r} needs a queue"
        yield Fault(f"metadata.labels[{KAI_QUEUE}]", "Required", fact, "name the queue here or on the cliques")


def _volcano_faults(pcs: PodCliqueSet, queues: Queues | None) -> Iterator[Fault]:
    own = _value(pcs.metadata.get("annotations"), VOLCANO_QUEUE)
    wanted, field = volcano_queue(pcs), f"metadata.annotations[{VOLCANO_QUEUE}]"
    for i, clique in enumerate(pcs.spec.template.cliques):
        queue = _value(clique.annotations, VOLCANO_QUEUE) or own or VOLCANO_DEFAULT_QUEUE
        if queue != wanted:
            where = f"{path(CLIQUES, i, 'annotations')}[{VOLCANO_QUEUE}]"
            fact = f"clique {clique.name} goes to queue {queue!r} and others to {wanted!r}"
            yield Fault(where, "Invalid", fact, "use one queue, best named on the PodCliqueSet")
    if not is_dns_subdomain(wanted):
        yield Fault(field, "Invalid", f"{wanted!r} is no name of a queue", "use lower-case letters, digits, - and .")
    elif queues is not None and wanted not in queues:
        yield Fault(field, "Invalid", f"Volcano queue {wanted!r} does not exist", "create it first or name another")
    elif queues is not None:
        status = queues[wanted].get("status")
        state = status.get("state") if isinstance(status, Mapping) else None
        if state != "Open":
            fact = f"Volcano queue {wanted!r} is {state or 'in an unknown state'}"
            yield Fault(field, "Invalid", fact, "open it or name another")


def _label_or_annotation(labels: object, annotations: object) -> str:
    return _value(labels, KAI_QUEUE) or _value(annotations, KAI_QUEUE)


def _value(values: object, key: str) -> str:
    found = values.get(key) if isinstance(values, Mapping) else None
    return found if isinstance(found, str) else ""
