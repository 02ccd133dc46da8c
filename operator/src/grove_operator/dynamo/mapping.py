"""DynamoGraphDeployment -> PodCliqueSet and what stands around it (dynamo reference 2.2 to 2.9). Pure.

service, 1 node    clique <lower>
service, N nodes   scaling group <lower> of cliques <lower>-ldr (1 pod) and <lower>-wkr (N-1 pods)
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from grove_operator.api.constants import (
    DEFAULT_TERMINATION_DELAY,
    MANAGED_BY,
    MANAGED_BY_VALUE,
    PART_OF,
    STARTUP_ANY_ORDER,
)
from grove_operator.api.core_schemas import as_stored, core_schema
from grove_operator.api.kinds import POD_CLIQUE_SET, ROLE, ROLE_BINDING, SERVICE, SERVICE_ACCOUNT, Json, Kind
from grove_operator.dynamo.graph import ETCD, Graph, GraphService, component_labels
from grove_operator.dynamo.multinode import adapt
from grove_operator.dynamo.podspec import HTTP_PORT, SYSTEM_PORT, pod_spec

GRAPH_LABEL = "nvidia.com/dynamo-graph-deployment-name"
APPLIED_HASH = "nvidia.com/last-applied-hash"
UPDATE_STRATEGY = "nvidia.com/grove-update-strategy"
COPIED_ANNOTATIONS = (
    "nvidia.com/enable-metrics",
    "nvidia.com/dynamo-discovery-backend",
    "nvidia.com/dynamo-kube-discovery-mode",
    "nvidia.com/dynamo-operator-origin-version",
    "nvidia.com/vllm-distributed-executor-backend",
)


def children(dgd: Json) -> list[Json]:
    """Everything the graph owns directly, in the order of need. MappingError when it can't be mapped."""
    graph = Graph(dgd)
    return [
        *_discovery_access(graph),
        pod_clique_set(dgd),
        *(_service(graph, s) for s in graph.services if _serves(graph, s)),
    ]


def pod_clique_set(dgd: Json) -> Json:
    """The PodCliqueSet of the graph: always one replica. Its template replicas apply at creation only."""
    graph = Graph(dgd)
    template: Json = {
        "cliqueStartupType": STARTUP_ANY_ORDER,
        "headlessServiceConfig": {"publishNotReadyAddresses": True},
        "terminationDelay": DEFAULT_TERMINATION_DELAY,
        "cliques": [clique for service in graph.services for clique in _cliques(graph, service)],
    }
    if graph.spec.get("priorityClassName"):
        template["priorityClassName"] = graph.spec["priorityClassName"]
    if constraint := _graph_topology(graph):
        template["topologyConstraint"] = constraint
    groups = [_group(graph, service) for service in graph.services if service.is_multinode]
    if groups:
        template["podCliqueScalingGroups"] = groups
    spec: Json = {"replicas": 1, "template": template}
    if strategy := graph.annotations.get(UPDATE_STRATEGY):
        spec["updateStrategy"] = {"type": strategy}
    annotations = dict(graph.spec.get("annotations") or {})
    labels = {**(graph.spec.get("labels") or {}), GRAPH_LABEL: graph.name}
    annotations[APPLIED_HASH] = _digest([spec, labels, annotations])
    return _object(graph, POD_CLIQUE_SET, graph.name, labels, annotations, spec=spec)


def child_replicas(dgd: Json) -> dict[str, tuple[bool, int]]:
    """Name -> (is a scaling group, replicas) of the Grove object that scales each service; the graph rules them."""
    graph = Graph(dgd)
    return {graph.child_name(service): (service.is_multinode, service.replicas) for service in graph.services}


def _cliques(graph: Graph, service: GraphService) -> list[Json]:
    spec = pod_spec(graph, service)
    if not service.is_multinode:
        clique = _clique(graph, service, service.lower, max(1, service.replicas), 1, spec)
        if (constraint := _service_topology(graph, service)) is not None:
            clique["topologyConstraint"] = constraint
        return [clique]
    workers = service.nodes - 1
    return [
        _clique(graph, service, f"{service.lower}-ldr", 1, 1, adapt(graph, service, "ldr", spec)),
        _clique(graph, service, f"{service.lower}-wkr", workers, workers, adapt(graph, service, "wkr", spec)),
    ]


def _clique(graph: Graph, service: GraphService, name: str, replicas: int, least: int, spec: Json) -> Json:
    extra = (service.spec.get("extraPodMetadata") or {}).get("annotations") or {}
    copied = {key: graph.annotations[key] for key in COPIED_ANNOTATIONS if key in graph.annotations}
    annotations = {
        **(graph.spec.get("annotations") or {}),
        **(service.spec.get("annotations") or {}),
        **extra,
        **copied,
    }
    clique: Json = {"name": name, "labels": component_labels(graph, service)}
    if annotations:
        clique["annotations"] = annotations
    stored = as_stored(core_schema("PodSpec"), spec)
    clique["spec"] = {"roleName": name, "replicas": replicas, "minAvailable": least, "podSpec": stored}
    return clique


