"""The writes that no implementation of grove-scale can avoid, sent by a bare client: the floor of that cluster."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from grove_operator.api import kinds
from grove_operator.kube.client import HttpKubeApi

NAMESPACE = "null-client"
GATE = "null.example/gate"


async def null_client(api: HttpKubeApi, replicas: int, in_flight: int = 64) -> float:
    """Seconds for `replicas` x (Service, PodClique and PodGang with 2 statuses, 2 pods created, ungated, bound)."""
    await api.create(kinds.NAMESPACE, None, {"metadata": {"name": NAMESPACE}})
    nodes = [n["metadata"]["name"] for n in (await api.list(kinds.NODE)).items]
    gate = asyncio.Semaphore(in_flight)

    async def one(i: int) -> None:
        async with gate:
            await _replica(api, f"null-{i}", nodes[i % len(nodes)])

    began = time.perf_counter()
    await asyncio.gather(*(one(i) for i in range(replicas)))
    took = time.perf_counter() - began
    await api.delete(kinds.NAMESPACE, None, NAMESPACE)
    return took


async def _replica(api: HttpKubeApi, name: str, node: str) -> None:
    container = {"name": "main", "image": "registry.example/pause:1", "resources": {"requests": {"cpu": "1m"}}}
    pod_spec: dict[str, Any] = {"containers": [container]}
    meta = {"name": name, "namespace": NAMESPACE}
    await api.create(
        kinds.SERVICE, NAMESPACE, {"metadata": meta, "spec": {"clusterIP": "None", "selector": {"x": name}}}
    )
    spec = {"roleName": "w", "replicas": 2, "minAvailable": 2, "podSpec": pod_spec}
    await api.create(kinds.POD_CLIQUE, NAMESPACE, _typed(kinds.POD_CLIQUE, meta, spec))
    pods = [f"{name}-{n}" for n in range(2)]
    for pod in pods:
        gated = {**pod_spec, "schedulingGates": [{"name": GATE}], "schedulerName": "null"}
        await api.create(kinds.POD, NAMESPACE, {"metadata": {**meta, "name": pod}, "spec": gated})
    group = {"name": name, "minReplicas": 2, "podReferences": [{"namespace": NAMESPACE, "name": p} for p in pods]}
    await api.create(kinds.POD_GANG, NAMESPACE, _typed(kinds.POD_GANG, meta, {"podgroups": [group]}))
    await api.patch(kinds.POD_GANG, NAMESPACE, name, {"status": {"phase": "Pending"}}, subresource="status")
    for pod in pods:
        await api.patch(kinds.POD, NAMESPACE, pod, {"spec": {"schedulingGates": None}})
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
        await api.create(kinds.POD, NAMESPACE, binding, subresource_of=f"{pod}/binding")
    await api.patch(kinds.POD_GANG, NAMESPACE, name, {"status": {"phase": "Running"}}, subresource="status")
    for ready in (1, 2):
        await api.patch(kinds.POD_CLIQUE, NAMESPACE, name, {"status": {"readyReplicas": ready}}, subresource="status")


def _typed(kind: kinds.Kind, meta: dict[str, str], spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "spec": spec}
