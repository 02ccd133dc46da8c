"""Label sets and selectors of generated objects (grove-behaviour 3.2); the keys are in `constants`.

Labels explain and names identify: whoever wants to know whose an object is asks its labels, and its owner reference.
"""

from __future__ import annotations

from collections.abc import Mapping

from grove_operator.api.constants import (
    APP_NAME,
    COMPONENT,
    LABEL_PCS_REPLICA_INDEX,
    LABEL_POD_CLIQUE,
    LABEL_SCALING_GROUP,
    MANAGED_BY,
    MANAGED_BY_VALUE,
    PART_OF,
)

Labels = dict[str, str]


def default_labels(pcs: str) -> Labels:
    """On everything that is generated from the PodCliqueSet `pcs`."""
    return {MANAGED_BY: MANAGED_BY_VALUE, PART_OF: pcs}


def object_labels(pcs: str, component: str, name: str = "") -> Labels:
    """The default labels, the component, and the object's own name where it carries that; `:` is no label text."""
    said = {**default_labels(pcs), COMPONENT: component}
    return {**said, APP_NAME: name.replace(":", "-")} if name else said


def replica_labels(pcs: str, i: int) -> Labels:
    """What all pods of PodCliqueSet replica `i` have: the selector of its headless Service."""
    return {**default_labels(pcs), LABEL_PCS_REPLICA_INDEX: str(i)}


def clique_labels(pcs: str, clique_fqn: str) -> Labels:
    """What the pods of one PodClique have."""
    return {**default_labels(pcs), LABEL_POD_CLIQUE: clique_fqn}


def group_labels(pcs: str, group_fqn: str) -> Labels:
    """What the pods of one scaling group have."""
    return {**default_labels(pcs), LABEL_SCALING_GROUP: group_fqn}


def selector_text(labels: Mapping[str, str]) -> str:
    """As the scale subresource and `kubectl -l` want it."""
    return ",".join(f"{key}={value}" for key, value in labels.items())
