"""A component's pod spec: defaults of its type, then the user's template on top (dynamo reference 2.6, 2.7)."""

from __future__ import annotations

from collections.abc import Iterable

from grove_operator.api.dynamo_podtemplate import GPU, by_name, joined
from grove_operator.api.kinds import Json
from grove_operator.dynamo.around import pull_secrets
from grove_operator.dynamo.defaults import container_defaults, picker_volumes
from grove_operator.dynamo.environment import common_env, default_env, type_env
from grove_operator.dynamo.graph import ETCD, MAIN, Component, Graph
from grove_operator.dynamo.schedulers import scheduler_name

SHARED_MEMORY = "shared-memory"
VLLM_CACHE = "/root/.cache/vllm"
GRACE_S, PICKER_GRACE_S = 60, 130
ACCOUNTS = {"planner": "planner-serviceaccount", "epp": "epp-serviceaccount"}
NO_PULL_SECRETS = "nvidia.com/disable-image-pull-secret-discovery"


def pod_spec(graph: Graph, component: Component, template: Json, backend: str) -> Json:
    """The pod spec of one instance of one node; multi-node roles are rewritten afterwards."""
    user = dict(template.get("spec") or {})
    containers = list(user.pop("containers", None) or ())
    main: Json = next((c for c in containers if c.get("name") == MAIN), {})
    sidecars = [_sidecar(graph, component, c) for c in containers if c.get("name") != MAIN]
    is_picker = component.component_type == "epp"
    spec: Json = {"restartPolicy": "Always", "terminationGracePeriodSeconds": PICKER_GRACE_S if is_picker else GRACE_S}
    if "securityContext" not in user:
        spec["securityContext"] = {"fsGroup": 1000}
    if graph.discovery != ETCD:
        spec["serviceAccountName"] = graph.discovery_account
    if component.component_type in ACCOUNTS:
        spec["serviceAccountName"] = ACCOUNTS[component.component_type]
    if scheduler := scheduler_name(graph, component):
        spec["schedulerName"] = scheduler
    spec |= user
    spec["containers"] = [_main_container(graph, component, main, backend), *sidecars]
    own = [
        *_shared_memory(component),
        *_cache_claim(component),
        *(picker_volumes(graph, component) if is_picker else ()),
    ]
    if volumes := by_name(own, user.get("volumes") or ()):
        spec["volumes"] = volumes
    if secrets := _pull_secrets(graph, spec):
        spec["imagePullSecrets"] = secrets
    return spec


def gpus(component: Component) -> int:
    """GPUs of one pod: the main container's limit, else its request."""
    resources = component.main_container.get("resources") or {}
    for side in ("limits", "requests"):
        if GPU in (resources.get(side) or {}):
            return int(resources[side][GPU])
    return 0


def _pull_secrets(graph: Graph, spec: Json) -> list[Json]:
    """The user's, and those that the namespace has for the registries of the images."""
    images = [str(c.get("image") or "") for key in ("initContainers", "containers") for c in spec.get(key) or ()]
    is_off = graph.annotations.get(NO_PULL_SECRETS, "").lower() == "true"
    found = [] if is_off else pull_secrets(graph.around, images)
    return by_name(spec.get("imagePullSecrets") or (), [{"name": name} for name in found])


def _main_container(graph: Graph, component: Component, user: Json, backend: str) -> Json:
    container = _on_top({"name": MAIN, **container_defaults(graph, component, component.component_type, user)}, user)
    mounts = [
        *((_shm_mount(),) if _shared_memory(component) else ()),
        *_cache_mount(component, backend),
        *(container.get("volumeMounts") or ()),
    ]
    if merged := joined("mountPath", mounts):
        container["volumeMounts"] = merged
    cache = _cache_mount(component, backend) if backend == "vllm" else []
    root = [{"name": "VLLM_CACHE_ROOT", "value": mount["mountPath"]} for mount in cache]
    container["env"] = _env(default_env(graph, component), root, graph.spec.get("env") or (), user.get("env") or ())
    return container


def _sidecar(graph: Graph, component: Component, user: Json) -> Json:
    """As written, except the frontend sidecar, which gets what a frontend gets."""
    if user.get("name") != component.spec.get("frontendSidecar"):
        return user
    container = _on_top({"name": user["name"], **container_defaults(graph, component, "frontend", user)}, user)
    own = [{"name": n, "value": v} for n, v in type_env(graph, component, "frontend").items()]
    common = common_env(graph, component, user["name"])
    container["env"] = _env(common, own, graph.spec.get("env") or (), user.get("env") or ())
    return container


def _on_top(defaults: Json, user: Json) -> Json:
    """Lists with names are merged by them; everything else of the user's replaces the default."""
    out = {**defaults, **{k: v for k, v in user.items() if k not in ("name", "env", "volumeMounts", "ports")}}
    if ports := by_name(defaults.get("ports") or (), user.get("ports") or ()):
        out["ports"] = ports
    if mounts := joined("mountPath", defaults.get("volumeMounts") or (), user.get("volumeMounts") or ()):
        out["volumeMounts"] = mounts
    return out


def _env(*lists: Iterable[Json]) -> list[Json]:
    """By name, later ones first, sorted: the pods' hash must not depend on the order in which they were written."""
    return sorted(by_name(*lists), key=lambda variable: str(variable["name"]))


def _shared_memory(component: Component) -> list[Json]:
    size = component.spec.get("sharedMemorySize")
    if size is not None and str(size) == "0":
        return []
    memory = {"medium": "Memory", "sizeLimit": str(size if size is not None else "8Gi")}
    return [{"name": SHARED_MEMORY, "emptyDir": memory}]


def _shm_mount() -> Json:
    return {"name": SHARED_MEMORY, "mountPath": "/dev/shm"}  # noqa: S108 - where shared memory lives


def _cache_claim(component: Component) -> list[Json]:
    cache = component.spec.get("compilationCache")
    return [{"name": cache["pvcName"], "persistentVolumeClaim": {"claimName": cache["pvcName"]}}] if cache else []


def _cache_mount(component: Component, backend: str) -> list[Json]:
    """Without a path of its own, where the backend looks; only vLLM's place is known."""
    cache = component.spec.get("compilationCache")
    path = cache and (cache.get("mountPath") or (VLLM_CACHE if backend == "vllm" else ""))
    return [{"name": cache["pvcName"], "mountPath": path}] if cache and path else []
