"""From pydantic's JSON schema to the structural schema that a CustomResourceDefinition needs.

$ref                                 -> the definition itself (no model refers to itself)
anyOf [X, null], default null        -> X, not required
additionalProperties false, title    -> dropped: a structural schema prunes, or refuses with fieldValidation=Strict
const c                              -> enum [c]
x-grove-core NAME                    -> the schema of that type of Kubernetes' own
x-grove-required (REQUIRED)          -> an entry in `required` of the enclosing object
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel

from grove_operator.api.core_schemas import MARK as CORE
from grove_operator.api.core_schemas import core_schema
from grove_operator.api.kinds import Json

_MARK = "x-grove-required"
OPEN: Json = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_DROPPED = ("title", "$defs", _MARK)


def structural_schema(model: type[BaseModel], *, embed: bool = True) -> Json:
    """The OpenAPI v3 schema of a model, self-contained and structural.

    Without `embed`, types of Kubernetes' own are open objects, as the models themselves see them.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(schema, schema.get("$defs", {}), embed)


@cache
def schema_of(model: type[BaseModel]) -> Json:
    """The same, made once and shared: do not change it."""
    return structural_schema(model)


def _convert(node: Json, definitions: Json, embed: bool) -> Json:
    node = _resolved(node, definitions)
    if CORE in node:
        beside = {key: node[key] for key in node if key not in (*_DROPPED, CORE, "type") and node[key] is not None}
        return {**(core_schema(node[CORE]) if embed else OPEN), **beside}
    out: Json = {}
    for key, value in node.items():
        if key in _DROPPED or (key == "default" and value is None):
            continue
        if key == "properties":
            out["properties"] = {name: _convert(child, definitions, embed) for name, child in value.items()}
        elif key == "items":
            out["items"] = _convert(value, definitions, embed)
        elif key == "additionalProperties":
            if isinstance(value, dict):
                out["additionalProperties"] = _convert(value, definitions, embed)
        elif key == "const":
            out["enum"] = [value]
        else:
            out[key] = value
    required = set(node.get("required", ()))
    for name, child in node.get("properties", {}).items():
        if _resolved(child, definitions).get(_MARK):
            required.add(name)
    if required:
        out["required"] = sorted(required)
    return out


def _resolved(node: Json, definitions: Json) -> Json:
    """Follow references and unwrap optionals; what stands beside them wins over what they lead to."""
    while True:
        beside = {k: v for k, v in node.items() if k not in ("$ref", "anyOf")}
        if "$ref" in node:
            target: dict[str, Any] = definitions[node["$ref"].rsplit("/", 1)[1]]
        elif {"type": "null"} in node.get("anyOf", ()):
            (target,) = [option for option in node["anyOf"] if option != {"type": "null"}]
        else:
            return node
        node = {**target, **beside}
