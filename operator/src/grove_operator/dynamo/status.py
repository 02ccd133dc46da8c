"""A DynamoGraphDeployment's status from the Grove objects that run it (dynamo reference 1.1 and 2.4)."""

from __future__ import annotations

from datetime import datetime

from grove_operator.api import conditions
from grove_operator.api.kinds import Json
from grove_operator.dynamo.adapters import adapter_name, wanted
from grove_operator.dynamo.graph import Component
from grove_operator.dynamo.observed import GraphView
from grove_operator.dynamo.planned import planned

REPLICAS_OWNER, SHORTENED = "ReplicasOwnedByAdapters", "NameShortened"
NO_ROOM = "insufficient_capacity"


def status(view: GraphView, restart: Json | None, now: datetime) -> Json:
    """The whole status; a component that isn't there counts as not ready."""
    old = view.dgd.get("status") or {}
    services = {component.name: _service_status(view, component) for component in view.graph.components}
    state, ready = _ready(view)
    said = [ready, *_notes(view)]
    kept = [c for c in old.get("conditions") or () if c["type"] not in (REPLICAS_OWNER, SHORTENED)]
    before = {c["type"]: c for c in old.get("conditions") or ()}
    kept += [before[note["type"]] for note in said[1:] if note["type"] in before]
    out = {
        **old,
        "observedGeneration": view.dgd["metadata"].get("generation", 1),
        "state": state,
        "services": services,
        "conditions": conditions.merged(kept, said, now),
    }
    if restart is not None:
        out["restart"] = restart
    if (placement := _placement(view)) is not None:
        out["placement"] = placement
    return out


def not_ready(view: GraphView, component: Component) -> str:
    """'' when the component runs as wished; 0 replicas count as ready."""
    live = view.child(component)
    if live is None:
        return "not created yet"
    said, number = live.get("status") or {}, wanted(view, component)
    if said.get("observedGeneration", 0) < live["metadata"].get("generation", 1):
        return "not observed yet"
    counter = "availableReplicas" if component.is_group else "readyReplicas"
    ready, updated, replicas = said.get(counter, 0), said.get("updatedReplicas", 0), said.get("replicas", 0)
    if live["spec"]["replicas"] != number or replicas != number:
        return f"{replicas} of {number} replicas exist"
    if ready != number:
        return f"{ready} of {number} replicas are ready"
    if updated != number:
        return f"{updated} of {number} replicas are up to date"
    return ""


def _ready(view: GraphView) -> tuple[str, Json]:
    """The summary word and the condition Ready; its reason names the one cause when there is but one."""
    if view.troubles:
        reason, message = "failed_to_reconcile_the_resources", "; ".join(view.troubles)
        return "failed", conditions.condition("Ready", False, reason, message)
    waiting = [(c, why) for c in view.graph.components if (why := not_ready(view, c))]
    if not waiting:
        return "successful", conditions.condition("Ready", True, "all_resources_are_ready", "all resources are ready")
    causes = {_cause(view, component) for component, _ in waiting}
    reason = causes.pop() if len(causes) == 1 else "mixed_not_ready_reasons"
    message = "; ".join(f"{component.name}: {why}" for component, why in waiting)
    return "pending", conditions.condition("Ready", False, reason, message)


def _cause(view: GraphView, component: Component) -> str:
    """Why a component isn't ready, as far as its counters tell."""
    live = view.child(component)
    if live is None:
        return "some_resources_are_not_ready"
    said, number = live.get("status") or {}, wanted(view, component)
    if said.get("scheduledReplicas", 0) < number:
        return NO_ROOM if said.get("replicas", 0) >= number else "some_resources_are_not_ready"
    return "updating" if said.get("updatedReplicas", 0) < number else "pods_not_ready"


def _notes(view: GraphView) -> list[Json]:
    """Who owns replicas, and under which name the set goes, where that isn't as one would expect."""
    graph, notes = view.graph, []
    if owners := [f"{c.name}: {adapter_name(graph, c)}" for c in graph.components if c.has_adapter]:
        text = f"replicas are set through scaling adapters ({', '.join(owners)}); the graph's numbers follow"
        notes.append(conditions.condition(REPLICAS_OWNER, True, "ScalingAdapters", text))
    if graph.set_name != graph.name:
        text = f"the PodCliqueSet is called {graph.set_name}: longer names below it would exceed Grove's limit"
        notes.append(conditions.condition(SHORTENED, True, "NameBudget", text))
    return notes


def _placement(view: GraphView) -> Json | None:
    """The worst score of the graph's gangs, as their scheduler tells it; nothing where none tells one."""
    told = [(gang.get("status") or {}).get("placementScore") for gang in view.gangs]
    scores = [score for score in told if score is not None]
    if not scores:
        return None
    return {"score": min(scores), "state": "Reported" if len(scores) == len(told) else "Partial"}


def _service_status(view: GraphView, component: Component) -> Json:
    """Counters of one component; readyReplicas is for cliques only, availableReplicas for scaling groups only."""
    said, name = (view.child(component) or {}).get("status") or {}, view.graph.child_name(component)
    result: Json = {
        "componentKind": "PodCliqueScalingGroup" if component.is_group else "PodClique",
        "componentName": name,
        "componentNames": [name],
        "runtimeNamespace": view.graph.dynamo_namespace(component),
        "replicas": said.get("replicas", 0),
        "updatedReplicas": said.get("updatedReplicas", 0),
        "scheduledReplicas": said.get("scheduledReplicas", 0),
    }
    counter = "availableReplicas" if component.is_group else "readyReplicas"
    return {**result, **planned(component), counter: said.get(counter, 0)}
