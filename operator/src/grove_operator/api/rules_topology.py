"""Rules of topology constraints (grove-behaviour 2.4) and of ClusterTopologyBinding (2.8).

PCS constraint ──> every scaling group ──> its member cliques      a child's level may not be broader than
              └──────────────────────────> every clique            its parent's: required with required,
                                                                   preferred with preferred
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from grove_operator.api.faults import Fault, path
from grove_operator.api.podcliqueset import PodCliqueSet
from grove_operator.api.topology import ClusterTopologyBinding, TopologyConstraint

Topologies = Mapping[str, Mapping[str, Any]]
Place = tuple[str, TopologyConstraint]
TEMPLATE = "spec.template"


def constraint_places(pcs: PodCliqueSet) -> list[Place]:
    """Every topology constraint of the object with its field path: PCS, groups in order, cliques in order."""
    template = pcs.spec.template
    out: list[Place] = []
    if template.topology_constraint:
        out.append((f"{TEMPLATE}.topologyConstraint", template.topology_constraint))
    for i, group in enumerate(template.pod_clique_scaling_groups or ()):
        if group.topology_constraint:
            out.append((path(TEMPLATE, "podCliqueScalingGroups", i, "topologyConstraint"), group.topology_constraint))
    for i, clique in enumerate(template.cliques):
        if clique.topology_constraint:
            out.append((path(TEMPLATE, "cliques", i, "topologyConstraint"), clique.topology_constraint))
    return out


def topology_faults(
    pcs: PodCliqueSet, topologies: Topologies | None, *, is_enabled: bool = True, creating: bool = True
) -> Iterator[Fault]:
    """All topology rules; the existence of binding and levels is judged only when `topologies` is given."""
    places = constraint_places(pcs)
    if not is_enabled:
        for field, _ in places:
            yield Fault(field, "Invalid", "topology-aware scheduling is disabled in the operator", "remove it")
        return
    for field, constraint in places:
        yield from _shape_faults(field, constraint, creating=creating)
    names, faults = _effective_names(pcs)
    yield from faults
    if faults or not names or topologies is None:
        return
    (name,) = names
    if name not in topologies:
        known = f"use one of {', '.join(sorted(topologies))}" if topologies else "create it first"
        yield Fault(_first_named(places), "Invalid", f"ClusterTopologyBinding {name!r} does not exist", known)
        return
    levels = level_names(topologies[name])
    unknown = [fault for field, constraint in places for fault in level_faults(field, constraint, name, levels)]
    yield from unknown
    if not unknown:
        yield from _hierarchy_faults(pcs, levels)


def effective_topology(pcs: PodCliqueSet) -> str:
    """Name of the one ClusterTopologyBinding that the set uses; "" when it names none, or several."""
    names, faults = _effective_names(pcs)
    (only,) = names if len(names) == 1 and not faults else ("",)
    return only


def level_names(binding: Mapping[str, Any]) -> list[str]:
    """Level names of a binding manifest, broadest first."""
    return [level["domain"] for level in binding.get("spec", {}).get("levels", ())]


def level_faults(field: str, constraint: TopologyConstraint, name: str, levels: Sequence[str]) -> Iterator[Fault]:
    """Levels that the binding `name` does not have."""
    named = {"packDomain": constraint.pack_domain}
    if constraint.pack:
        named |= {"pack.required": constraint.pack.required, "pack.preferred": constraint.pack.preferred}
    for part, domain in named.items():
        if domain and domain not in levels:
            yield unknown_level(f"{field}.{part}", domain, name, levels)


def unknown_level(field: str, domain: str, topology: str, levels: Sequence[str]) -> Fault:
    return Fault(
        field,
        "Invalid",
        f"topology level {domain!r} does not exist in ClusterTopologyBinding {topology!r}",
        f"use one of {', '.join(levels)}",
    )


def _first_named(places: Sequence[Place]) -> str:
    return next(f"{field}.topologyName" for field, constraint in places if constraint.topology_name)


def _shape_faults(field: str, constraint: TopologyConstraint, *, creating: bool) -> Iterator[Fault]:
    pack = constraint.pack
    if pack is None and not constraint.pack_domain:
        yield Fault(f"{field}.pack", "Required", "is missing", "set pack.required, pack.preferred or both")
    elif pack and not pack.required and not pack.preferred:
        yield Fault(f"{field}.pack", "Required", "has neither required nor preferred", "set one of them or both")
    if constraint.pack_domain and pack and pack.required:
        yield Fault(f"{field}.pack.required", "Invalid", "stands beside packDomain", "keep pack.required alone")
    elif constraint.pack_domain and creating:
        yield Fault(f"{field}.packDomain", "Forbidden", "is deprecated and refused on new objects", "use pack.required")


def _effective_names(pcs: PodCliqueSet) -> tuple[set[str], list[Fault]]:
    """The topology each constraint uses, its own or the nearest enclosing constraint's; a set may use only one."""
    template = pcs.spec.template
    faults: list[Fault] = []
    explicit: list[tuple[str, str]] = []

    def effective(field: str, constraint: TopologyConstraint | None, inherited: str | None) -> str | None:
        if constraint is None:
            return inherited
        own = constraint.topology_name
        if own:
            explicit.append((f"{field}.topologyName", own))
            if inherited and own != inherited:
                faults.append(
                    Fault(
                        f"{field}.topologyName",
                        "Invalid",
                        f"{own!r} differs from the inherited {inherited!r}",
                        "remove it or make them equal",
                    )
                )
        elif not inherited:
            faults.append(
                Fault(
                    f"{field}.topologyName",
                    "Required",
                    "is missing and there is none to inherit",
                    "name a ClusterTopologyBinding",
                )
            )
        return own or inherited

    whole = effective(f"{TEMPLATE}.topologyConstraint", template.topology_constraint, None)
    of_clique: dict[str, str | None] = {}
    for i, group in enumerate(template.pod_clique_scaling_groups or ()):
        field = path(TEMPLATE, "podCliqueScalingGroups", i, "topologyConstraint")
        name = effective(field, group.topology_constraint, whole)
        of_clique.update(dict.fromkeys(group.clique_names, name))
    for i, clique in enumerate(template.cliques):
        field = path(TEMPLATE, "cliques", i, "topologyConstraint")
        effective(field, clique.topology_constraint, of_clique.get(clique.name) or whole)
    names = {name for _, name in explicit}
    if len(names) > 1 and not faults:
        faults += [
            Fault(
                field,
                "Invalid",
                f"one set can use only one topology, not {', '.join(sorted(names))}",
                "use the same name everywhere",
            )
            for field, _ in explicit
        ]
    return names, faults


