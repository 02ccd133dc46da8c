"""JSON merge patch (RFC 7386) both ways: apply one, and find the smallest one.

    merge(base, difference(base, wanted)) == wanted        for objects without null values

Lists are values: they are replaced whole, never merged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grove_operator.api.kinds import Json


def copy_json(value: Any) -> Any:
    """A deep copy of decoded JSON, several times faster than `copy.deepcopy`."""
    if isinstance(value, dict):
        return {k: copy_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [copy_json(v) for v in value]
    return value


def merge(base: Any, patch: Any) -> Any:
    """`base` with `patch` applied; neither is changed. A null in the patch removes the key."""
    if not isinstance(patch, dict):
        return copy_json(patch)
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def difference(base: Mapping[str, Any], wanted: Mapping[str, Any]) -> Json:
    """The smallest patch that turns `base` into `wanted`; {} when they are equal. `wanted` holds no nulls."""
    patch: Json = {key: None for key in base if key not in wanted}
    for key, value in wanted.items():
        if key not in base:
            patch[key] = copy_json(value)
        elif isinstance(value, dict) and isinstance(base[key], dict):
            if inner := difference(base[key], value):
                patch[key] = inner
        elif base[key] != value:
            patch[key] = copy_json(value)
    return patch
