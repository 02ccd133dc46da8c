"""Whether the operator may be deleted: not while PodCliqueSets exist, which nobody would then repair or take down.

Asked for its Deployment and for its namespace, which takes the Deployment along. An annotation on the object lifts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grove_operator.api.authorizer import ALLOWED, Ruling
from grove_operator.api.constants import ANNOTATION_FORCE_DELETION

SHOWN = 5
"""Names in a message; the rest is a number."""


def is_forced(request: Mapping[str, Any]) -> bool:
    """Whether the stored object of an AdmissionReview's request has the annotation that lifts the protection."""
    stored = request.get("oldObject")
    metadata = stored.get("metadata") if isinstance(stored, Mapping) else None
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    return isinstance(annotations, Mapping) and annotations.get(ANNOTATION_FORCE_DELETION) == "true"


def rule_on_deletion(request: Mapping[str, Any], sets: Sequence[str]) -> Ruling:
    """`sets` are all PodCliqueSets of the cluster as `namespace/name`."""
    if is_forced(request) or not sets:
        return ALLOWED
    kind = request.get("kind")
    what = str(kind.get("kind") if isinstance(kind, Mapping) else "object").lower()
    name = "/".join(part for part in (request.get("namespace"), request.get("name")) if part)
    if what == "namespace":
        name = str(request.get("name") or request.get("namespace") or "")
    count = "1 PodCliqueSet" if len(sets) == 1 else f"{len(sets)} PodCliqueSets"
    shown = ", ".join(sorted(sets)[:SHOWN]) + (f" and {len(sets) - SHOWN} more" if len(sets) > SHOWN else "")
    return Ruling(
        is_allowed=False,
        message=f"{what} {name} can't be deleted: the operator in it looks after {count}: {shown}; delete them first, "
        f'or give it the annotation {ANNOTATION_FORCE_DELETION}: "true" (stack config: force: true below '
        "grove:operator, then up) and delete it again",
    )
