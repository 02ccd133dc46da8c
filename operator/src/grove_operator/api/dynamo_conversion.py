"""DynamoGraphDeployment v1alpha1 <-> v1beta1, without loss. Pure.

What one version can't say travels in an annotation of the other, by units: the graph, its status, and of each
component its pods and its rest.

    unit      what a part said in its own version       as      digest of what it became here
    kept      only when turning it back would not give the same

On the way back a unit whose counterpart still has its digest returns word for word. If somebody edited the counterpart,
that is the truth: it is converted anew, and only fields that this version has no words for are put back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from grove_operator.api import dynamo_podtemplate as pods
from grove_operator.api.dynamo_words import (
    GRAPH,
    PROMOTED,
    STATUS,
    Path,
    component_to_alpha,
    component_to_beta,
    renamed,
)
from grove_operator.api.kinds import Json

ALPHA, BETA = "nvidia.com/v1alpha1", "nvidia.com/v1beta1"
SAID_IN = {ALPHA: "conversion.grove-py/v1alpha1", BETA: "conversion.grove-py/v1beta1"}
"""Annotation of what the other version said."""
ALPHA_ONLY: Mapping[str, tuple[Path, ...]] = {
    "graph": (("pvcs",),),
    "rest": tuple(
        (name,)
        for name in ("serviceName", "componentType", "subComponentType", "dynamoNamespace", "autoscaling", "ingress")
    ),
}
BETA_ONLY: Mapping[str, tuple[Path, ...]] = {
    "rest": (
        *((name,) for name in ("minAvailable", "roles", "dynamoSidecar", "runtimeVersionOverride", "providerOverride")),
        ("experimental", "grove"),
        ("experimental", "gpuMemoryService", "extraClientContainers"),
        ("experimental", "gpuMemoryService", "extraClientPods"),
        *(
            ("experimental", "checkpoint", name)
            for name in ("startupPolicy", "deletionPolicy", "targetContainer", "job")
        ),
    ),
    "pod": (("frontendSidecar",),),
}
"""Fields by unit that the other version has no words for."""
Convert = Callable[[Json], Json]


def to_beta(obj: Json) -> Json:
    """A v1alpha1 object as v1beta1; the given one is not changed."""
    spec = without_nulls(obj.get("spec") or {})
    services = spec.pop("services", None)
    told, before = _Kept(), _told(obj, BETA)
    out_spec = told.turned("graph", spec, _graph_to_beta, _graph_to_alpha, before.get("graph"), BETA_ONLY)
    if services is not None:
        parts = told.below("components")
        made = {
            name: {"name": name, **_service_to_beta(service or {}, parts.below(name), _of(before, name))}
            for name, service in services.items()
        }
        order = before.get("order")
        out_spec["components"] = [made[name] for name in _ordered(made, order)]
    return _object(obj, BETA, out_spec, told, before, _status_to_beta, _status_to_alpha)


def to_alpha(obj: Json) -> Json:
    """A v1beta1 object as v1alpha1; the given one is not changed."""
    spec = without_nulls(obj.get("spec") or {})
    components = spec.pop("components", None)
    told, before = _Kept(), _told(obj, ALPHA)
    out_spec = told.turned("graph", spec, _graph_to_alpha, _graph_to_beta, before.get("graph"), ALPHA_ONLY)
    if components is not None:
        parts = told.below("components")
        out_spec["services"] = {
            c["name"]: _component_to_alpha(c, parts.below(c["name"]), _of(before, c["name"])) for c in components
        }
        names = [c["name"] for c in components]
        if names != sorted(names):
            told.content["order"] = names
    return _object(obj, ALPHA, out_spec, told, before, _status_to_alpha, _status_to_beta)


def as_version(obj: Json, api_version: str) -> Json:
    """The object in the wanted version; ValueError for versions that don't exist."""
    if obj.get("apiVersion") == api_version:
        return obj
    if {obj.get("apiVersion"), api_version} != {ALPHA, BETA}:
        raise ValueError(f"cannot convert {obj.get('apiVersion')} to {api_version}; versions are {ALPHA} and {BETA}")
    return to_beta(obj) if api_version == BETA else to_alpha(obj)


def without_nulls(value: Any) -> Any:
    """A deep copy in which what is null is absent, as the API server stores it."""
    if isinstance(value, Mapping):
        return {key: without_nulls(child) for key, child in value.items() if child is not None}
    if isinstance(value, list):
        return [without_nulls(child) for child in value]
    return value


