"""Environment variables that a component's runtime finds (dynamo reference 2.6 and 2.7)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from grove_operator.api.kinds import Json
from grove_operator.dynamo.graph import ETCD, MAIN, Component, Graph

HTTP_PORT, SYSTEM_PORT, NIXL_PORT, PLANNER_METRICS_PORT = 8000, 9090, 19090, 9085
ORIGIN_VERSION = "nvidia.com/dynamo-operator-origin-version"
DISCOVERY_MODE = "nvidia.com/dynamo-kube-discovery-mode"
PICKER_LOG = "debug,dynamo_llm::kv_router=trace"
_VERSION = re.compile(r"^v?(\d+)\.(\d+)(?:\.(\d+))?")
CANARY_SINCE = (1, 4, 0)
"""Runtime release from which workers probe their own engine."""


def default_env(graph: Graph, component: Component) -> list[Json]:
    """Of the main container, in no particular order; users' own variables go on top."""
    return [*common_env(graph, component, MAIN), *_values(type_env(graph, component, component.component_type))]


def common_env(graph: Graph, component: Component, container: str) -> list[Json]:
    """What every container of Dynamo's gets: where it belongs and how it finds the others."""
    settings = graph.settings
    values = {
        "DYN_NAMESPACE": graph.dynamo_namespace(component),
        "DYN_COMPONENT": component.component_type,
        "DYN_PARENT_DGD_K8S_NAME": graph.name,
        "DYN_PARENT_DGD_K8S_NAMESPACE": graph.namespace,
    }
    if graph.discovery != ETCD:
        values["DYN_DISCOVERY_BACKEND"] = "kubernetes"
    if graph.annotations.get(DISCOVERY_MODE) == "container":
        values |= {"CONTAINER_NAME": container, "DYN_KUBE_DISCOVERY_MODE": "container"}
    configured = {
        "NATS_SERVER": settings.nats,
        "ETCD_ENDPOINTS": settings.etcd,
        "MODEL_EXPRESS_URL": settings.model_express,
        "PROMETHEUS_ENDPOINT": settings.prometheus,
    }
    values |= {name: value for name, value in configured.items() if value}
    fields = {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace", "POD_UID": "metadata.uid"}
    return [*_values(values), *({"name": n, "valueFrom": {"fieldRef": {"fieldPath": p}}} for n, p in fields.items())]


def type_env(graph: Graph, component: Component, kind: str) -> dict[str, str]:
    """What a component type adds."""
    if kind == "frontend":
        return {
            "DYNAMO_PORT": str(HTTP_PORT),
            "DYN_HTTP_PORT": str(HTTP_PORT),
            "DYN_NAMESPACE_PREFIX": graph.dynamo_namespace(component),
            "NVIDIA_VISIBLE_DEVICES": "void",
        }
    if component.is_worker:
        return {
            "DYN_SYSTEM_ENABLED": "true",
            "DYN_SYSTEM_PORT": str(SYSTEM_PORT),
            "DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS": '["generate"]',
            "DYN_HEALTH_CHECK_ENABLED": "true" if _probes_its_engine(graph, component) else "false",
            "NIXL_TELEMETRY_ENABLE": "n",
            "NIXL_TELEMETRY_EXPORTER": "prometheus",
            "NIXL_TELEMETRY_PROMETHEUS_PORT": str(NIXL_PORT),
        }
    if kind == "planner":
        return {"PLANNER_PROMETHEUS_PORT": str(PLANNER_METRICS_PORT), "DYN_SYSTEM_PORT": str(SYSTEM_PORT)}
    if kind == "epp":
        return {
            "DYNAMO_KV_BLOCK_SIZE": "16",
            "USE_STREAMING": "true",
            "RUST_LOG": PICKER_LOG,
            "NVIDIA_VISIBLE_DEVICES": "void",
        }
    return {}


def _probes_its_engine(graph: Graph, component: Component) -> bool:
    """Both the operator that first saw the graph (the newest if nobody wrote it down) and the runtime must know how."""
    said = str(component.spec.get("runtimeVersionOverride") or "")
    image = str(component.main_container.get("image") or "")
    runtime = version(said or image.partition("@")[0].rpartition(":")[2])
    origin = version(graph.annotations.get(ORIGIN_VERSION, ""))
    return runtime is not None and runtime >= CANARY_SINCE and (origin is None or origin >= CANARY_SINCE)


def version(text: str) -> tuple[int, int, int] | None:
    """Major, minor and patch of a release's name, None when it doesn't begin with one."""
    found = _VERSION.match(text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def _values(values: Mapping[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in values.items()]
