"""Components to cliques and scaling groups (dynamo reference 2.3, 2.12).

lone pods         clique <lower>
N nodes           scaling group <lower> of cliques <lower>-ldr (1 pod) and <lower>-wkr (N-1 pods)
forced group      scaling group <lower> of one clique <lower>
"""

from __future__ import annotations

from collections.abc import Mapping

from grove_operator.api.core_schemas import as_stored, core_schema
from grove_operator.api.dynamo_podtemplate import by_name
from grove_operator.api.kinds import Json
from grove_operator.dynamo.command import backend
from grove_operator.dynamo.graph import MAIN, Component, Graph
from grove_operator.dynamo.labels import component_annotations, component_labels
from grove_operator.dynamo.multinode import Role, adapt
from grove_operator.dynamo.podspec import pod_spec

ROLES: Mapping[Role, str] = {"ldr": "leader", "wkr": "worker"}


def cliques(graph: Graph, component: Component, restart: str) -> list[Json]:
    """The component's cliques; TensorRT-LLM's leader waits for its workers."""
    engine = backend(graph, component)
    if not component.is_multinode:
        replicas = 1 if component.is_group else max(component.replicas, component.min_available)
        least = 1 if component.is_group else component.min_available
        spec = pod_spec(graph, component, component.template, engine)
        clique = _clique(graph, component, component.lower, replicas, least, spec, restart)
        if not component.is_group and (constraint := topology(graph, component)) is not None:
            clique["topologyConstraint"] = constraint
        return [clique]
    workers = component.nodes - 1
    leader_name, worker_name = component.clique_names
    leader, worker = (_role_spec(graph, component, role, engine) for role in ROLES)
    out = [
        _clique(graph, component, leader_name, 1, 1, leader, restart),
        _clique(graph, component, worker_name, workers, workers, worker, restart),
    ]
    if engine == "trtllm":
        out[0]["spec"]["startsAfter"] = [worker_name]
    return out


def group(graph: Graph, component: Component) -> Json:
    """The component's scaling group."""
    out: Json = {
        "name": component.lower,
        "cliqueNames": list(component.clique_names),
        "replicas": max(component.replicas, component.min_available),
        "minAvailable": component.min_available,
    }
    if (constraint := topology(graph, component)) is not None:
        out["topologyConstraint"] = constraint
    return out


def graph_topology(graph: Graph) -> Json | None:
    """The graph's own constraint (required) with `providerOverride` merged over it, which can also prefer a level."""
    said = graph.spec.get("topologyConstraint") or {}
    pack = {"required": said["packDomain"]} if said.get("packDomain") else {}
    name = {"topologyName": said["clusterTopologyName"]} if said.get("clusterTopologyName") else {}
    override = _patched(graph.spec.get("providerOverride"), "spec", "template")
    pack |= override.get("pack") or {}
    return {**name, **override, "pack": pack} if pack else None


def topology(graph: Graph, component: Component) -> Json | None:
    """The topology's name is inherited from the graph; written here only where the graph itself has no constraint."""
    said, above = component.spec.get("topologyConstraint") or {}, graph.spec.get("topologyConstraint") or {}
    override = _patched(component.spec.get("providerOverride"))
    pack = ({"required": said["packDomain"]} if said.get("packDomain") else {}) | (override.get("pack") or {})
    if not pack:
        return None
    name = {}
    if above.get("clusterTopologyName") and graph_topology(graph) is None:
        name = {"topologyName": above["clusterTopologyName"]}
    return {**name, **override, "pack": pack}


def _patched(override: Json | None, *path: str) -> Json:
    """The `topologyConstraint` of a provider override, {} when there is none."""
    part = (override or {}).get("patch") or {}
    for key in path:
        part = part.get(key) or {}
    return part.get("topologyConstraint") or {}


def _clique(graph: Graph, component: Component, name: str, replicas: int, least: int, spec: Json, restart: str) -> Json:
    clique: Json = {"name": name, "labels": component_labels(graph, component)}
    if annotations := component_annotations(graph, component, restart):
        clique["annotations"] = annotations
    stored = as_stored(core_schema("PodSpec"), spec)
    clique["spec"] = {"roleName": name, "replicas": replicas, "minAvailable": least, "podSpec": stored}
    return clique


def _role_spec(graph: Graph, component: Component, role: Role, engine: str) -> Json:
    """One role's pod spec: the component's template with the role's own over it, then what its backend needs."""
    listed = component.spec.get("roles") or ()
    over = next((r.get("podTemplate") or {} for r in listed if r["name"] == ROLES[role]), {})
    spec = pod_spec(graph, component, _merged(component.template, over), engine)
    return adapt(graph, component, role, spec, engine)


def _merged(template: Json, over: Json) -> Json:
    """A role's pod spec over the component's: containers field by field, environment and volumes by name."""
    base, top = template.get("spec") or {}, over.get("spec") or {}
    if not top:
        return template
    spec = {**base, **{key: value for key, value in top.items() if key not in ("containers", "volumes")}}
    if volumes := by_name(base.get("volumes") or (), top.get("volumes") or ()):
        spec["volumes"] = volumes
    known = {container.get("name", MAIN): container for container in base.get("containers") or ()}
    for container in top.get("containers") or ():
        name = container.get("name", MAIN)
        below = known.get(name, {})
        env = by_name(below.get("env") or (), container.get("env") or ())
        known[name] = {**below, **container, "name": name} | ({"env": env} if env else {})
    if known:
        spec["containers"] = list(known.values())
    return {**template, "spec": spec}