class _Kept:
    """What the target can't say, collected unit by unit."""

    def __init__(self) -> None:
        self.content: Json = {}
        self._parts: dict[str, _Kept] = {}

    def below(self, name: str) -> _Kept:
        return self._parts.setdefault(name, _Kept())

    def turned(
        self, unit: str, said: Json, there: Convert, back: Convert, before: Any, only: Mapping[str, tuple[Path, ...]]
    ) -> Json:
        """`said` in the other version: as it was before if that is what it came from; else converted."""
        made = there(said)
        if isinstance(before, Mapping) and isinstance(before.get("said"), Mapping):
            if before.get("as") == digest(said):
                made = dict(before["said"])
            else:
                for place in only.get(unit, ()):
                    made = _put_back(made, before["said"], place)
        if back(made) != said:
            self.content[unit] = {"said": said, "as": digest(made)}
        return made

    def as_json(self) -> Json:
        parts = {name: content for name, part in self._parts.items() if (content := part.as_json())}
        return {**self.content, **parts}


def _put_back(made: Json, said: Json, place: Path) -> Json:
    """`made` with the value that `said` has at `place`, unless it has one, or lacks the part that it belonged to."""
    name, *below = place
    if not below:
        return made if name in made or name not in said else {**made, name: said[name]}
    if not isinstance(said.get(name), dict):
        return made
    if name not in made and (len(below) > 1 or below[0] not in said[name]):
        return made
    inner = _put_back(made.get(name, {}), said[name], tuple(below))
    return {**made, name: inner} if inner or name in made else made


def digest(value: Any) -> str:
    """16 hexadecimal digits of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _object(obj: Json, version: str, spec: Json, told: _Kept, before: Json, there: Convert, back: Convert) -> Json:
    metadata = dict(obj.get("metadata") or {})
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in SAID_IN.values()}
    out: Json = {**obj, "apiVersion": version, "metadata": metadata, "spec": spec}
    if "status" in obj:
        only = BETA_ONLY if version == BETA else ALPHA_ONLY
        status = without_nulls(obj.get("status") or {})
        out["status"] = told.turned("status", status, there, back, before.get("status"), only)
    if kept := told.as_json():
        other = ALPHA if version == BETA else BETA
        annotations[SAID_IN[other]] = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    return out


def _told(obj: Json, version: str) -> Json:
    """What the object's annotation says that it said in `version`; {} when there is none that can be read."""
    text = ((obj.get("metadata") or {}).get("annotations") or {}).get(SAID_IN[version])
    try:
        content = json.loads(text) if text else {}
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _of(before: Json, name: str) -> Json:
    components = before.get("components")
    part = components.get(name) if isinstance(components, dict) else None
    return part if isinstance(part, dict) else {}


def _ordered(made: Mapping[str, Json], order: Any) -> list[str]:
    """Sorted, or in the order that was written, new ones last."""
    known = [name for name in order if name in made] if isinstance(order, list) else []
    known = list(dict.fromkeys(known))
    return [*known, *sorted(set(made) - set(known))]


def _service_to_beta(service: Json, told: _Kept, before: Json) -> Json:
    pod = {key: value for key, value in service.items() if key in pods.SERVICE_FIELDS}
    rest = {key: value for key, value in service.items() if key not in pods.SERVICE_FIELDS}
    return {
        **told.turned("rest", rest, component_to_beta, component_to_alpha, before.get("rest"), BETA_ONLY),
        **told.turned("pod", pod, pods.to_component, pods.to_service, before.get("pod"), BETA_ONLY),
    }


def _component_to_alpha(component: Json, told: _Kept, before: Json) -> Json:
    pod = {key: value for key, value in component.items() if key in pods.COMPONENT_FIELDS}
    rest = {key: value for key, value in component.items() if key not in (*pods.COMPONENT_FIELDS, "name")}
    return {
        **told.turned("rest", rest, _in_the_old_words(before), component_to_beta, before.get("rest"), ALPHA_ONLY),
        **told.turned("pod", pod, pods.to_service, pods.to_component, before.get("pod"), ALPHA_ONLY),
    }


def _in_the_old_words(before: Json) -> Convert:
    """v1alpha1 can say prefill in two ways. A graph that said worker and prefill goes on so: pod labels hang on it."""
    said = (before.get("rest") or {}).get("said") if isinstance(before.get("rest"), dict) else None
    old_words = said if isinstance(said, dict) and said.get("componentType") == "worker" else {}

    def convert(component: Json) -> Json:
        out = component_to_alpha(component)
        if component.get("type") in PROMOTED and component["type"] == old_words.get("subComponentType"):
            out |= {"componentType": "worker", "subComponentType": component["type"]}
        return out

    return convert


def _graph_to_beta(spec: Json) -> Json:
    return renamed({key: value for key, value in spec.items() if key != "pvcs"}, GRAPH, to_beta=True)


def _graph_to_alpha(spec: Json) -> Json:
    return renamed(spec, GRAPH, to_beta=False)


def _status_to_beta(status: Json) -> Json:
    return renamed(status, STATUS, to_beta=True)


def _status_to_alpha(status: Json) -> Json:
    return renamed(status, STATUS, to_beta=False)
