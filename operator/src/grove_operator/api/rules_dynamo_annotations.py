"""Annotations of a graph that decide something: a typing error there would silently choose the other way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from grove_operator.api.faults import Fault

CHOICES = {
    "nvidia.com/vllm-distributed-executor-backend": ("mp", "ray"),
    "nvidia.com/grove-update-strategy": ("RollingRecreate", "OnDelete", "Coherent"),
    "nvidia.com/dynamo-kube-discovery-mode": ("pod", "container"),
    "nvidia.com/dynamo-discovery-backend": ("kubernetes", "etcd"),
}
ORIGIN = "nvidia.com/dynamo-operator-origin-version"
QUEUES = ("nvidia.com/kai-scheduler-queue", "nvidia.com/volcano-queue")
_SEMVER = re.compile(r"^v?\d+\.\d+\.\d+([-+].+)?$")


def annotation_faults(metadata: Mapping[str, Any]) -> Iterator[Fault]:
    """Values are judged only where they are text: anything else is a fault of its own."""
    annotations = metadata.get("annotations")
    if not isinstance(annotations, Mapping):
        return
    for key, allowed in CHOICES.items():
        said = annotations.get(key)
        if isinstance(said, str) and said not in allowed:
            remedy = f"use {' or '.join(allowed)}"
            yield Fault(f"metadata.annotations.{key}", "NotSupported", f"{said!r} is not known", remedy)
    origin = annotations.get(ORIGIN)
    if isinstance(origin, str) and not _SEMVER.match(origin):
        fact = f"{origin!r} is not a semantic version"
        yield Fault(f"metadata.annotations.{ORIGIN}", "Invalid", fact, "write it like 1.4.0, or remove it")
    if all(str(annotations.get(key) or "").strip() for key in QUEUES):
        fact = f"{' and '.join(QUEUES)} exclude each other"
        yield Fault("metadata.annotations", "Invalid", fact, "remove one of them")
