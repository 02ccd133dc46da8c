"""A Pod from its PodClique (grove-behaviour 3.5 and 3.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grove_operator.api import names
from grove_operator.api.constants import (
    ANNOTATION_ADOPTED_HASH,
    ANNOTATION_ENDS_IN_A_ROW,
    ANNOTATION_FORMER_NODE,
    ANNOTATION_REPLACES_PLACED,
    ANNOTATION_TOPOLOGY_NAME,
    ENV_HEADLESS_SERVICE,
    ENV_PCLQ_NAME,
    ENV_PCLQ_POD_INDEX,
    ENV_PCS_INDEX,
    ENV_PCS_NAME,
    LABEL_PCS_REPLICA_INDEX,
    LABEL_POD_CLIQUE,
    LABEL_POD_GANG,
    LABEL_POD_INDEX,
    SCHEDULING_GATE,
)
from grove_operator.api.kinds import POD, Json
from grove_operator.core.backends import backend_of
from grove_operator.core.objects import label, owner_reference
from grove_operator.core.settings import Settings
from grove_operator.core.sharing import inject_claims
from grove_operator.core.startup import add_init_container
from grove_operator.core.template import Template

LEAVES_LAST_WORDS: Json = {"terminationMessagePolicy": "FallbackToLogsOnError"}
NOT_OF_PODS = frozenset({ANNOTATION_TOPOLOGY_NAME, ANNOTATION_ADOPTED_HASH})
"""Annotations of a PodClique that its pods don't get."""


def label_variable(name: str, key: str) -> Json:
    """An environment variable that reads a label of its pod."""
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{key}']"}}}


def prepend_env(pod_spec: Json, variables: Sequence[Json]) -> Json:
    """A copy of the pod spec whose containers all start with `variables`; the user's of the same name are dropped."""
    taken = {variable["name"] for variable in variables}

    def with_env(container: Json) -> Json:
        own = [v for v in container.get("env") or () if v["name"] not in taken]
        return {**container, "env": [*variables, *own]}

    result: dict[str, Any] = dict(pod_spec)
    for field in ("initContainers", "containers"):
        if field in pod_spec:
            result[field] = [with_env(container) for container in pod_spec[field] or ()]
    return result


def with_last_words(pod_spec: Json) -> Json:
    """Containers whose template says nothing leave the end of their log when they fail (`core.evidence`)."""
    fields = (name for name in ("initContainers", "containers") if name in pod_spec)
    return pod_spec | {name: [LEAVES_LAST_WORDS | container for container in pod_spec[name]] for name in fields}


@dataclass(frozen=True, slots=True)
class Place:
    """Where in its clique a pod stands: `previous_uid` is that of the newest pod there before it ('' for the first).

    `ends`: predecessors that ended shortly before. `waits_for`: (PodClique, Ready pods needed) before it starts.
    `replaces_placed`: an update takes a pod away for it that had a node, or came after one that had.
    `claims`: names of the ResourceClaims that it shares. `former_node`: where the pod before it was bound, '' for none.
    """

    index: int
    previous_uid: str = ""
    ends: int = 0
    waits_for: Sequence[tuple[str, int]] = ()
    replaces_placed: bool = False
    claims: Sequence[str] = ()
    former_node: str = ""


def pod(clique: Json, template: Template, place: Place, s: Settings) -> Json:
    """The pod of `clique` at `place`."""
    pcs, index = template.name, place.index
    meta = clique["metadata"]
    name, namespace, replica = meta["name"], meta["namespace"], label(clique, LABEL_PCS_REPLICA_INDEX)
    labels = {
        **(meta.get("labels") or {}),
        LABEL_POD_CLIQUE: name,
        LABEL_PCS_REPLICA_INDEX: replica,
        LABEL_POD_GANG: label(clique, LABEL_POD_GANG),
        LABEL_POD_INDEX: str(index),
    }
    annotations = {k: v for k, v in (meta.get("annotations") or {}).items() if k not in NOT_OF_PODS}
    if place.ends:
        annotations[ANNOTATION_ENDS_IN_A_ROW] = str(place.ends)
    if place.replaces_placed:
        annotations[ANNOTATION_REPLACES_PLACED] = "true"
    if place.former_node:
        annotations[ANNOTATION_FORMER_NODE] = place.former_node
    variables: list[Json] = [
        {"name": ENV_PCS_NAME, "value": pcs},
        {"name": ENV_PCS_INDEX, "value": replica},
        {"name": ENV_PCLQ_NAME, "value": name},
        {"name": ENV_HEADLESS_SERVICE, "value": names.headless_address(pcs, int(replica), namespace)},
        label_variable(ENV_PCLQ_POD_INDEX, LABEL_POD_INDEX),
    ]
    spec = with_last_words(prepend_env(clique["spec"]["podSpec"], variables))
    spec["schedulingGates"] = [{"name": SCHEDULING_GATE}]
    spec["schedulerName"] = spec.get("schedulerName") or s.scheduler_name
    if template.priority_class and not spec.get("priorityClassName"):
        spec["priorityClassName"] = template.priority_class
    spec["hostname"] = names.pod_hostname(name, index)
    spec["subdomain"] = names.headless_service(pcs, int(replica))
    inject_claims(spec, place.claims)
    if place.waits_for:
        add_init_container(spec, pcs, place.waits_for, s.init_image)
    metadata: Json = {
        "name": names.pod(name, meta["uid"], index, place.previous_uid),
        "namespace": namespace,
        "labels": labels,
        "ownerReferences": [owner_reference(clique)],
    }
    if annotations:
        metadata["annotations"] = annotations
    made: Json = {"apiVersion": POD.api_version, "kind": POD.kind, "metadata": metadata, "spec": spec}
    backend_of(spec["schedulerName"], s.backends).mark_pod(made)
    return made
