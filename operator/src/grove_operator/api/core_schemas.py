"""Kubernetes' own types inside our objects: pod specs, probes, metrics, claim specs, spread constraints.

Models keep such parts exactly as written (a newer Kubernetes may know more); the CRDs carry their structural schema, so
that `kubectl explain` knows them and the API server prunes what it doesn't. The schemas are generated from the pinned
kube-apiserver's OpenAPI by `toolchain/core_schemas`, descriptions dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from pydantic import WithJsonSchema

from grove_operator.api.kinds import Json

MARK = "x-grove-core"
"""Key of a model's JSON schema that stands for a schema of this module."""

PodSpec = Annotated[dict[str, Any], WithJsonSchema({"type": "object", MARK: "PodSpec"})]
ExtraPodSpec = Annotated[dict[str, Any], WithJsonSchema({"type": "object", MARK: "ExtraPodSpec"})]
"""A pod spec without required parts, and Dynamo's `mainContainer`."""
PodTemplate = Annotated[dict[str, Any], WithJsonSchema({"type": "object", MARK: "PodTemplate"})]
"""A pod template: labels and annotations of its metadata, and a pod spec without required parts."""
Probe = Annotated[dict[str, Any], WithJsonSchema({"type": "object", MARK: "Probe"})]
MetricSpec = Annotated[dict[str, Any], WithJsonSchema({"type": "object", MARK: "MetricSpec"})]
ResourceClaimTemplateSpec = Annotated[
    dict[str, Any], WithJsonSchema({"type": "object", MARK: "ResourceClaimTemplateSpec"})
]
SpreadConstraint = Annotated[dict[str, Any], WithJsonSchema({"type": "object", MARK: "SpreadConstraint"})]
"""A topology spread constraint between replicas: only the key is required; a preference by default."""


@cache
def _generated() -> Json:
    content: Json = json.loads((files("grove_operator.api") / "data" / "core-schemas.json").read_text())
    return content


def kubernetes_version() -> str:
    """The version the schemas were read from, such as v1.36.3."""
    return str(_generated()["kubernetes"])


@cache
def core_schema(name: str) -> Json:
    """One structural schema; shared: do not change it. Raises KeyError for a name that was not generated."""
    if name in _DERIVED:
        return _DERIVED[name]()
    schema: Json = _generated()["schemas"][name]
    return schema


def _extra_pod_spec() -> Json:
    pod, container = core_schema("PodSpec"), core_schema("Container")
    main = {key: value for key, value in container.items() if key != "required"}
    return {"type": "object", "properties": {**pod["properties"], "mainContainer": main}}


def _spread_constraint() -> Json:
    """Kubernetes' own, with the defaults that let a user write `topologyKey` alone; key and mode identify an entry."""
    schema = core_schema("TopologySpreadConstraint")
    properties = {
        **schema["properties"],
        "maxSkew": {**schema["properties"]["maxSkew"], "default": 1, "minimum": 1},
        "whenUnsatisfiable": {
            "type": "string",
            "default": "ScheduleAnyway",
            "enum": ["ScheduleAnyway", "DoNotSchedule"],
        },
    }
    return {**schema, "properties": properties, "required": ["topologyKey"]}


def _pod_template() -> Json:
    words = {"type": "object", "additionalProperties": {"type": "string"}}
    metadata = {"type": "object", "properties": {"annotations": words, "labels": words}}
    pod = {key: value for key, value in core_schema("PodSpec").items() if key != "required"}
    return {"type": "object", "properties": {"metadata": metadata, "spec": pod}}


_DERIVED = {
    "ExtraPodSpec": _extra_pod_spec,
    "PodTemplate": _pod_template,
    "SpreadConstraint": _spread_constraint,
}


def unknown_fields(schema: Json, value: Any, path: str = "") -> Iterator[str]:
    """Paths in `value` that the API server would prune by this schema."""
    if "properties" in schema and isinstance(value, Mapping):
        for key, child in value.items():
            where = f"{path}.{key}" if path else key
            if key in schema["properties"]:
                yield from unknown_fields(schema["properties"][key], child, where)
            elif not schema.get("x-kubernetes-preserve-unknown-fields"):
                yield where
    elif "additionalProperties" in schema and isinstance(value, Mapping):
        for key, child in value.items():
            yield from unknown_fields(schema["additionalProperties"], child, f"{path}.{key}")
    elif "items" in schema and isinstance(value, list):
        for index, child in enumerate(value):
            yield from unknown_fields(schema["items"], child, f"{path}[{index}]")


def as_stored(schema: Json, value: Any) -> Any:
    """`value` as the API server stores it: unknown fields pruned, nulls dropped, defaults filled; a new object.

    What we write has to equal what is read back, or it would be written again for ever.
    """
    if "properties" in schema and isinstance(value, Mapping):
        known = schema["properties"]
        out = {key: as_stored(known[key], child) for key, child in value.items() if key in known and child is not None}
        for key, child in known.items():
            if "default" in child and key not in out:
                out[key] = child["default"]
        return out
    if "additionalProperties" in schema and isinstance(value, Mapping):
        return {key: as_stored(schema["additionalProperties"], child) for key, child in value.items()}
    if "items" in schema and isinstance(value, list):
        return [as_stored(schema["items"], child) for child in value]
    return value
