"""What changed between a live object and new inputs, and whether that needs a replacement. Pure.

The live object is first pruned to the shape of the old inputs: what the user never set is not drift. Then it is
compared with the new inputs key by key, lists by position. A path in `REPLACES` (or any change of name, namespace or
kind) replaces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from standin_provider.objects import AUTONAMED, group_of
from standin_provider.wire import Json, Path, show

Change = Literal["ADD", "DELETE", "UPDATE"]

_ALWAYS: tuple[Path, ...] = (("metadata", "name"), ("metadata", "namespace"))
_CONTAINER = (
    "env",
    "image",
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "securityContext",
    "terminationMessagePath",
    "workingDir",
)
_STATEFUL_SET = ("podManagementPolicy", "revisionHistoryLimit", "selector", "serviceName", "volumeClaimTemplates")
REPLACES: dict[tuple[str, str], tuple[Path, ...]] = {
    ("", "ConfigMap"): (("data",), ("binaryData",)),
    ("", "Secret"): (("data",), ("stringData",), ("type",)),
    ("", "Service"): (("spec", "clusterIP"), ("spec", "type")),
    ("", "PersistentVolumeClaim"): (("spec",),),
    ("", "ResourceQuota"): (("spec", "scopes"),),
    ("", "Pod"): tuple(("spec", "containers", "*", key) for key in _CONTAINER),
    ("apps", "Deployment"): (("spec", "selector"),),
    ("apps", "StatefulSet"): tuple(("spec", key) for key in _STATEFUL_SET),
    ("batch", "Job"): (("spec", "selector"), ("spec", "template")),
    ("rbac.authorization.k8s.io", "RoleBinding"): (("roleRef",),),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): (("roleRef",),),
    ("storage.k8s.io", "StorageClass"): (("parameters",), ("provisioner",)),
}


@dataclass(frozen=True)
class Difference:
    """`detailed` maps paths as Pulumi writes them to (change, does it replace)."""

    detailed: dict[str, tuple[Change, bool]] = field(default_factory=dict)
    delete_before_replace: bool = False

    @property
    def replaces(self) -> list[str]:
        return sorted(path for path, (_, replace) in self.detailed.items() if replace)


def compare(
    live: Json, old_inputs: Json, new_inputs: Json, *, mutable_data: frozenset[str] = frozenset()
) -> Difference:
    """`mutable_data`: kinds among ConfigMap and Secret whose data may change in place (unless it is immutable)."""
    old = prune(live, old_inputs)
    replacing = [*_ALWAYS, *_replacing_paths(new_inputs, mutable_data)]
    detailed: dict[str, tuple[Change, bool]] = {}
    for path, change in changes(old, new_inputs):
        if path == ("apiVersion",):
            replace = group_of(str(old.get("apiVersion", ""))) != group_of(str(new_inputs.get("apiVersion", "")))
        else:
            replace = path == ("kind",) or any(_touches(path, rule, old, new_inputs) for rule in replacing)
        detailed[show(path)] = (change, replace)
    is_replaced = any(replace for _, replace in detailed.values())
    return Difference(detailed, is_replaced and _keeps_its_name(old_inputs, new_inputs))


def _replacing_paths(obj: Json, mutable_data: frozenset[str]) -> tuple[Path, ...]:
    kind = str(obj.get("kind", ""))
    rules = REPLACES.get((group_of(str(obj.get("apiVersion", ""))), kind), ())
    if kind in mutable_data and not obj.get("immutable"):
        return tuple(rule for rule in rules if rule == ("type",))
    return rules


def _touches(path: Path, rule: Path, old: Any, new: Any) -> bool:
    """A change below the rule's path, or one above it that has something at the rule's path before or after."""
    for part, wanted in zip(path, rule, strict=False):
        if wanted != "*" and part != wanted:
            return False
    return len(path) >= len(rule) or _exists(old, rule) or _exists(new, rule)


def _exists(value: Any, rule: Path) -> bool:
    if not rule:
        return True
    if rule[0] == "*":
        return isinstance(value, list) and any(_exists(item, rule[1:]) for item in value)
    return isinstance(value, dict) and rule[0] in value and _exists(value[str(rule[0])], rule[1:])


def _keeps_its_name(old: Json, new: Json) -> bool:
    """Then the old one must go first. A name that Pulumi made up is made up anew, so both may exist at once."""
    before, after = old.get("metadata") or {}, new.get("metadata") or {}
    same = all(before.get(key, "") == after.get(key, "") for key in ("name", "namespace"))
    return same and (after.get("annotations") or {}).get(AUTONAMED) != "true" and old.get("kind") == new.get("kind")


def prune(live: Any, shape: Any) -> Any:
    """`live` without the keys and the trailing list elements that `shape` hasn't. An empty list or map that the server
    dropped counts as still there: Kubernetes doesn't store the difference."""
    if isinstance(live, dict) and isinstance(shape, dict):
        pruned = {key: prune(live[key], shape[key]) for key in shape if key in live}
        return pruned | {key: value for key, value in shape.items() if key not in live and value in ({}, [])}
    if isinstance(live, list) and isinstance(shape, list):
        return [prune(a, b) for a, b in zip(live, shape, strict=False)]
    return live


def changes(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, Change]]:
    """Every difference, at the highest path where one side is missing and at the leaf where both are there."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _step(old, new, key, key in old, key in new, path)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from _step(old, new, index, index < len(old), index < len(new), path)
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        yield path, "UPDATE"


def _step(old: Any, new: Any, key: Any, was: bool, will_be: bool, path: Path) -> Iterator[tuple[Path, Change]]:
    if was and will_be:
        yield from changes(old[key], new[key], (*path, key))
    else:
        yield (*path, key), "DELETE" if was else "ADD"
