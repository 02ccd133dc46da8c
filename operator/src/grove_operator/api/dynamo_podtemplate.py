"""The pod fields of a v1alpha1 service <-> the one `podTemplate` of a v1beta1 component. Pure.

resources envs envFromSecret volumeMounts probes ─┐
extraPodSpec.mainContainer ───────────────────────┴─> containers[main]      what the container says wins
extraPodSpec (rest) ────────────────────────────────> pod spec
annotations labels, then extraPodMetadata ──────────> metadata
frontendSidecar (a container) ──────────────────────> containers[sidecar-frontend], frontendSidecar (its name)
volumeMounts with useAsCompilationCache ────────────> compilationCache
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from grove_operator.api.kinds import Json

GPU = "nvidia.com/gpu"
MAIN = "main"
SIDECAR = "sidecar-frontend"
SERVICE_FIELDS = (
    "annotations",
    "labels",
    "resources",
    "envs",
    "envFromSecret",
    "volumeMounts",
    "livenessProbe",
    "readinessProbe",
    "extraPodMetadata",
    "extraPodSpec",
    "frontendSidecar",
)
COMPONENT_FIELDS = ("podTemplate", "compilationCache", "frontendSidecar")
_PROBES = ("livenessProbe", "readinessProbe")


def to_component(service: Json) -> Json:
    """`podTemplate`, `compilationCache` and `frontendSidecar` of a service's pod fields."""
    extra = service.get("extraPodSpec") or {}
    main = _main_container(service, extra.get("mainContainer") or {})
    containers = [c for c in extra.get("containers") or () if c.get("name") != MAIN]
    out: Json = {}
    if service.get("frontendSidecar") is not None:
        containers = [c for c in containers if c.get("name") != SIDECAR]
        containers.append(_sidecar_container(service["frontendSidecar"]))
        out["frontendSidecar"] = SIDECAR
    spec = {key: value for key, value in extra.items() if key not in ("mainContainer", "containers")}
    if volumes := by_name(_claims(service), extra.get("volumes") or ()):
        spec["volumes"] = volumes
    if len(main) > 1 or containers:
        spec["containers"] = [*([main] if len(main) > 1 else []), *containers]
    metadata = {key: value for key in ("annotations", "labels") if (value := _pod_metadata(service, key))}
    template = {key: value for key, value in (("metadata", metadata), ("spec", spec)) if value}
    if template:
        out["podTemplate"] = template
    for mount in service.get("volumeMounts") or ():
        if mount.get("useAsCompilationCache"):
            path = {"mountPath": mount["mountPoint"]} if mount.get("mountPoint") else {}
            out["compilationCache"] = {"pvcName": mount["name"], **path}
            break
    return out


def to_service(component: Json) -> Json:
    """A service's pod fields that say the same as the component's template."""
    template = component.get("podTemplate") or {}
    spec = dict(template.get("spec") or {})
    containers = list(spec.pop("containers", None) or ())
    main = next((dict(c) for c in containers if c.get("name") == MAIN), {})
    others = [c for c in containers if c.get("name") != MAIN]
    out: Json = {}
    main.pop("name", None)
    if resources := _shorthand(main.get("resources")):
        out["resources"] = resources
        del main["resources"]
    if main.get("env"):
        out["envs"] = main.pop("env")
    for probe in _PROBES:
        if main.get(probe):
            out[probe] = main.pop(probe)
    if cache := component.get("compilationCache"):
        mount: Json = {"name": cache["pvcName"], "useAsCompilationCache": True}
        out["volumeMounts"] = [mount | ({"mountPoint": cache["mountPath"]} if cache.get("mountPath") else {})]
    if others:
        spec["containers"] = others
    if main:
        spec["mainContainer"] = main
    if spec:
        out["extraPodSpec"] = spec
    metadata = {k: v for k, v in (template.get("metadata") or {}).items() if k in ("annotations", "labels") and v}
    if metadata:
        out["extraPodMetadata"] = metadata
    return out


def by_name(*lists: Iterable[Json]) -> list[Json]:
    """Lists joined, a later entry in the place of an earlier one of the same name."""
    return joined("name", *lists)


def joined(key: str, *lists: Iterable[Json]) -> list[Json]:
    """Lists joined, a later entry in the place of an earlier one with the same `key`."""
    result: dict[Any, Json] = {}
    for entries in lists:
        for entry in entries:
            result[entry.get(key, len(result))] = entry
    return list(result.values())


def longhand(said: Json | None) -> Json:
    """Dynamo's `{limits: {cpu, memory, gpu, gpuType, custom}}` as Kubernetes spells it."""
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


def _main_container(service: Json, user: Json) -> Json:
    container: Json = {"name": MAIN}
    container |= {probe: service[probe] for probe in _PROBES if service.get(probe)}
    container |= {key: value for key, value in user.items() if key != "name"}
    if resources := _over(longhand(service.get("resources")), user.get("resources") or {}):
        container["resources"] = resources
    secret = service.get("envFromSecret")
    if sources := [*([{"secretRef": {"name": secret}}] if secret else []), *(user.get("envFrom") or ())]:
        container["envFrom"] = sources
    if env := by_name(service.get("envs") or (), user.get("env") or ()):
        container["env"] = env
    if mounts := joined("mountPath", _mounts(service), user.get("volumeMounts") or ()):
        container["volumeMounts"] = mounts
    return container


def _sidecar_container(said: Json) -> Json:
    container = {key: value for key, value in said.items() if key not in ("envs", "envFromSecret", "name")}
    if said.get("envs"):
        container["env"] = said["envs"]
    if said.get("envFromSecret"):
        container["envFrom"] = [{"secretRef": {"name": said["envFromSecret"]}}]
    return {"name": SIDECAR, **container}


def _claims(service: Json) -> list[Json]:
    names = dict.fromkeys(mount["name"] for mount in service.get("volumeMounts") or ())
    return [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names]


def _mounts(service: Json) -> list[Json]:
    mounts = service.get("volumeMounts") or ()
    return [{"name": m["name"], "mountPath": m["mountPoint"]} for m in mounts if m.get("mountPoint")]


def _pod_metadata(service: Json, key: str) -> Json:
    return {**(service.get(key) or {}), **((service.get("extraPodMetadata") or {}).get(key) or {})}


def _over(base: Json, top: Mapping[str, Any]) -> Json:
    """Resources merged name by name; `claims` and whatever else there may be is replaced."""
    out = dict(base)
    for key, value in top.items():
        out[key] = {**base.get(key, {}), **value} if key in ("limits", "requests") and value else value
    return {key: value for key, value in out.items() if value}


def _shorthand(resources: Json | None) -> Json:
    """The reverse of `longhand`; {} when the amounts are not all text, which the shorthand needs."""
    out: Json = {}
    for side, amounts in (resources or {}).items():
        if side == "claims":
            out["claims"] = amounts
            continue
        if side not in ("limits", "requests") or not all(isinstance(amount, str) for amount in amounts.values()):
            return {}
        items = {name: amounts[name] for name in ("cpu", "memory") if name in amounts}
        items |= {"gpu": amounts[GPU]} if GPU in amounts else {}
        custom = {name: amount for name, amount in amounts.items() if name not in ("cpu", "memory", GPU)}
        out[side] = items | ({"custom": custom} if custom else {})
    return {side: amounts for side, amounts in out.items() if amounts}
