"""metrics.k8s.io for the local cluster: what `kubectl top pods` and HorizontalPodAutoscalers ask.

kube-apiserver ── APIService v1beta1.metrics.k8s.io ── Service kube-system/metrics-server (ExternalName localhost)
                                                                      └── the node agent's own HTTPS port
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from datetime import UTC

from aiohttp import web

from grove_operator.api.kinds import SERVICE, Json, Kind
from grove_operator.engine.ports import AlreadyExists, ApiError, Clock, KubeApi, NotFound, timestamp
from grove_operator.localcluster.agent.usage import WINDOW_S, ContainerUsage, Usage

API_SERVICE = Kind("apiregistration.k8s.io", "v1", "APIService", "apiservices", namespaced=False)
GROUP, VERSION = "metrics.k8s.io", "v1beta1"
API_SERVICE_NAME = f"{VERSION}.{GROUP}"
SERVICE_NAME, SERVICE_NAMESPACE = "metrics-server", "kube-system"
METRICS_HOST = f"{SERVICE_NAME}.{SERVICE_NAMESPACE}.svc"
PATIENCE_S, LOOK_S = 30.0, 0.1


class PodMetrics:
    """The API group's routes over measured usage. Nodes have no metrics: theirs would be pretended."""

    def __init__(self, usage: Usage, clock: Clock) -> None:
        self._usage, self._clock = usage, clock

    def routes(self) -> Iterator[web.RouteDef]:
        base = f"/apis/{GROUP}/{VERSION}"
        yield web.get(f"/apis/{GROUP}", self._group)
        yield web.get(base, self._resources)
        yield web.get(f"{base}/pods", self._list)
        yield web.get(f"{base}/namespaces/{{namespace}}/pods", self._list)
        yield web.get(f"{base}/namespaces/{{namespace}}/pods/{{name}}", self._get)

    async def _group(self, _: web.Request) -> web.Response:
        version = {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
        return web.json_response(
            {"kind": "APIGroup", "apiVersion": "v1", "name": GROUP, "versions": [version], "preferredVersion": version}
        )

    async def _resources(self, _: web.Request) -> web.Response:
        pods = {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]}
        group = f"{GROUP}/{VERSION}"
        return web.json_response(
            {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": [pods]}
        )

    async def _list(self, request: web.Request) -> web.Response:
        try:
            wanted = _equalities(request.query.get("labelSelector", ""))
        except ValueError as error:
            return web.json_response(_failure(400, str(error)), status=400)
        items = [i for i in self._items(request.match_info.get("namespace")) if wanted.items() <= _labels(i).items()]
        return web.json_response(
            {"kind": "PodMetricsList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": items}
        )

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        for item in self._items(request.match_info["namespace"]):
            if item["metadata"]["name"] == name:
                return web.json_response(item)
        return web.json_response(_failure(404, f"no metrics of pod {name} yet"), status=404)

    def _items(self, namespace: str | None) -> Iterator[Json]:
        now = timestamp(self._clock.now().astimezone(UTC))
        for pod, used in self._usage.pods():
            if namespace in (None, pod["metadata"]["namespace"]):
                yield pod_metrics(pod, used, now)


def pod_metrics(pod: Json, used: Iterable[ContainerUsage], now: str) -> Json:
    meta = {name: pod["metadata"][name] for name in ("name", "namespace", "labels") if name in pod["metadata"]}
    containers = [
        {"name": u.name, "usage": {"cpu": f"{round(u.cores * 1e9)}n", "memory": str(u.memory_bytes)}} for u in used
    ]
    return {
        "kind": "PodMetrics",
        "apiVersion": f"{GROUP}/{VERSION}",
        "metadata": {**meta, "creationTimestamp": now},
        "timestamp": now,
        "window": f"{WINDOW_S:g}s",
        "containers": containers,
    }


async def register_metrics(api: KubeApi, clock: Clock, port: int, certificate: bytes) -> None:
    """Makes the API server ask us, and waits until it does. A young server lacks kube-system for a moment."""
    service: Json = {"metadata": {"name": SERVICE_NAME}, "spec": {"type": "ExternalName", "externalName": "localhost"}}
    spec: Json = {
        "group": GROUP,
        "version": VERSION,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "service": {"name": SERVICE_NAME, "namespace": SERVICE_NAMESPACE, "port": port},
        "caBundle": base64.b64encode(certificate).decode(),
    }
    deadline = clock.monotonic() + PATIENCE_S
    while True:
        try:
            await _ensure(api, SERVICE, SERVICE_NAMESPACE, service)
            await _ensure(api, API_SERVICE, None, {"metadata": {"name": API_SERVICE_NAME}, "spec": spec})
            live = await api.get(API_SERVICE, None, API_SERVICE_NAME)
            said = {c["type"]: c for c in (live.get("status") or {}).get("conditions") or ()}
            if said.get("Available", {}).get("status") == "True":
                return
            problem = said.get("Available", {}).get("message", "the API server has not looked at it yet")
        except ApiError as error:
            problem = str(error)
        if clock.monotonic() > deadline:
            raise ApiError(f"the metrics API is not available after {PATIENCE_S:g} s: {problem}")
        await clock.sleep(LOOK_S)


async def _ensure(api: KubeApi, kind: Kind, namespace: str | None, wanted: Json) -> None:
    name = wanted["metadata"]["name"]
    try:
        live = await api.get(kind, namespace, name)
    except NotFound:
        try:
            await api.create(kind, namespace, wanted)
        except AlreadyExists:
            return
        return
    if any(live["spec"].get(field) != value for field, value in wanted["spec"].items()):
        await api.patch(kind, namespace, name, {"spec": wanted["spec"]})


def _equalities(selector: str) -> dict[str, str]:
    """Terms `key=value`, which is all that scale subresources of Grove's kinds say. ValueError for others."""
    pairs: dict[str, str] = {}
    for term in filter(None, selector.split(",")):
        key, found, value = term.replace("==", "=").partition("=")
        if not found or key.endswith("!"):
            raise ValueError(f"label selector term {term!r}: only key=value is understood here")
        pairs[key.strip()] = value.strip()
    return pairs


def _labels(item: Json) -> dict[str, str]:
    return item["metadata"].get("labels") or {}


def _failure(code: int, message: str) -> Json:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}
