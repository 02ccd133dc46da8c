"""Structural rules of a PodCliqueSet (grove-behaviour 2.3); the object is expected to carry its defaults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from grove_operator.api.constants import NAME_BUDGET, STARTUP_EXPLICIT
from grove_operator.api.duration import duration_s
from grove_operator.api.faults import Fault, one_of, path
from grove_operator.api.podclique import AutoScalingConfig
from grove_operator.api.podcliqueset import PodCliqueSet, PodCliqueTemplate, ScalingGroupConfig
from grove_operator.api.syntax import env_faults, map_faults, name_fault, text

TEMPLATE = "spec.template"
CLIQUES = f"{TEMPLATE}.cliques"
GROUPS = f"{TEMPLATE}.podCliqueScalingGroups"


def structural_faults(
    pcs: PodCliqueSet, *, creating: bool, default_scheduler: str, schedulers: Sequence[str] | None
) -> Iterator[Fault]:
    """Every rule that looks at one object alone. `schedulers` are the enabled backends, None when unknown."""
    template = pcs.spec.template
    if pcs.spec.replicas < 0:
        yield Fault("spec.replicas", "Invalid", f"{pcs.spec.replicas} is negative", "use 0 or more")
    if not template.cliques:
        yield Fault(CLIQUES, "Required", "is empty", "add at least one clique")
    pcs_name = text(pcs.metadata, "name")
    members = {name for group in template.pod_clique_scaling_groups or () for name in group.clique_names}
    for i, clique in enumerate(template.cliques):
        field = path(CLIQUES, i)
        yield from _clique_faults(field, clique, explicit=template.clique_startup_type == STARTUP_EXPLICIT)
        yield from _pod_spec_faults(f"{field}.spec.podSpec", clique, creating=creating)
        if clique.name.strip() and clique.name not in members:
            yield from budget_faults((f"{field}.name", "metadata.name"), pcs_name, clique=clique.name)
    yield from _duplicates(CLIQUES, "name", [clique.name for clique in template.cliques])
    yield from _duplicates(CLIQUES, "spec.roleName", [clique.spec.role_name for clique in template.cliques])
    yield from _scheduler_faults(template.cliques, default_scheduler, schedulers)
    if template.clique_startup_type == STARTUP_EXPLICIT:
        yield from _dependency_faults(template.cliques)
    yield from _group_faults(pcs, pcs_name)
    yield from _delay_faults(template.termination_delay)


def budget_faults(fields: Sequence[str], pcs: str, *, clique: str, group: str = "") -> Iterator[Fault]:
    """Names of set, group and clique together must leave room for indices and the pod's suffix in 63 characters.

    The fault is told at each of `fields`, since shortening any of these names helps.
    """
    parts = [("PodCliqueSet", pcs), ("scaling group", group), ("clique", clique)]
    used = sum(len(name) for _, name in parts)
    if used <= NAME_BUDGET:
        return
    listed = " + ".join(f"{kind} {name!r} ({len(name)})" for kind, name in parts if name)
    fact = f"the names {listed} take {used} characters, {used - NAME_BUDGET} more than the {NAME_BUDGET} that fit"
    for field in fields:
        yield Fault(field, "Invalid", fact, f"shorten them by {used - NAME_BUDGET}")


def _clique_faults(field: str, clique: PodCliqueTemplate, *, explicit: bool) -> Iterator[Fault]:
    if not clique.name.strip():
        yield Fault(f"{field}.name", "Required", "is empty", "name the clique")
    elif fault := name_fault(f"{field}.name", clique.name):
        yield fault
    yield from map_faults(f"{field}.labels", clique.labels, are_labels=True)
    yield from map_faults(f"{field}.annotations", clique.annotations, are_labels=False)
    spec, below = clique.spec, f"{field}.spec"
    if spec.replicas <= 0:
        yield Fault(f"{below}.replicas", "Invalid", f"{spec.replicas} is not positive", "use 1 or more")
    yield from _min_available_faults(
        f"{below}.minAvailable", f"clique {clique.name}", spec.min_available, spec.replicas
    )
    if explicit:
        yield from _starts_after_faults(f"{below}.startsAfter", clique)
    if spec.auto_scaling_config:
        where = f"{below}.autoScalingConfig"
        yield from _scaling_faults(where, spec.auto_scaling_config, spec.min_available, spec.replicas)


def _min_available_faults(field: str, owner: str, minimum: int | None, replicas: int) -> Iterator[Fault]:
    if minimum is None:
        yield Fault(field, "Required", "is missing", "set it, or let the defaulting webhook do so")
    elif minimum <= 0:
        yield Fault(field, "Invalid", f"{minimum} is not positive", "use 1 or more")
    elif minimum > replicas:
        yield Fault(
            field,
            "Invalid",
            f"minAvailable {minimum} of {owner} exceeds replicas {replicas}",
            "lower it or raise replicas",
        )


def _starts_after_faults(field: str, clique: PodCliqueTemplate) -> Iterator[Fault]:
    seen: set[str] = set()
    for i, target in enumerate(clique.spec.starts_after or ()):
        if not target.strip():
            yield Fault(f"{field}[{i}]", "Required", "is empty", "name a clique or remove the entry")
        elif target == clique.name:
            yield Fault(f"{field}[{i}]", "Invalid", f"clique {target!r} cannot start after itself", "remove the entry")
        elif target in seen:
            yield Fault(f"{field}[{i}]", "Duplicate", f"{target!r} is listed twice", "keep one of them")
        seen.add(target)


def _scaling_faults(
    field: str, scaling: AutoScalingConfig, min_available: int | None, replicas: int
) -> Iterator[Fault]:
    lower, upper = scaling.min_replicas, scaling.max_replicas
    if lower is None:
        yield Fault(f"{field}.minReplicas", "Required", "is missing", "set it, or let the defaulting webhook do so")
        lower = replicas
    elif min_available is not None and lower < min_available:
        yield Fault(
            f"{field}.minReplicas",
            "Invalid",
            f"minReplicas {lower} is below minAvailable {min_available}",
            f"use {min_available} or more",
        )
    if upper < max(lower, replicas):
        yield Fault(
            f"{field}.maxReplicas",
            "Invalid",
            f"maxReplicas {upper} is below minReplicas {lower} or replicas {replicas}",
            f"use {max(lower, replicas)} or more",
        )


def _pod_spec_faults(field: str, clique: PodCliqueTemplate, *, creating: bool) -> Iterator[Fault]:
    pod = clique.spec.pod_spec
    if creating and pod.get("topologySpreadConstraints") is not None:
        yield Fault(
            f"{field}.topologySpreadConstraints",
            "Invalid",
            "cannot be combined with gang scheduling",
            "remove it and use topologyConstraint",
        )
    if creating and pod.get("nodeName"):
        yield Fault(f"{field}.nodeName", "Invalid", "pins pods past the scheduler", "remove it and use nodeSelector")
    for part in ("initContainers", "containers"):
        for i, container in enumerate(pod.get(part) or ()):
            where = f"{field}.{part}[{i}].env"
            yield from env_faults(where, container.get("env"), counted=False)  # core_faults counts them


def _duplicates(field: str, part: str, values: Iterable[str]) -> Iterator[Fault]:
    seen: set[str] = set()
    for i, value in enumerate(values):
        if value in seen:
            yield Fault(f"{field}[{i}].{part}", "Duplicate", f"{value!r} is used twice", "make it unique")
        seen.add(value)


def _scheduler_faults(
    cliques: Sequence[PodCliqueTemplate], default_scheduler: str, schedulers: Sequence[str] | None
) -> Iterator[Fault]:
    resolved = [clique.spec.pod_spec.get("schedulerName") or default_scheduler for clique in cliques]
    for i, name in enumerate(resolved):
        field = path(CLIQUES, i, "spec", "podSpec", "schedulerName")
        if name != resolved[0]:
            yield Fault(
                field,
                "Invalid",
                f"scheduler {name!r} differs from {resolved[0]!r} of clique {cliques[0].name}",
                "use one scheduler for all cliques",
            )
        elif schedulers is not None and name not in schedulers:
            yield Fault(
                field,
                "Invalid",
                f"scheduler {name!r} is not enabled in the operator",
                f"use one of {', '.join(schedulers)}",
            )


def _dependency_faults(cliques: Sequence[PodCliqueTemplate]) -> Iterator[Fault]:
    names = dict.fromkeys(sorted(clique.name for clique in cliques))
    graph: dict[str, list[str]] = {}
    for i, clique in enumerate(cliques):
        targets = [target for target in clique.spec.starts_after or () if target.strip()]
        for target in targets:
            if target not in names:
                yield Fault(
                    path(CLIQUES, i, "spec", "startsAfter"),
                    "Invalid",
                    f"clique {target!r} does not exist",
                    one_of(name for name in names if name != clique.name),
                )
        graph[clique.name] = sorted(set(targets) - {clique.name})
    yield from _circles(graph)


def _circles(graph: dict[str, list[str]]) -> Iterator[Fault]:
    """One fault for each knot of cliques that wait for each other, with one circle in it."""
    if not any(graph.values()):
        return
    import networkx as nx  # 0.2 s, and only sets with an explicit order need it

    waits_for: nx.DiGraph[str] = nx.DiGraph((name, target) for name, targets in graph.items() for target in targets)
    for knot in nx.strongly_connected_components(waits_for):
        if len(knot) > 1:
            steps = nx.find_cycle(waits_for.subgraph(knot), source=min(knot))
            circle = " -> ".join([steps[0][0], *(step[1] for step in steps)])
            yield Fault(CLIQUES, "Invalid", f"cliques wait for each other: {circle}", "remove one startsAfter entry")


def _group_faults(pcs: PodCliqueSet, pcs_name: str) -> Iterator[Fault]:
    template = pcs.spec.template
    groups = template.pod_clique_scaling_groups or []
    cliques = {clique.name: clique for clique in template.cliques}
    yield from _duplicates(GROUPS, "name", [group.name for group in groups])
    uses = Counter(name for group in groups for name in group.clique_names)
    for i, group in enumerate(groups):
        field = path(GROUPS, i)
        yield from _one_group_faults(field, group)
        for j, name in enumerate(group.clique_names):
            where = f"{field}.cliqueNames[{j}]"
            if name not in cliques:
                yield Fault(where, "Invalid", f"clique {name!r} does not exist", one_of(cliques))
                continue
            yield from budget_faults((where, f"{field}.name", "metadata.name"), pcs_name, group=group.name, clique=name)
            if uses[name] > 1:
                yield Fault(where, "Duplicate", f"clique {name!r} is in scaling groups {uses[name]} times", "keep one")
            if cliques[name].spec.auto_scaling_config:
                yield Fault(
                    where,
                    "Invalid",
                    f"clique {name!r} has autoScalingConfig but scales with its group",
                    "use scaleConfig of the group",
                )


def _one_group_faults(field: str, group: ScalingGroupConfig) -> Iterator[Fault]:
    if fault := name_fault(f"{field}.name", group.name):
        yield fault
    if not group.clique_names:
        yield Fault(f"{field}.cliqueNames", "Required", "is empty", "list the cliques of the group")
    yield from map_faults(f"{field}.annotations", group.annotations, are_labels=False)
    if group.replicas <= 0:
        yield Fault(f"{field}.replicas", "Invalid", f"{group.replicas} is not positive", "use 1 or more")
    owner = f"scaling group {group.name}"
    yield from _min_available_faults(f"{field}.minAvailable", owner, group.min_available, group.replicas)
    if group.scale_config:
        yield from _scaling_faults(f"{field}.scaleConfig", group.scale_config, group.min_available, group.replicas)


def _delay_faults(delay: str | None) -> Iterator[Fault]:
    field = f"{TEMPLATE}.terminationDelay"
    if delay is None:
        yield Fault(field, "Required", "is missing", "set it, or let the defaulting webhook do so")
    elif duration_s(delay) <= 0:
        yield Fault(field, "Invalid", f"{delay} is not longer than 0", "use a duration such as 4h")
