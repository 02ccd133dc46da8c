"""What may change in a live PodCliqueSet (grove-behaviour 2.5): everything but the shape of the system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from grove_operator.api.constants import STARTUP_ANY_ORDER
from grove_operator.api.faults import Fault, one_of, path
from grove_operator.api.podcliqueset import PodCliqueSet, PodCliqueTemplate, ScalingGroupConfig
from grove_operator.api.topology import TopologyConstraint

TEMPLATE = "spec.template"
RECREATE = "delete the PodCliqueSet and create it anew"


def transition_faults(new: PodCliqueSet, old: PodCliqueSet, *, old_topology_is_resolved: bool) -> Iterator[Fault]:
    """Forbidden changes. `old_topology_is_resolved` is False for objects from before topologies had names."""
    after, before = new.spec.template, old.spec.template
    yield from _unchanged(f"{TEMPLATE}.cliqueStartupType", after.clique_startup_type, before.clique_startup_type)
    for name, now, then in (
        ("resourceClaimTemplates", after.resource_claim_templates, before.resource_claim_templates),
        ("resourceSharing", after.resource_sharing, before.resource_sharing),
    ):
        yield from _unchanged(f"{TEMPLATE}.{name}", now or [], then or [])
    yield from _clique_changes(new, old, repair=not old_topology_is_resolved)
    yield from _group_changes(new, old, repair=not old_topology_is_resolved)
    yield from _topology_change(
        f"{TEMPLATE}.topologyConstraint",
        after.topology_constraint,
        before.topology_constraint,
        repair=not old_topology_is_resolved,
    )


def _unchanged(field: str, now: Any, then: Any, remedy: str = RECREATE) -> Iterator[Fault]:
    if now != then:
        yield Fault(field, "Invalid", "cannot be changed", f"set it back, or {remedy}")


def _clique_changes(new: PodCliqueSet, old: PodCliqueSet, *, repair: bool) -> Iterator[Fault]:
    field = f"{TEMPLATE}.cliques"
    after, before = new.spec.template.cliques, old.spec.template.cliques
    known = {clique.name: (i, clique) for i, clique in enumerate(before)}
    yield from _same_names(field, [c.name for c in after], [c.name for c in before])
    in_order = old.spec.template.clique_startup_type != STARTUP_ANY_ORDER
    for i, clique in enumerate(after):
        if clique.name not in known:
            continue
        j, former = known[clique.name]
        if in_order and i != j and len(after) == len(before):
            yield Fault(path(field, i), "Invalid", f"clique {clique.name!r} moved from index {j}", "keep the order")
        yield from _one_clique(path(field, i), clique, former, repair=repair)


def _one_clique(field: str, now: PodCliqueTemplate, then: PodCliqueTemplate, *, repair: bool) -> Iterator[Fault]:
    fixed = (
        ("spec.roleName", now.spec.role_name, then.spec.role_name),
        ("spec.minAvailable", now.spec.min_available, then.spec.min_available),
        ("spec.startsAfter", now.spec.starts_after or [], then.spec.starts_after or []),
        (
            "spec.podSpec.schedulerName",
            now.spec.pod_spec.get("schedulerName") or "",
            then.spec.pod_spec.get("schedulerName") or "",
        ),
        ("resourceSharing", now.resource_sharing or [], then.resource_sharing or []),
    )
    for part, value, former in fixed:
        yield from _unchanged(f"{field}.{part}", value, former)
    where = f"{field}.topologyConstraint"
    yield from _topology_change(where, now.topology_constraint, then.topology_constraint, repair=repair)


def _group_changes(new: PodCliqueSet, old: PodCliqueSet, *, repair: bool) -> Iterator[Fault]:
    field = f"{TEMPLATE}.podCliqueScalingGroups"
    after = new.spec.template.pod_clique_scaling_groups or []
    before = old.spec.template.pod_clique_scaling_groups or []
    known: dict[str, ScalingGroupConfig] = {group.name: group for group in before}
    yield from _same_names(field, [g.name for g in after], [g.name for g in before])
    for i, group in enumerate(after):
        former = known.get(group.name)
        if former is None:
            continue
        for part, value, previous in (
            ("cliqueNames", group.clique_names, former.clique_names),
            ("minAvailable", group.min_available, former.min_available),
            ("resourceSharing", group.resource_sharing or [], former.resource_sharing or []),
        ):
            yield from _unchanged(path(field, i, part), value, previous)
        where = path(field, i, "topologyConstraint")
        yield from _topology_change(where, group.topology_constraint, former.topology_constraint, repair=repair)


def _same_names(field: str, now: list[str], then: list[str]) -> Iterator[Fault]:
    if len(now) != len(then):
        fact = f"has {len(now)} entries where the live object has {len(then)}; they are fixed at creation"
        yield Fault(field, "Forbidden", fact, RECREATE)
        return
    former = set(then)
    for i, name in enumerate(now):
        if name not in former:
            fact = f"{name!r} is not in the live object; names are fixed at creation"
            yield Fault(path(field, i, "name"), "Forbidden", fact, f"{one_of(then)}, or {RECREATE}")


def _topology_change(
    field: str, now: TopologyConstraint | None, then: TopologyConstraint | None, *, repair: bool
) -> Iterator[Fault]:
    """Two changes are allowed: packDomain rewritten as pack.required, and a topologyName added to a legacy object."""
    if now == then:
        return
    if now and then:
        if _is_migration(now, then) or (repair and _is_repair(now, then)):
            return
        yield Fault(field, "Forbidden", "cannot be changed", f"set it back, or {RECREATE}")
    else:
        verb = "added to" if now else "removed from"
        yield Fault(field, "Forbidden", f"cannot be {verb} a live object", f"undo that, or {RECREATE}")


def _is_migration(now: TopologyConstraint, then: TopologyConstraint) -> bool:
    return (
        bool(then.pack_domain)
        and not now.pack_domain
        and now.required_domain == then.pack_domain
        and now.topology_name == then.topology_name
        and now.preferred_domain == then.preferred_domain
    )


def _is_repair(now: TopologyConstraint, then: TopologyConstraint) -> bool:
    return (
        bool(now.topology_name)
        and not then.topology_name
        and bool(then.pack_domain)
        and now.pack_domain == then.pack_domain
        and now.pack == then.pack
    )
