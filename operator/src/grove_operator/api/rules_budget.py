"""Rules of fields that Grove's other releases have, update budgets and the spreading of replicas, and of surges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from grove_operator.api.constants import ANNOTATION_MAX_SURGE
from grove_operator.api.duration import duration_s
from grove_operator.api.faults import Advice, Fault, path
from grove_operator.api.podcliqueset import PodCliqueSet, RollingUpdate
from grove_operator.api.syntax import is_label_key, positive_count

TEMPLATE = "spec.template"
SPREAD = "spec.replicaSpreadConstraints"
SURGE = f"metadata.annotations[{ANNOTATION_MAX_SURGE}]"
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


def surge_faults(pcs: PodCliqueSet) -> Iterator[Fault]:
    """The annotation that asks for further replicas during an update is a positive number."""
    said = _max_surge(pcs)
    if said is not None and not positive_count(said):
        fact = f"{said!r} is not a number from 1 to 9999"
        yield Fault(SURGE, "Invalid", fact, 'write it like "1", or remove it')


def surge_advice(pcs: PodCliqueSet) -> Iterator[Advice]:
    """Where nothing is replaced by the operator, there is nothing to make replicas for."""
    if _max_surge(pcs) is not None and pcs.spec.update_strategy and pcs.spec.update_strategy.type == "OnDelete":
        yield Advice(SURGE, "is ignored: with updateStrategy OnDelete no pod is replaced by the operator")


def _max_surge(pcs: PodCliqueSet) -> str | None:
    annotations = pcs.metadata.get("annotations")
    said = annotations.get(ANNOTATION_MAX_SURGE) if isinstance(annotations, Mapping) else None
    return said if isinstance(said, str) else None  # anything else is a fault of the metadata


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
