"""Random objects that a structural schema admits, sparse enough for Kubernetes' own large types."""

from __future__ import annotations

from random import Random
from typing import Any

from grove_operator.api.kinds import Json

WORDS = ("a", "main", "sidecar-frontend", "x1", "worker")
QUANTITIES = ("1Gi", "500m", "2", 3)
OPTIONAL_AT_MOST = 7
"""Optional fields of one object; every field has the same chance."""


def sample(schema: Json, rnd: Random, depth: int = 0) -> Any:
    """One value. Strings with a pattern other than those known here are words, which may break the pattern."""
    if "enum" in schema:
        return rnd.choice(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return rnd.choice(QUANTITIES)
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return {
            rnd.choice(WORDS): rnd.choice([rnd.randint(0, 3), rnd.choice(WORDS), []]) for _ in range(rnd.randint(0, 2))
        }
    kind = schema["type"]
    if kind == "string":
        return rnd.choice(WORDS)
    if kind == "boolean":
        return rnd.random() < 0.5
    if kind == "integer":
        low = schema.get("minimum", 0)
        return rnd.randint(low, schema.get("maximum", low + 4))
    if kind == "number":
        return rnd.randint(0, 8) / 8
    if kind == "array":
        return _array(schema, rnd, depth)
    if "additionalProperties" in schema:
        below = schema["additionalProperties"]
        return {rnd.choice(WORDS): sample(below, rnd, depth + 1) for _ in range(rnd.randint(0, 2))}
    properties = schema.get("properties", {})
    required = set(schema.get("required", ()))
    optional = [name for name in properties if name not in required]
    chosen = rnd.sample(optional, min(len(optional), rnd.randint(0, OPTIONAL_AT_MOST if depth < 6 else 1)))
    return {name: sample(properties[name], rnd, depth + 1) for name in [*sorted(required), *chosen]}


def _array(schema: Json, rnd: Random, depth: int) -> list[Any]:
    items = [sample(schema["items"], rnd, depth + 1) for _ in range(rnd.randint(schema.get("minItems", 0), 2))]
    keys = schema.get("x-kubernetes-list-map-keys")
    if keys:
        items = list({tuple(item.get(key) for key in keys): item for item in items}.values())
    return items
