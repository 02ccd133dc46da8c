"""Faults inside Kubernetes' own types: what the API server would refuse by their structural schemas.

Models keep pod specs and the like as they are written; here their types, required fields, list keys and bounds are
checked, so that `grove validate`, the components and the webhooks say what the server would, with all the rest.
Unknown fields are none of it: the server drops them (`core_schemas.unknown_fields`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from grove_operator.api.faults import Fault, shown
from grove_operator.api.kinds import Json
from grove_operator.api.structural import schema_of, structural_schema

BOUNDS = {"int32": 2**31, "int64": 2**63}


def core_faults(model: type[BaseModel], obj: Json) -> Iterator[Fault]:
    """Of every embedded part in the spec of an object that fits `model` otherwise."""
    yield from _below(
        _own_schema(model)["properties"]["spec"], schema_of(model)["properties"]["spec"], obj["spec"], "spec"
    )


@cache
def _own_schema(model: type[BaseModel]) -> Json:
    """The model's schema with Kubernetes' own types left open: that tells where they begin."""
    return structural_schema(model, embed=False)


def _below(own: Json, whole: Json, value: Any, field: str) -> Iterator[Fault]:
    if own.get("x-kubernetes-preserve-unknown-fields") and "properties" in whole:
        yield from schema_faults(whole, value, field)
    elif isinstance(value, Mapping) and "properties" in own:
        for name, child in value.items():
            if child is not None and name in own["properties"]:
                yield from _below(own["properties"][name], whole["properties"][name], child, f"{field}.{name}")
    elif isinstance(value, Mapping) and "additionalProperties" in own:
        for name, child in value.items():
            yield from _below(own["additionalProperties"], whole["additionalProperties"], child, f"{field}.{name}")
    elif isinstance(value, list) and "items" in own:
        for i, child in enumerate(value):
            yield from _below(own["items"], whole["items"], child, f"{field}[{i}]")
        if own["items"].get("x-kubernetes-preserve-unknown-fields"):
            yield from _key_faults(whole, value, field)


def schema_faults(schema: Json, value: Any, field: str) -> Iterator[Fault]:
    """What a structural schema refuses in `value`; null fields count as absent, as on the API server."""
    if not _fits(schema, value):
        yield Fault(field, "Invalid", f"must be {_wanted(schema)}, not {shown(value)}", "correct it")
    elif isinstance(value, Mapping):
        yield from _object_faults(schema, value, field)
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield from schema_faults(schema.get("items", {}), child, f"{field}[{i}]")
        yield from _key_faults(schema, value, field)
    elif "enum" in schema and value not in schema["enum"]:
        known = ", ".join(map(str, schema["enum"]))
        yield Fault(field, "NotSupported", f"{value!r} is not supported", f"use one of {known}")
    elif "minimum" in schema and value < schema["minimum"]:
        yield Fault(field, "Invalid", f"{value} is below {schema['minimum']}", f"use {schema['minimum']} or more")


def _object_faults(schema: Json, value: Mapping[str, Any], field: str) -> Iterator[Fault]:
    for name in schema.get("required", ()):
        if value.get(name) is None and "default" not in schema["properties"][name]:
            yield Fault(f"{field}.{name}", "Required", "is missing", "set it")
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name, child in value.items():
        below = known.get(name, others)
        if below is not None and child is not None:
            yield from schema_faults(below, child, f"{field}.{name}")


def _key_faults(schema: Json, items: list[Any], field: str) -> Iterator[Fault]:
    """Entries of a list map that have the same keys: the first of them stays."""
    keys = schema.get("x-kubernetes-list-map-keys")
    if not keys:
        return
    defaults = {key: schema["items"]["properties"][key].get("default") for key in keys}
    seen: set[str] = set()
    for i, item in enumerate(items):
        if not isinstance(item, Mapping):
            continue
        told = {key: defaults[key] if item.get(key) is None else item[key] for key in keys}
        if any(value is None for value in told.values()):
            continue  # a missing key is a fault of its own
        if repr(told) in seen:
            said = ", ".join(f"{key} {value!r}" for key, value in told.items())
            where = f"{field}[{i}].{keys[0]}" if len(keys) == 1 else f"{field}[{i}]"
            yield Fault(where, "Duplicate", f"{said} stands here twice", "keep one of them")
        seen.add(repr(told))


def _is_whole(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


_TYPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "object": ("an object", lambda value: isinstance(value, Mapping)),
    "array": ("a list", lambda value: isinstance(value, list)),
    "string": ("a string", lambda value: isinstance(value, str)),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "integer": ("a whole number", _is_whole),
    "number": ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
}


def _fits(schema: Json, value: Any) -> bool:
    if schema.get("x-kubernetes-int-or-string"):
        return isinstance(value, str) or _is_whole(value)
    if "type" not in schema:
        return True
    bound = BOUNDS.get(schema.get("format", ""))
    return _TYPES[schema["type"]][1](value) and (bound is None or -bound <= value < bound)


def _wanted(schema: Json) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "a whole number or a string"
    name = _TYPES[schema["type"]][0]
    return f"{name} of {schema['format'][3:]} bits" if schema.get("format") in BOUNDS else name
