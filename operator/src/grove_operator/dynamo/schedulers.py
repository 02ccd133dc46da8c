"""Who schedules a component's pods, and in which queue (dynamo reference 2.10).

KAI        where the pods name it, or name none and KAI is the operator's default
Volcano    where the graph names a Volcano queue and the pods name no other scheduler
another    as the pods say
"""

from __future__ import annotations

from grove_operator.dynamo.graph import Component, Graph, MappingError
from grove_operator.dynamo.settings import KAI

KAI_QUEUE, VOLCANO_QUEUE = "nvidia.com/kai-scheduler-queue", "nvidia.com/volcano-queue"
VOLCANO = "volcano"
DEFAULT_KAI_QUEUE = "dynamo"


def scheduler_name(graph: Graph, component: Component) -> str:
    """For the pod spec; "" leaves the choice to the operator's default. MappingError when two queues are asked for."""
    chosen = str((component.template.get("spec") or {}).get("schedulerName") or "")
    if chosen:
        return chosen
    if volcano_queue(graph):
        return VOLCANO
    return KAI if graph.settings.scheduler == KAI else ""


def volcano_queue(graph: Graph) -> str:
    queue = graph.annotations.get(VOLCANO_QUEUE, "").strip()
    if queue and graph.annotations.get(KAI_QUEUE, "").strip():
        raise MappingError(f"annotations {KAI_QUEUE} and {VOLCANO_QUEUE} exclude each other; remove one of them")
    return queue


def kai_queue(graph: Graph, component: Component) -> str:
    """KAI's queue of the component's pods; "" where somebody else schedules them. MappingError where KAI is known to
    have none of that name."""
    if scheduler_name(graph, component) != KAI:
        return ""
    queue = graph.annotations.get(KAI_QUEUE, "").strip() or DEFAULT_KAI_QUEUE
    if graph.around.queues is not None and queue not in graph.around.queues:
        raise MappingError(f"KAI has no queue {queue}; create that Queue, or name another in annotation {KAI_QUEUE}")
    return queue
