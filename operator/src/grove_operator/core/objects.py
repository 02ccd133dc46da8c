"""The frame every generated object shares: identity, Grove's default labels, the controller owner reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from grove_operator.api.kinds import Json, Kind
from grove_operator.api.labels import object_labels

NAMES_IN_A_MESSAGE = 5


def owner_reference(owner: Mapping[str, Any]) -> Json:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def child(
    kind: Kind,
    owner: Json,
    name: str,
    pcs: str,
    component: str,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, Any] | None = None,
    with_name_label: bool = True,
    **content: Any,
) -> Json:
    """A manifest owned by `owner`; operator labels win over `labels`, which win over nothing."""
    said = {**(labels or {}), **object_labels(pcs, component, name if with_name_label else "")}
    metadata: Json = {"name": name, "namespace": owner["metadata"]["namespace"], "labels": said}
    if annotations:
        metadata["annotations"] = dict(annotations)
    metadata["ownerReferences"] = [owner_reference(owner)]
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **content}


def controller_uid(obj: Mapping[str, Any]) -> str:
    """UID of the object that controls this one, or ''."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference["uid"])
    return ""


def timestamp_of(moment: datetime) -> str:
    """Kubernetes' RFC 3339 form, whole seconds, UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def is_terminating(obj: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def listed(names: Sequence[str]) -> str:
    """The first few of many names, for a message."""
    return ", ".join(names[:NAMES_IN_A_MESSAGE]) + (", ..." if len(names) > NAMES_IN_A_MESSAGE else "")


def label(obj: Mapping[str, Any], key: str) -> str:
    return str((obj["metadata"].get("labels") or {}).get(key, ""))


def label_number(obj: Mapping[str, Any], key: str) -> int | None:
    """What the label counts, an index say; None when it is lost or no number."""
    text = label(obj, key)
    return int(text) if text.isdigit() else None
