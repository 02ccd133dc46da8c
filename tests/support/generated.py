"""Objects that an API server accepts, drawn by Hypothesis from the schemas of our CRDs, Kubernetes' own types included.

Few fields of an object are set at a time: what matters is that over many objects each field is, at every depth.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from grove_operator.api.crds import Definition
from grove_operator.api.kinds import Json
from grove_operator.api.structural import schema_of

WORDS = ("a", "b", "rack", "x1", "web")
BY_PATTERN = {
    "^[-+]?(0|": ("4h", "1m30s", "250ms", "0s"),
    "^(\\+|-)?((": ("1Gi", "500m", 2),
    "": WORDS,
}
OPTIONAL_AT_ONCE = 3
MOMENT = "2026-01-01T00:00:00Z"


def objects(definition: Definition) -> st.SearchStrategy[Json]:
    """Whole manifests without status, called `generated`."""
    schema = schema_of(definition.model)
    metadata: Json = {"name": "generated"}
    if definition.kind.namespaced:
        metadata["namespace"] = "default"
    head = {"apiVersion": definition.kind.api_version, "kind": definition.kind.kind, "metadata": metadata}
    return values(schema["properties"]["spec"]).map(lambda spec: {**head, "spec": spec})


def values(schema: Json) -> st.SearchStrategy[Any]:
    """What a structural schema admits, rules in CEL included as far as our kinds have them."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return st.sampled_from([1, 80, "http", "1Gi"])
    if "properties" in schema:
        return _object(schema)
    if "additionalProperties" in schema:
        return st.dictionaries(st.sampled_from(WORDS), values(schema["additionalProperties"]), max_size=2)
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return st.dictionaries(st.sampled_from(WORDS), st.sampled_from([1, "x", True, [1], {"deep": "er"}]), max_size=2)
    return _scalar_or_list(schema)


def _scalar_or_list(schema: Json) -> st.SearchStrategy[Any]:
    match schema["type"]:
        case "string" if schema.get("format") == "date-time":
            return st.just(MOMENT)
        case "string":
            pattern = schema.get("pattern", "")
            return st.sampled_from(next(v for start, v in BY_PATTERN.items() if pattern.startswith(start)))
        case "boolean":
            return st.booleans()
        case "integer":
            low = schema.get("minimum", 0)
            return st.integers(low, low + 5)
        case "number":
            return st.floats(0, 1, width=16)
    keys = schema.get("x-kubernetes-list-map-keys")
    is_set = schema.get("x-kubernetes-list-type") == "set"
    filled = {key: schema["items"]["properties"][key].get("default") for key in keys or ()}
    unique = (lambda item: tuple(item.get(key, filled[key]) for key in keys)) if keys else (lambda item: repr(item))
    low = schema.get("minItems", 0)
    if keys or is_set:
        return st.lists(values(schema["items"]), min_size=low, max_size=2, unique_by=unique)
    return st.lists(values(schema["items"]), min_size=low, max_size=2)


def _object(schema: Json) -> st.SearchStrategy[Json]:
    properties: dict[str, Json] = schema["properties"]
    if "packDomain" in properties:
        return _topology_constraint()
    required = [name for name in schema.get("required", ()) if "default" not in properties[name]]
    optional = sorted(set(properties) - set(required))

    @st.composite
    def draw_one(draw: st.DrawFn) -> Json:
        chosen = draw(st.lists(st.sampled_from(optional), unique=True, max_size=OPTIONAL_AT_ONCE)) if optional else []
        return {name: draw(values(properties[name])) for name in (*required, *chosen)}

    return draw_one()


def _topology_constraint() -> st.SearchStrategy[Json]:
    """As its CEL rules want it on new objects: a pack with at least one level, no packDomain."""
    level = st.sampled_from(("rack", "block"))
    pack = st.fixed_dictionaries({"required": level}, optional={"preferred": level})
    return st.fixed_dictionaries({"pack": pack}, optional={"topologyName": st.just("default")})
