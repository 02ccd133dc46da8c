"""Handing a client-side manager's fields to the server-side-apply manager. Pure.

Without this the first apply after a client-side create conflicts with the creator, and fields that were dropped from
the program would stay, since another manager still owns them.
"""

from __future__ import annotations

import copy
from typing import Any

from standin_provider.wire import Json

_OURS = frozenset({"pulumi-kubernetes", "pulumi-kubernetes.exe", "pulumi-resource-kubernetes"})
_HANDED_OVER = frozenset(
    {
        ("kubectl", "Apply"),
        ("kubectl", "Update"),
        ("before-first-apply", "Update"),
        *((name, "Update") for name in _OURS),
    }
)


def needs_force_in_preview(live: Json) -> bool:
    """A dry run hands nothing over: it forces where a real update would have, and where no manager is known."""
    entries = live["metadata"].get("managedFields") or []
    return not entries or any(e.get("operation") == "Update" and e.get("manager") in _OURS for e in entries)


def handed_over(live: Json, manager: str) -> list[Json] | None:
    """The new `managedFields`, or None if there is nothing to hand over. Subresources keep their owners."""
    entries: list[Json] = copy.deepcopy(live["metadata"].get("managedFields") or [])
    given = [e for e in entries if (e.get("manager"), e.get("operation")) in _HANDED_OVER and not e.get("subresource")]
    if not given:
        return None
    kept = [e for e in entries if e not in given]
    ours = [
        e for e in kept if e.get("manager") == manager and e.get("operation") == "Apply" and not e.get("subresource")
    ]
    fields: Json = {}
    for entry in [*ours, *given]:
        fields = _union(fields, entry.get("fieldsV1") or {})
    base = (ours or given)[0]
    merged = {**base, "manager": manager, "operation": "Apply", "fieldsV1": fields}
    return [*(e for e in kept if e not in ours), merged]


def _union(a: Any, b: Any) -> Any:
    return {key: _union(a.get(key, {}), b.get(key, {})) for key in {**a, **b}}
