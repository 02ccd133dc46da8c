"""Admission's rules applied before anything is registered, so that even the first preview isn't blind.

Specs may hold Outputs as leaves (an image tag from another stack, a secret's name). Structure must be plain: replicas,
names and topology shape the graph and the preview. For validation a leaf is replaced by a placeholder, and faults of
the leaf itself are dropped.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pydantic import BaseModel

from grove_operator.api.kinds import Json

PLACEHOLDER = "known-after-up"
Path = tuple[str, ...]

OPEN_FIELDS = frozenset(
    {
        "annotations", "labels", "podSpec", "extraPodSpec", "extraPodMetadata", "envs", "env", "envFromSecret",
        "resources", "pvcs", "volumeMounts", "modelRef", "ingress", "sharedMemory", "livenessProbe", "readinessProbe",
        "priorityClassName", "resourceClaimTemplates",
    }
)  # fmt: skip
"""Fields below which an Output may stand."""
STRUCTURE_FIELDS = frozenset(
    {
        "podSpec", "extraPodSpec", "mainContainer", "containers", "initContainers", "env", "envs", "envFrom", "args",
        "command", "volumes", "volumeMounts", "resources", "limits", "requests", "annotations", "labels",
        "schedulerName",
    }
)  # fmt: skip
"""Fields that must be plain themselves, whatever stands inside them."""


class InvalidInputError(pulumi.RunError):
    """One error for everything that is wrong with a program's input; Pulumi prints it without a traceback."""

    def __init__(self, subject: str, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__("\n".join([f"{subject}: {count}", *(f"  - {fault}" for fault in faults)]))


@dataclass(frozen=True)
class Plain:
    """An object with its Outputs replaced by placeholders, and where they were."""

    value: Any
    leaves: tuple[Path, ...]
    misplaced: tuple[str, ...]


def is_output(value: Any) -> bool:
    return isinstance(value, pulumi.Output) or inspect.isawaitable(value)


def plain(value: Any) -> Plain:
    """Replace every Output in a JSON tree by a placeholder string."""
    leaves: list[Path] = []
    misplaced: list[str] = []

    def walk(node: Any, path: Path) -> Any:
        if is_output(node):
            leaves.append(path)
            if not _may_be_output(path):
                misplaced.append(
                    f"{dotted(path)}: must be a plain value, not an Output: it shapes the graph and the preview"
                )
            return PLACEHOLDER
        if isinstance(node, BaseModel):
            return walk(node.model_dump(by_alias=True, exclude_none=True), path)
        if isinstance(node, Mapping):
            return {str(key): walk(item, (*path, str(key))) for key, item in node.items()}
        if isinstance(node, list | tuple):
            return [walk(item, (*path, str(i))) for i, item in enumerate(node)]
        if node is None or isinstance(node, str | int | float | bool):
            return node
        misplaced.append(
            f"{dotted(path)}: {type(node).__name__} is not JSON; write plain Kubernetes JSON (dicts and lists)"
        )
        return PLACEHOLDER

    return Plain(walk(value, ()), tuple(leaves), tuple(misplaced))


def _may_be_output(path: Path) -> bool:
    if path[:2] == ("metadata", "namespace"):
        return True
    named = [part for part in path if not part.isdigit()]
    inside = any(part in OPEN_FIELDS for part in named[:-1]) or named[-1:] == ["envFromSecret"]
    return inside and path[-1] not in STRUCTURE_FIELDS


def dotted(path: Path) -> str:
    """`("spec", "cliques", "0", "name")` -> `spec.cliques[0].name`."""
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path).lstrip(".")


def _tokens(field: str) -> Path:
    return tuple(re.findall(r"[^.\[\]\"']+", field))


def faults_of(obj: Json, *rules: Callable[[Json], Iterable[object]]) -> list[str]:
    """Faults of one object in words; each rule gets the object with placeholders and yields faults with a `field`.

    Later rules run only when earlier ones found nothing, so that a mapping never meets an object of the wrong shape.
    """
    checked = plain(obj)
    if checked.misplaced:
        return list(checked.misplaced)
    leaves = [_tokens(dotted(path)) for path in checked.leaves]
    for rule in rules:
        found = []
        for fault in rule(checked.value):
            field = _tokens(str(getattr(fault, "field", "")))
            if not any(field[: len(leaf)] == leaf for leaf in leaves):
                found.append(str(fault))
        if found:
            return found
    return []


def require(subject: str, faults: Sequence[str]) -> None:
    """Raise one InvalidInputError when there are faults."""
    if faults:
        raise InvalidInputError(subject, faults)
