"""A service's pod spec: defaults of its component type, then what the user says on top (dynamo reference 2.6, 2.7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from grove_operator.api.kinds import Json
from grove_operator.dynamo.graph import ETCD, Graph, GraphService

HTTP_PORT, SYSTEM_PORT, NIXL_PORT, PLANNER_METRICS_PORT = 8000, 9090, 19090, 9085
SHARED_MEMORY = "shared-memory"
GPU = "nvidia.com/gpu"


def pod_spec(graph: Graph, service: GraphService) -> Json:
    """The pod spec of one instance of one node; multi-node roles are rewritten afterwards."""
    extra = {
        k: v for k, v in (service.spec.get("extraPodSpec") or {}).items() if k not in ("mainContainer", "containers")
    }
    sidecars = (service.spec.get("extraPodSpec") or {}).get("containers") or []
    spec: Json = {"restartPolicy": "Always", "terminationGracePeriodSeconds": 60}
    if "securityContext" not in extra:
        spec["securityContext"] = {"fsGroup": 1000}
    if graph.discovery != ETCD:
        spec["serviceAccountName"] = graph.discovery_account
    if service.component_type == "planner":
        spec["serviceAccountName"] = "planner-serviceaccount"
    spec |= extra
    spec["containers"] = [_main_container(graph, service), *sidecars]
    volumes = _by_name(_volumes(service), extra.get("volumes") or ())
    if volumes:
        spec["volumes"] = volumes
    return spec


def gpus(service: GraphService) -> int:
    """GPUs of one pod: the main container's limit, else its request."""
    for resources in (service.main_container.get("resources") or {}, _resources(service.spec.get("resources"))):
        for side in ("limits", "requests"):
            if GPU in (resources.get(side) or {}):
                return int(resources[side][GPU])
    return 0


def _main_container(graph: Graph, service: GraphService) -> Json:
    user = service.main_container
    container: Json = {"name": "main", **_command(service), **_type_defaults(service)}
    for probe in ("livenessProbe", "readinessProbe"):
        if service.spec.get(probe):
            container[probe] = service.spec[probe]
    if resources := _resources(service.spec.get("resources")):
        container["resources"] = resources
    if secret := service.spec.get("envFromSecret"):
        container["envFrom"] = [{"secretRef": {"name": secret}}]
    container |= {k: v for k, v in user.items() if k not in ("name", "env", "envFrom", "volumeMounts", "ports")}
    if user.get("envFrom"):
        container["envFrom"] = [*container.get("envFrom", []), *user["envFrom"]]
    if ports := _by_name(container.get("ports", ()), user.get("ports") or ()):
        container["ports"] = ports
    if mounts := _joined("mountPath", _mounts(service), user.get("volumeMounts") or ()):
        container["volumeMounts"] = mounts
    chosen = _by_name(
        _default_env(graph, service),
        graph.spec.get("envs") or (),
        service.spec.get("envs") or (),
        user.get("env") or (),
    )
    container["env"] = sorted(chosen, key=lambda variable: str(variable["name"]))
    return container


def _command(service: GraphService) -> Json:
    """Default command and args, as far as the user gives none: a user's list replaces, it is never merged."""
    user = service.main_container
    if user.get("command"):
        return {}
    if service.component_type == "frontend":
        if user.get("args"):
            return {"command": ["python3"]}
        return {"command": ["python3"], "args": ["-m", "dynamo.frontend"]}
    if service.is_worker:
        return {"command": ["/bin/sh", "-c"]}
    return {}


def _type_defaults(service: GraphService) -> Json:
    if service.component_type == "frontend":
        return {
            "ports": [{"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"}],
            "livenessProbe": _probe("/live", "http", initial=15, period=10, timeout=1, failures=3),
            "readinessProbe": _probe("/health", "http", initial=10, period=10, timeout=3, failures=3),
        }
    probes = {
        "livenessProbe": _probe("/live", "system", period=5, timeout=4, failures=1),
        "readinessProbe": _probe("/health", "system", period=10, timeout=4, failures=3),
        "startupProbe": _probe("/live", "system", period=10, timeout=5, failures=720),
    }
    system = {"name": "system", "containerPort": SYSTEM_PORT, "protocol": "TCP"}
    if service.is_worker:
        return {"ports": [system, {"name": "nixl", "containerPort": NIXL_PORT, "protocol": "TCP"}], **probes}
    if service.component_type == "planner":
        metrics = {"name": "metrics", "containerPort": PLANNER_METRICS_PORT, "protocol": "TCP"}
        return {"ports": [metrics, system], **probes}
    return {}


