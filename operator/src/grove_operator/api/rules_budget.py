"""Rules of fields that Grove's other releases have: update budgets and the spreading of replicas (appendix D)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from grove_operator.api.duration import duration_s
from grove_operator.api.faults import Advice, Fault, path
from grove_operator.api.podcliqueset import PodCliqueSet, RollingUpdate
from grove_operator.api.syntax import is_label_key

TEMPLATE = "spec.template"
SPREAD = "spec.replicaSpreadConstraints"
SPREAD_MODES = ("ScheduleAnyway", "DoNotSchedule")
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


def spread_faults(pcs: PodCliqueSet) -> Iterator[Fault]:
    """`replicaSpreadConstraints`: known keys and modes, each pair once. Defaults may still be absent."""
    seen: set[tuple[str, str]] = set()
    for i, constraint in enumerate(pcs.spec.replica_spread_constraints or ()):
        field = f"{SPREAD}[{i}]"
        key, mode = constraint.get("topologyKey"), constraint.get("whenUnsatisfiable") or SPREAD_MODES[0]
        if not key:
            yield Fault(f"{field}.topologyKey", "Required", "is missing", "name a node label")
        elif not isinstance(key, str) or not is_label_key(key):
            yield Fault(f"{field}.topologyKey", "Invalid", f"{key!r} is not a label key", "name a node label")
        if mode not in SPREAD_MODES:
            fact = f"{mode!r} is not supported"
            yield Fault(f"{field}.whenUnsatisfiable", "NotSupported", fact, f"use one of {', '.join(SPREAD_MODES)}")
        elif isinstance(key, str) and (key, mode) in seen:
            yield Fault(field, "Duplicate", f"{key!r} stands twice with {mode}", "keep one of them")
        elif isinstance(key, str):
            seen.add((key, mode))
        yield from _skew_faults(f"{field}.maxSkew", constraint.get("maxSkew"))


def _skew_faults(field: str, skew: Any) -> Iterator[Fault]:
    if skew is not None and (not isinstance(skew, int) or isinstance(skew, bool) or skew < 1):
        yield Fault(field, "Invalid", f"{skew!r} is not a positive number", "use 1 or more")


def spread_advice(pcs: PodCliqueSet) -> Iterator[Advice]:
    """Fields that have no meaning here, where whole replicas are spread and not single pods."""
    for i, constraint in enumerate(pcs.spec.replica_spread_constraints or ()):
        for name in PER_POD:
            if constraint.get(name):
                fact = "is ignored: replicas of the set are counted, not pods that a selector finds"
                yield Advice(f"{SPREAD}[{i}].{name}", fact)
