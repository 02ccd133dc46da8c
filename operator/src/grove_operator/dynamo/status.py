"""A DynamoGraphDeployment's status from the Grove objects that run it (dynamo reference 1.1 and 2.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from grove_operator.api import conditions
from grove_operator.api.kinds import Json
from grove_operator.dynamo.graph import Component, Graph


def status(
    dgd: Json, cliques: Mapping[str, Json], groups: Mapping[str, Json], troubles: Sequence[str], now: datetime
) -> Json:
    """`cliques` and `groups` by name; a missing one counts as not ready. `troubles`: why writing failed."""
    graph, old = Graph(dgd), dgd.get("status") or {}
    waiting: list[str] = []
    services: Json = {}
    for component in graph.components:
        name = graph.child_name(component)
        live = (groups if component.is_group else cliques).get(name)
        services[component.name] = _service_status(component, name, live)
        if why := _not_ready(component, live):
            waiting.append(f"{component.name}: {why}")
    if troubles:
        state, ready, reason, message = "failed", False, "failed_to_reconcile_the_resources", "; ".join(troubles)
    elif waiting:
        state, ready, reason = "pending", False, "some_resources_are_not_ready"
        message = "; ".join(waiting)
    else:
        state, ready, reason, message = "successful", True, "all_resources_are_ready", "all resources are ready"
    said = conditions.condition("Ready", ready, reason, message)
    return {
        **old,
        "observedGeneration": dgd["metadata"].get("generation", 1),
        "state": state,
        "services": services,
        "conditions": conditions.merged(old.get("conditions"), [said], now),
    }


def _service_status(component: Component, name: str, live: Json | None) -> Json:
    """Counters of one service; readyReplicas is for cliques only, availableReplicas for scaling groups only."""
    said = (live or {}).get("status") or {}
    result: Json = {
        "componentKind": "PodCliqueScalingGroup" if component.is_group else "PodClique",
        "componentName": name,
        "componentNames": [name],
        "replicas": said.get("replicas", 0),
        "updatedReplicas": said.get("updatedReplicas", 0),
        "scheduledReplicas": said.get("scheduledReplicas", 0),
    }
    counter = "availableReplicas" if component.is_group else "readyReplicas"
    return {**result, counter: said.get(counter, 0)}


def _not_ready(component: Component, live: Json | None) -> str:
    """'' when the service runs as wished; 0 replicas count as ready."""
    if live is None:
        return "not created yet"
    said, wanted = live.get("status") or {}, component.replicas
    if said.get("observedGeneration", 0) < live["metadata"].get("generation", 1):
        return "not observed yet"
    counter = "availableReplicas" if component.is_group else "readyReplicas"
    ready, updated, replicas = said.get(counter, 0), said.get("updatedReplicas", 0), said.get("replicas", 0)
    if live["spec"]["replicas"] != wanted or replicas != wanted:
        return f"{replicas} of {wanted} replicas exist"
    if ready != wanted:
        return f"{ready} of {wanted} replicas are ready"
    if updated != wanted:
        return f"{updated} of {wanted} replicas are up to date"
    return ""
