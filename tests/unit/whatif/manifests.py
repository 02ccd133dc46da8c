"""Manifests as a user would write them, in one line each."""

from __future__ import annotations

from typing import Any

from grove_operator.api.kinds import CLUSTER_TOPOLOGY_BINDING, POD_CLIQUE_SET, POD_GANG, Json

GATE = "grove.io/podgang-pending-creation"
RACKS: Json = {
    "apiVersion": CLUSTER_TOPOLOGY_BINDING.api_version,
    "kind": "ClusterTopologyBinding",
    "metadata": {"name": "default"},
    "spec": {"levels": [{"domain": "rack", "key": "rack"}, {"domain": "host", "key": "kubernetes.io/hostname"}]},
}


def node(name: str, gpus: int, rack: str = "r1", **spec: Any) -> Json:
    """No conditions, no pod capacity, no hostname label: as written by hand."""
    status: Json = {"allocatable": {"cpu": "64", "memory": "256Gi", "nvidia.com/gpu": str(gpus)}}
    meta: Json = {"name": name, "labels": {"rack": rack}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec, "status": status}


def pod(
    name: str, gpus: int = 1, *, on: str = "", gates: tuple[str, ...] = (), meta: Json | None = None, **spec: Any
) -> Json:
    body: Json = {"containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}], **spec}
    if on:
        body["nodeName"] = on
    if gates:
        body["schedulingGates"] = [{"name": gate} for gate in gates]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns", **(meta or {})},
        "spec": body,
    }


def gang(name: str, *pods: str, minimum: int | None = None, required: str = "", status: Json | None = None) -> Json:
    """One podgroup `<name>-w`."""
    group: Json = {
        "name": f"{name}-w",
        "minReplicas": len(pods) if minimum is None else minimum,
        "podReferences": [{"namespace": "ns", "name": p} for p in pods],
    }
    spec: Json = {"podgroups": [group]}
    if required:
        spec["topologyConstraint"] = {"packConstraint": {"required": required}}
    obj: Json = {
        "apiVersion": POD_GANG.api_version,
        "kind": "PodGang",
        "metadata": {"name": name, "namespace": "ns"},
        "spec": spec,
    }
    return obj if status is None else {**obj, "status": status}


def clique_set(name: str, pods: int = 2, gpus: int = 1, *, required: str = "", replicas: int = 1, **more: Any) -> Json:
    """A PodCliqueSet of one clique `w`."""
    container = {"name": "c", "image": "x", "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}
    clique: Json = {"name": "w", "spec": {"roleName": "w", "replicas": pods, "podSpec": {"containers": [container]}}}
    clique["spec"].update(more)
    if required:
        clique["topologyConstraint"] = {"topologyName": "default", "pack": {"required": required}}
    return {
        "apiVersion": POD_CLIQUE_SET.api_version,
        "kind": "PodCliqueSet",
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"replicas": replicas, "template": {"cliques": [clique]}},
    }
