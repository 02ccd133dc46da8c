"""Rules of update budgets and of the spreading of replicas, which Grove's other releases have, and of annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from grove_operator.api.constants import ANNOTATION_MAX_SURGE, ANNOTATION_MIN_READY_SECONDS
from grove_operator.api.duration import duration_s
from grove_operator.api.faults import Advice, Fault, path
from grove_operator.api.podcliqueset import PodCliqueSet, RollingUpdate
from grove_operator.api.syntax import is_label_key, positive_count

TEMPLATE = "spec.template"
SPREAD = "spec.replicaSpreadConstraints"
ROLLOUT = {ANNOTATION_MAX_SURGE: "1", ANNOTATION_MIN_READY_SECONDS: "10"}
"""Annotations that say how an update goes, each a positive number, with an example."""
PER_POD = ("labelSelector", "matchLabelKeys", "minDomains", "nodeAffinityPolicy", "nodeTaintsPolicy")
"""Fields of a topology spread constraint that speak of single pods; replicas are counted without them."""


def budget_faults(pcs: PodCliqueSet) -> Iterator[Fault]:
    """`rollingUpdate`: positive numbers, on standalone cliques and groups only, at least minAvailable for Coherent."""
    template = pcs.spec.template
    strategy = pcs.spec.update_strategy.type if pcs.spec.update_strategy else "RollingRecreate"
    members = {name for group in template.pod_clique_scaling_groups or () for name in group.clique_names}
    for i, clique in enumerate(template.cliques):
        field = path(TEMPLATE, "cliques", i, "rollingUpdate")
        if clique.rolling_update is None:
            continue
        if clique.name in members:
            fact = f"clique {clique.name!r} is updated with its scaling group"
            yield Fault(field, "Forbidden", fact, "remove it and use rollingUpdate of the group")
        yield from _budget_faults(field, clique.rolling_update, strategy, clique.spec.min_available)
    for i, group in enumerate(template.pod_clique_scaling_groups or ()):
        if group.rolling_update is not None:
            field = path(TEMPLATE, "podCliqueScalingGroups", i, "rollingUpdate")
            yield from _budget_faults(field, group.rolling_update, strategy, group.min_available)


def _budget_faults(field: str, budget: RollingUpdate, strategy: str, min_available: int | None) -> Iterator[Fault]:
    most = budget.max_unavailable
    if most is not None and most <= 0:
        yield Fault(f"{field}.maxUnavailable", "Invalid", f"{most} is not positive", "use 1 or more")
    elif most is not None and strategy == "Coherent" and most < (min_available or 1):
        fact = f"{most} is below minAvailable {min_available}, the least that a coherent step takes along"
        yield Fault(f"{field}.maxUnavailable", "Invalid", fact, f"use {min_available} or more")
    if budget.progress_deadline is not None and duration_s(budget.progress_deadline) <= 0:
        fact = f"{budget.progress_deadline} is not longer than 0"
        yield Fault(f"{field}.progressDeadline", "Invalid", fact, "use a duration such as 10m")


def rollout_faults(pcs: PodCliqueSet) -> Iterator[Fault]:
    """The annotations that ask for further replicas during an update, and for a rest after each step, are numbers."""
    for key, said in _asked(pcs):
        if not positive_count(said):
            fact = f"{said!r} is not a number from 1 to 9999"
            yield Fault(_field(key), "Invalid", fact, f'write it like "{ROLLOUT[key]}", or remove it')


def rollout_advice(pcs: PodCliqueSet) -> Iterator[Advice]:
    """Annotations without effect, and a rest after each step that the longest progressDeadline takes for a stop."""
    if pcs.spec.update_strategy and pcs.spec.update_strategy.type == "OnDelete":
        for key, _ in _asked(pcs):
            yield Advice(_field(key), "is ignored: with updateStrategy OnDelete no pod is replaced by the operator")
        return
    parts = (*pcs.spec.template.cliques, *(pcs.spec.template.pod_clique_scaling_groups or ()))
    declared = [part.rolling_update.progress_deadline for part in parts if part.rolling_update]
    deadline_s = max((duration_s(text) for text in declared if text is not None), default=0.0)
    rest_s = positive_count(dict(_asked(pcs)).get(ANNOTATION_MIN_READY_SECONDS, ""))
    if 0 < deadline_s <= rest_s:
        fact = f"{rest_s} s are not shorter than the progressDeadline of {deadline_s:g} s: every step counts as stuck"
        yield Advice(_field(ANNOTATION_MIN_READY_SECONDS), fact)


def _asked(pcs: PodCliqueSet) -> Iterator[tuple[str, str]]:
    annotations = pcs.metadata.get("annotations")
    if not isinstance(annotations, Mapping):
        return
    for key in ROLLOUT:
        if isinstance(said := annotations.get(key), str):  # anything else is a fault of the metadata
            yield key, said


def _field(key: str) -> str:
    return f"metadata.annotations[{key}]"


def spread_faults(pcs: PodCliqueSet) -> Iterator[Fault]:
    """`replicaSpreadConstraints` name node labels; all else about them is in their schema."""
    for i, constraint in enumerate(pcs.spec.replica_spread_constraints or ()):
        key = constraint["topologyKey"]
        if not is_label_key(key):
            yield Fault(f"{SPREAD}[{i}].topologyKey", "Invalid", f"{key!r} is not a label key", "name a node label")


def spread_advice(pcs: PodCliqueSet) -> Iterator[Advice]:
    """Fields that have no meaning here, where whole replicas are spread and not single pods."""
    for i, constraint in enumerate(pcs.spec.replica_spread_constraints or ()):
        for name in PER_POD:
            if constraint.get(name):
                fact = "is ignored: replicas of the set are counted, not pods that a selector finds"
                yield Advice(f"{SPREAD}[{i}].{name}", fact)