def _hierarchy_faults(pcs: PodCliqueSet, levels: Sequence[str]) -> Iterator[Fault]:
    template = pcs.spec.template
    whole = template.topology_constraint
    cliques = {clique.name: clique for clique in template.cliques}
    top = f"{TEMPLATE}.topologyConstraint"
    for clique in template.cliques:
        yield from _narrower(top, whole, f"clique {clique.name}", clique.topology_constraint, levels)
    for i, group in enumerate(template.pod_clique_scaling_groups or ()):
        yield from _narrower(top, whole, f"scaling group {group.name}", group.topology_constraint, levels)
        field = path(TEMPLATE, "podCliqueScalingGroups", i, "topologyConstraint")
        for name in group.clique_names:
            member = cliques[name].topology_constraint if name in cliques else None
            yield from _narrower(field, group.topology_constraint, f"clique {name}", member, levels)


def _narrower(
    field: str,
    parent: TopologyConstraint | None,
    child_name: str,
    child: TopologyConstraint | None,
    levels: Sequence[str],
) -> Iterator[Fault]:
    if parent is None or child is None:
        return
    pairs = (
        (field, "required", parent.required_domain, child.required_domain),
        (f"{field}.pack.preferred", "preferred", parent.preferred_domain, child.preferred_domain),
    )
    for where, word, outer, inner in pairs:
        if outer and inner and levels.index(outer) > levels.index(inner):
            yield Fault(
                where,
                "Invalid",
                f"{word} level {outer!r} is narrower than {inner!r} of {child_name}, which lies inside it",
                f"use {inner!r} or a broader level here",
            )


def binding_faults(
    binding: ClusterTopologyBinding, schedulers: Sequence[str] | None, topology_aware: Sequence[str]
) -> Iterator[Fault]:
    """Levels and keys are unique; bound schedulers are unique, enabled, and know topologies."""
    for part in ("domain", "key"):
        seen: set[str] = set()
        for i, level in enumerate(binding.spec.levels):
            value: str = getattr(level, part)
            if value in seen:
                yield Fault(
                    path("spec", "levels", i, part), "Duplicate", f"{value!r} is used twice", "keep one of them"
                )
            seen.add(value)
    bound: set[str] = set()
    for i, entry in enumerate(binding.spec.scheduler_topology_bindings or ()):
        field, name = path("spec", "schedulerTopologyBindings", i, "schedulerName"), entry.scheduler_name
        if name in bound:
            yield Fault(field, "Duplicate", f"{name!r} is bound twice", "keep one of them")
        elif schedulers is not None and name not in schedulers:
            yield Fault(field, "Invalid", f"scheduler {name!r} is not enabled", f"use one of {', '.join(schedulers)}")
        elif name not in topology_aware:
            yield Fault(field, "Invalid", f"scheduler {name!r} does not know topologies", "remove the entry")
        bound.add(name)
