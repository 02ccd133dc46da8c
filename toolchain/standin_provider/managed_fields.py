"""Who owns which field of a live object, and what that means for an apply. Pure.

Handing over: without it the first apply after a client-side create conflicts with the creator, and fields that were
dropped from the program would stay, since another manager still owns them. Ignoring: a path of `ignoreChanges` that
another manager owns (an autoscaler's replicas) is left out of the apply, so that neither side fights for it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
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
_QUOTED = re.compile(r'\["(\w+)"\]', re.ASCII)


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


def without_ignored(body: Json, live: Json, manager: str, ignored: Iterable[str]) -> Json:
    """What to apply where `ignored` (`spec.replicas`) may be somebody else's: theirs alone is left out, anything else
    is sent as it is live. As in the official provider, paths with a list index or a key of more than letters, digits
    and underscores are passed over."""
    plain = (_QUOTED.sub(r".\1", path) for path in ignored)
    paths = [tuple(path.split(".")) for path in plain if "[" not in path]
    if not paths:
        return body
    entries = live["metadata"].get("managedFields") or []
    result = copy.deepcopy(body)
    for path in paths:
        owners = {e.get("manager") for e in entries if _owns(e.get("fieldsV1") or {}, path)}
        holder, found = _holder(live, path), _holder(result, path)
        if owners and manager not in owners:
            if found is not None:
                found.pop(path[-1], None)
        elif holder is not None and found is not None and path[-1] in holder:
            found[path[-1]] = copy.deepcopy(holder[path[-1]])
    return result


def _owns(fields: Json, path: tuple[str, ...]) -> bool:
    node: Any = fields
    for part in path:
        node = node.get(f"f:{part}") if isinstance(node, dict) else None
    return node is not None


def _holder(obj: Json, path: tuple[str, ...]) -> Json | None:
    """The map that has the path's last part as a key, None if there is no such map."""
    node: Any = obj
    for part in path[:-1]:
        node = node.get(part) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None


def _union(a: Any, b: Any) -> Any:
    return {key: _union(a.get(key, {}), b.get(key, {})) for key in {**a, **b}}
