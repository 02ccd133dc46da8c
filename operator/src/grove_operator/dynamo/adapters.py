"""Who owns the replicas of a component (dynamo reference, section 5).

    scalingAdapter off    the graph's own number
    scalingAdapter on     the adapter's: a planner, an autoscaler or kubectl scale sets it; the graph's number follows

The chain is always adapter -> graph -> PodClique or scaling group. An autoscaler must never aim at the latter itself.
"""

from __future__ import annotations

from datetime import datetime

from grove_operator.api.kinds import SCALING_ADAPTER, Json
from grove_operator.dynamo.graph import Component, Graph
from grove_operator.dynamo.observed import GraphView
from grove_operator.dynamo.owned import ours, owned


def adapter_name(graph: Graph, component: Component) -> str:
    return f"{graph.name}-{component.lower}"


def wanted_replicas(view: GraphView) -> dict[str, int]:
    """By component: what its adapter says where it has one, else what the graph says."""
    return {component.name: wanted(view, component) for component in view.graph.components}


def wanted(view: GraphView, component: Component) -> int:
    live = view.adapters.get(adapter_name(view.graph, component)) if component.has_adapter else None
    return int(live["spec"]["replicas"]) if live else component.replicas


def adapters(view: GraphView, now: datetime) -> list[Json]:
    """One for each component that asks for it. A new one starts from the graph's number; afterwards it leads."""
    return [_adapter(view, component, now) for component in view.graph.components if component.has_adapter]


def _adapter(view: GraphView, component: Component, now: datetime) -> Json:
    graph, name = view.graph, adapter_name(view.graph, component)
    live = view.adapters.get(name)
    number = wanted(view, component)
    said = (view.child(component) or {}).get("status") or {}
    status: Json = {
        "replicas": said.get("replicas", 0),
        "selector": f"nvidia.com/selector={graph.name}-{component.lower}",
    }
    if live and number != component.replicas:
        status["lastScaleTime"] = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    labels = {**ours(graph), "nvidia.com/dynamo-component": component.name}
    spec = {"replicas": number, "dgdRef": {"name": graph.name, "serviceName": component.name}}
    return owned(graph, SCALING_ADAPTER, name, labels, spec=spec, status=status)
