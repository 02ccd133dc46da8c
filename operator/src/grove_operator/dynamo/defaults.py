"""What a component type brings along: command, ports, probes, mounts (dynamo reference 2.7)."""

from __future__ import annotations

from grove_operator.api.kinds import Json
from grove_operator.dynamo.environment import HTTP_PORT, NIXL_PORT, PLANNER_METRICS_PORT, SYSTEM_PORT
from grove_operator.dynamo.graph import WORKER_TYPES, Component, Graph

PICKER_PORT, PICKER_HEALTH_PORT = 9002, 9003
PICKER_CONFIG, PICKER_CONFIG_KEY, PICKER_CONFIG_DIR = "epp-config", "epp-config-dynamo.yaml", "/etc/epp"
PICKER_CACHE, PICKER_CACHE_DIR = "hf-cache", "/home/nonroot/.cache"
POOL_GROUP = "inference.networking.k8s.io"
SHELL = ["/bin/sh", "-c"]


def container_defaults(graph: Graph, component: Component, kind: str, user: Json) -> Json:
    """Of the container that does the component's work, without environment."""
    return {**_command(graph, component, kind, user), **_ports_and_probes(kind), **_mounts(kind)}


def pool_name(graph: Graph) -> str:
    """The InferencePool that an endpoint picker serves."""
    return f"{graph.name}-pool"


def picker_volumes(graph: Graph, component: Component) -> list[Json]:
    """The picker's configuration, always under the same file name, and a cache."""
    ref = (component.spec.get("eppConfig") or {}).get("configMapRef") or {}
    source: Json = {
        "name": ref.get("name") or picker_config_name(graph),
        "items": [{"key": ref.get("key") or PICKER_CONFIG_KEY, "path": PICKER_CONFIG_KEY}],
    }
    return [{"name": PICKER_CONFIG, "configMap": source}, {"name": PICKER_CACHE, "emptyDir": {}}]


def picker_config_name(graph: Graph) -> str:
    return f"{graph.name}-{PICKER_CONFIG}"


def _command(graph: Graph, component: Component, kind: str, user: Json) -> Json:
    """Default command and args, as far as the user gives none: a user's list replaces, it is never merged."""
    if user.get("command"):
        return {}
    if kind == "frontend":
        return (
            {"command": ["python3"]}
            if user.get("args")
            else {"command": ["python3"], "args": ["-m", "dynamo.frontend"]}
        )
    if kind == "epp":
        return {} if user.get("args") else {"args": _picker_args(graph)}
    return {"command": SHELL} if kind in WORKER_TYPES or user.get("args") else {}


def _picker_args(graph: Graph) -> list[str]:
    return [
        *("-pool-name", pool_name(graph), "-pool-namespace", graph.namespace, "-pool-group", POOL_GROUP),
        *("-v", "4", "--zap-encoder", "json"),
        *("-grpc-port", str(PICKER_PORT), "-grpc-health-port", str(PICKER_HEALTH_PORT)),
        *("-config-file", f"{PICKER_CONFIG_DIR}/{PICKER_CONFIG_KEY}"),
    ]


def _ports_and_probes(kind: str) -> Json:
    system = _port("system", SYSTEM_PORT)
    if kind == "frontend":
        return {
            "ports": [_port("http", HTTP_PORT)],
            "livenessProbe": _http("/live", "http", initial=15, period=10, timeout=1, failures=3),
            "readinessProbe": _http("/health", "http", initial=10, period=10, timeout=3, failures=3),
        }
    if kind == "epp":
        probe: Json = {"grpc": {"port": PICKER_HEALTH_PORT, "service": "inference-extension"}}
        both = {**probe, "initialDelaySeconds": 5, "periodSeconds": 10}
        return {
            "ports": [
                _port("grpc", PICKER_PORT),
                _port("grpc-health", PICKER_HEALTH_PORT),
                _port("metrics", SYSTEM_PORT),
            ],
            "livenessProbe": both,
            "readinessProbe": both,
            "startupProbe": {**probe, "periodSeconds": 10, "failureThreshold": 180},
        }
    probes = {
        "livenessProbe": _http("/live", "system", period=5, timeout=4, failures=1),
        "readinessProbe": _http("/health", "system", period=10, timeout=4, failures=3),
        "startupProbe": _http("/live", "system", period=10, timeout=5, failures=720),
    }
    if kind in WORKER_TYPES:
        return {"ports": [system, _port("nixl", NIXL_PORT)], **probes}
    if kind == "planner":
        return {"ports": [_port("metrics", PLANNER_METRICS_PORT), system], **probes}
    return {}


def _mounts(kind: str) -> Json:
    if kind != "epp":
        return {}
    return {
        "volumeMounts": [
            {"name": PICKER_CONFIG, "mountPath": PICKER_CONFIG_DIR, "readOnly": True},
            {"name": PICKER_CACHE, "mountPath": PICKER_CACHE_DIR},
        ]
    }


def _port(name: str, number: int) -> Json:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _http(path: str, port: str, *, period: int, timeout: int, failures: int, initial: int = 0) -> Json:
    probe: Json = {"httpGet": {"path": path, "port": port}}
    if initial:
        probe["initialDelaySeconds"] = initial
    return {**probe, "periodSeconds": period, "timeoutSeconds": timeout, "failureThreshold": failures}