def _probe(path: str, port: str, *, period: int, timeout: int, failures: int, initial: int = 0) -> Json:
    probe: Json = {"httpGet": {"path": path, "port": port}}
    if initial:
        probe["initialDelaySeconds"] = initial
    return {**probe, "periodSeconds": period, "timeoutSeconds": timeout, "failureThreshold": failures}


def _default_env(graph: Graph, service: GraphService) -> list[Json]:
    namespace = graph.dynamo_namespace(service)
    values = {
        "DYN_NAMESPACE": namespace,
        "DYN_COMPONENT": service.component_type,
        "DYN_PARENT_DGD_K8S_NAME": graph.name,
        "DYN_PARENT_DGD_K8S_NAMESPACE": graph.namespace,
    }
    if graph.discovery != ETCD:
        values["DYN_DISCOVERY_BACKEND"] = "kubernetes"
    if service.component_type == "frontend":
        values |= {
            "DYNAMO_PORT": str(HTTP_PORT),
            "DYN_HTTP_PORT": str(HTTP_PORT),
            "DYN_NAMESPACE_PREFIX": namespace,
            "NVIDIA_VISIBLE_DEVICES": "void",
        }
    elif service.is_worker:
        values |= {
            "DYN_SYSTEM_ENABLED": "true",
            "DYN_SYSTEM_PORT": str(SYSTEM_PORT),
            "DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS": '["generate"]',
            "DYN_HEALTH_CHECK_ENABLED": "false",
            "NIXL_TELEMETRY_ENABLE": "n",
            "NIXL_TELEMETRY_EXPORTER": "prometheus",
            "NIXL_TELEMETRY_PROMETHEUS_PORT": str(NIXL_PORT),
        }
    elif service.component_type == "planner":
        values |= {"PLANNER_PROMETHEUS_PORT": str(PLANNER_METRICS_PORT), "DYN_SYSTEM_PORT": str(SYSTEM_PORT)}
    fields = {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace", "POD_UID": "metadata.uid"}
    return [
        *({"name": name, "value": value} for name, value in values.items()),
        *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()),
    ]


def _resources(said: Json | None) -> Json:
    """Dynamo's shorthand `{limits: {cpu, memory, gpu, gpuType, custom}}` as Kubernetes spells it."""
    result: Json = {}
    for side in ("requests", "limits"):
        amounts = (said or {}).get(side) or {}
        items = {name: str(amounts[name]) for name in ("cpu", "memory") if amounts.get(name)}
        if amounts.get("gpu"):
            items[amounts.get("gpuType") or GPU] = str(amounts["gpu"])
        items |= {name: str(amount) for name, amount in (amounts.get("custom") or {}).items()}
        if items:
            result[side] = items
    if (said or {}).get("claims"):
        result["claims"] = (said or {})["claims"]
    return result


def _volumes(service: GraphService) -> list[Json]:
    volumes: list[Json] = []
    shared = service.spec.get("sharedMemory") or {}
    if not shared.get("disabled"):
        memory = {"medium": "Memory", "sizeLimit": str(shared.get("size") or "8Gi")}
        volumes.append({"name": SHARED_MEMORY, "emptyDir": memory})
    claims = dict.fromkeys(mount["name"] for mount in service.spec.get("volumeMounts") or ())
    return volumes + [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]


def _mounts(service: GraphService) -> list[Json]:
    mounts: list[Json] = []
    if not (service.spec.get("sharedMemory") or {}).get("disabled"):
        mounts.append({"name": SHARED_MEMORY, "mountPath": "/dev/shm"})  # noqa: S108 - where shared memory lives
    for mount in service.spec.get("volumeMounts") or ():
        path = mount.get("mountPoint") or ("/root/.cache/vllm" if mount.get("useAsCompilationCache") else "")
        if path:
            mounts.append({"name": mount["name"], "mountPath": path})
    return mounts


def _by_name(*lists: Iterable[Json]) -> list[Json]:
    return _joined("name", *lists)


def _joined(key: str, *lists: Iterable[Json]) -> list[Json]:
    """Lists joined, a later entry in the place of an earlier one with the same `key`."""
    result: dict[Any, Json] = {}
    for entries in lists:
        for entry in entries:
            result[entry.get(key, len(result))] = entry
    return list(result.values())