def _group(graph: Graph, service: GraphService) -> Json:
    group: Json = {
        "name": service.lower,
        "cliqueNames": [f"{service.lower}-ldr", f"{service.lower}-wkr"],
        "replicas": max(1, service.replicas),
        "minAvailable": 1,
    }
    if (constraint := _service_topology(graph, service)) is not None:
        group["topologyConstraint"] = constraint
    return group


def _graph_topology(graph: Graph) -> Json | None:
    """The graph's own constraint (required) with `providerOverride` merged over it, which can also prefer a level."""
    said = graph.spec.get("topologyConstraint") or {}
    pack = {"required": said["packDomain"]} if said.get("packDomain") else {}
    name = {"topologyName": said["topologyProfile"]} if said.get("topologyProfile") else {}
    override = overridden_topology(graph.spec)
    pack |= override.get("pack") or {}
    return {**name, **override, "pack": pack} if pack else None


def overridden_topology(spec: Json) -> Json:
    """`spec.template.topologyConstraint` of the graph's `providerOverride`, or {}."""
    patch = (spec.get("providerOverride") or {}).get("patch") or {}
    return ((patch.get("spec") or {}).get("template") or {}).get("topologyConstraint") or {}


def _service_topology(graph: Graph, service: GraphService) -> Json | None:
    """The topology's name is inherited from the graph; written here only where the graph itself has no constraint."""
    said, above = service.spec.get("topologyConstraint") or {}, graph.spec.get("topologyConstraint") or {}
    if not said.get("packDomain"):
        return None
    constraint: Json = {"pack": {"required": said["packDomain"]}}
    if above.get("topologyProfile") and _graph_topology(graph) is None:
        constraint["topologyName"] = above["topologyProfile"]
    return constraint


def _serves(graph: Graph, service: GraphService) -> bool:
    return graph.discovery != ETCD or service.component_type == "frontend"


def _service(graph: Graph, service: GraphService) -> Json:
    if service.component_type == "frontend":
        port: Json = {"name": "http", "port": HTTP_PORT, "targetPort": "http", "protocol": "TCP"}
    elif service.component_type == "epp":
        port = {"name": "grpc", "port": 9002, "targetPort": "grpc", "protocol": "TCP", "appProtocol": "http2"}
    else:
        port = {"name": "system", "port": SYSTEM_PORT, "targetPort": "system", "protocol": "TCP"}
    labels = component_labels(graph, service)
    keys = ("nvidia.com/dynamo-component-type", "nvidia.com/dynamo-namespace", "nvidia.com/dynamo-component")
    selector = {key: labels[key] for key in keys if key in labels}
    name = f"{graph.name}-{service.lower}".replace(".", "-")
    return _object(graph, SERVICE, name, {**labels, **_ours(graph)}, {}, spec={"selector": selector, "ports": [port]})


def _discovery_access(graph: Graph) -> list[Json]:
    """The pods' account with the right to find each other through the Kubernetes API."""
    if graph.discovery == ETCD:
        return []
    account = graph.discovery_account
    labels = {GRAPH_LABEL: graph.name, **_ours(graph)}
    rules = [
        {"apiGroups": [""], "resources": ["endpoints", "pods"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]},
        {
            "apiGroups": ["nvidia.com"],
            "resources": ["dynamoworkermetadatas"],
            "verbs": ["create", "get", "list", "watch", "update", "patch", "delete"],
        },
    ]
    role_ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": f"{account}-role"}
    subjects = [{"kind": "ServiceAccount", "name": account, "namespace": graph.namespace}]
    return [
        _object(graph, SERVICE_ACCOUNT, account, labels, {}),
        _object(graph, ROLE, f"{account}-role", labels, {}, rules=rules),
        _object(graph, ROLE_BINDING, f"{account}-binding", labels, {}, roleRef=role_ref, subjects=subjects),
    ]


def _ours(graph: Graph) -> dict[str, str]:
    return {MANAGED_BY: MANAGED_BY_VALUE, PART_OF: graph.name}


def _object(graph: Graph, kind: Kind, name: str, labels: Json, annotations: Json, **content: Any) -> Json:
    metadata: Json = {"name": name, "namespace": graph.namespace, "labels": labels}
    if annotations:
        metadata["annotations"] = annotations
    if uid := graph.obj["metadata"].get("uid"):
        owner = {"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeployment", "name": graph.name, "uid": uid}
        metadata["ownerReferences"] = [{**owner, "controller": True, "blockOwnerDeletion": True}]
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **content}


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return base64.b32encode(hashlib.sha256(text.encode()).digest())[:16].decode().lower()
