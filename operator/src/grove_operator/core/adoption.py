"""Workloads that another operator left running, or an earlier version of this one: taken over without replacing a pod.

    hash label of      says                                   is taken for
    a PodClique        what the template makes today          ours; ANNOTATION_ADOPTED_HASH remembers the foreign hash
                       anything else                          old: replaced as by an update
    a pod              that remembered hash                   ours
                       another foreign hash                   old: its operator itself held it for another template
    a PodCliqueSet     a foreign hash                         noticed, with an update only where something is old

A hash is foreign that doesn't begin with our prefix. It can't be computed here, but it can be compared: with that of
the PodClique, whose spec is compared with what would be made of the template (`canonical`). So pods are never compared
with a wish: what admission, kubelets and sidecar injectors put into them can't mislead.

Reconcilers see the translated objects; the plan compares with the real ones, and so writes the label and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from grove_operator.api.constants import (
    ANNOTATION_ADOPTED_HASH,
    APP_NAME,
    COMPONENT,
    FINALIZER_COMPUTE_DOMAIN,
    FINALIZER_PCS,
    FINALIZER_POD_CLIQUE,
    FINALIZER_SCALING_GROUP,
    GROVE_PREFIX,
    LABEL_POD_TEMPLATE_HASH,
    MANAGED_BY,
    PART_OF,
)
from grove_operator.api.kinds import Json
from grove_operator.core.canonical import canonical_pod_spec
from grove_operator.core.cliques import Origin, origin_of, pod_spec_of
from grove_operator.core.objects import is_terminating, label
from grove_operator.core.podstate import is_active
from grove_operator.core.template import HASH_PREFIX, LAST_APPLIED, Template

THEIRS = frozenset({FINALIZER_PCS, FINALIZER_POD_CLIQUE, FINALIZER_SCALING_GROUP, FINALIZER_COMPUTE_DOMAIN})
"""Finalizers that Grove's own operator sets and nobody else takes off."""
OPERATORS_OWN = frozenset({MANAGED_BY, PART_OF, APP_NAME, COMPONENT, LAST_APPLIED})


def is_foreign(template_hash: str | None) -> bool:
    """Computed by another operator or version; an absent one is nobody's."""
    return bool(template_hash) and not str(template_hash).startswith(HASH_PREFIX)


def clique_as_ours(template: Template, clique: Json) -> Json:
    """The PodClique itself, or a copy with our hashes where foreign ones mean the template as it is now."""
    bears, status = label(clique, LABEL_POD_TEMPLATE_HASH), clique.get("status") or {}
    is_unfinished = bool(adopted_hash(clique)) and status.get("currentPodTemplateHash") == adopted_hash(clique)
    origin = origin_of(template, clique) if is_foreign(bears) or is_unfinished else None
    if origin is None:
        return clique
    ours = template.pod_template_hashes[origin.clique.name]
    if is_foreign(bears) and not _says_the_same(template, origin, clique):
        return clique
    if not is_foreign(bears) and bears != ours:
        return clique
    theirs = bears if is_foreign(bears) else adopted_hash(clique)
    meta = clique["metadata"]
    metadata = {
        **meta,
        "labels": {**meta["labels"], LABEL_POD_TEMPLATE_HASH: ours},
        "annotations": {**(meta.get("annotations") or {}), ANNOTATION_ADOPTED_HASH: theirs},
    }
    translated = {**clique, "metadata": metadata}
    if status.get("currentPodTemplateHash") == theirs:
        hashes = {"currentPodTemplateHash": ours, "currentPodCliqueSetGenerationHash": template.generation_hash}
        translated["status"] = {**status, **hashes}
    return translated


def pod_as_ours(clique: Json, pod: Json) -> Json:
    """The pod, with its translated PodClique's hash where it bears the one that stood for the same template."""
    bears = label(pod, LABEL_POD_TEMPLATE_HASH)
    if not is_foreign(bears) or bears != adopted_hash(clique):
        return pod
    labels = {**pod["metadata"]["labels"], LABEL_POD_TEMPLATE_HASH: label(clique, LABEL_POD_TEMPLATE_HASH)}
    return {**pod, "metadata": {**pod["metadata"], "labels": labels}}


def group_as_ours(template: Template, group: Json, members: Iterable[Json]) -> Json:
    """The scaling group; with our hash in its status where a foreign one is there and all its members are current."""
    status = group.get("status") or {}
    if not is_foreign(status.get("currentPodCliqueSetGenerationHash")):
        return group
    for clique in members:
        said = clique.get("status") or {}
        if said.get("currentPodCliqueSetGenerationHash") != template.generation_hash:
            return group
    return {**group, "status": {**status, "currentPodCliqueSetGenerationHash": template.generation_hash}}


def adopted_hash(clique: Json) -> str:
    """The foreign hash that means the same as the PodClique's own; '' when there is none."""
    return str((clique["metadata"].get("annotations") or {}).get(ANNOTATION_ADOPTED_HASH, ""))


def remembering(child: Json, live: Json | None) -> Json:
    """A wished PodClique that keeps in mind what `live` stood for, as long as both mean the same template."""
    if live is None or not adopted_hash(live):
        return child
    if label(live, LABEL_POD_TEMPLATE_HASH) != label(child, LABEL_POD_TEMPLATE_HASH):
        return child
    meta = child["metadata"]
    annotations = {**(meta.get("annotations") or {}), ANNOTATION_ADOPTED_HASH: adopted_hash(live)}
    return {**child, "metadata": {**meta, "annotations": annotations}}


def is_outdated(template: Template, cliques: Iterable[Json], pods: Iterable[Json]) -> bool:
    """Something (translated) of a set is not of the template as it is now."""
    for clique in cliques:
        origin = None if is_terminating(clique) else origin_of(template, clique)
        if origin and label(clique, LABEL_POD_TEMPLATE_HASH) != template.pod_template_hashes[origin.clique.name]:
            return True
    current = set(template.pod_template_hashes.values())
    return any(is_active(pod) and label(pod, LABEL_POD_TEMPLATE_HASH) not in current for pod in pods)


def finalizers_left(obj: Json) -> list[str] | None:
    """What remains on an object when those of Grove's own operator are taken off; None: it bears none of them."""
    borne = obj["metadata"].get("finalizers") or []
    return [name for name in borne if name not in THEIRS] if THEIRS.intersection(borne) else None


def _says_the_same(template: Template, origin: Origin, clique: Json) -> bool:
    meta = clique["metadata"]
    if _said(meta.get("labels")) != _said(origin.clique.labels):
        return False
    if _said(meta.get("annotations")) != _said(origin.clique.annotations):
        return False
    live: Any = clique["spec"].get("podSpec") or {}
    return bool(canonical_pod_spec(live) == canonical_pod_spec(pod_spec_of(template, origin)))


def _said(mapping: Mapping[str, str] | None) -> dict[str, str]:
    """What the template said, without the operator's own keys."""
    return {k: v for k, v in (mapping or {}).items() if not k.startswith(GROVE_PREFIX) and k not in OPERATORS_OWN}
