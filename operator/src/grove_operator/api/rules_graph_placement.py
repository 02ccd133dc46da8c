"""Where a graph may be placed: its own topology constraint, and the one that it patches into the PodCliqueSet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from grove_operator.api.dynamographdeployment import DynamoGraphDeployment
from grove_operator.api.faults import Fault, parse
from grove_operator.api.kinds import POD_CLIQUE_SET
from grove_operator.api.rules_topology import Topologies, level_names, unknown_level
from grove_operator.api.topology import TopologyConstraint

OVERRIDE_PATH = ("spec", "template", "topologyConstraint")


def placement_faults(graph: DynamoGraphDeployment, topologies: Topologies | None) -> Iterator[Fault]:
    whole = graph.spec.topology_constraint
    places = [("spec.topologyConstraint", whole.pack_domain)] if whole and whole.pack_domain else []
    for key, service in (graph.spec.services or {}).items():
        if service.topology_constraint:
            places.append((f"spec.services.{key}.topologyConstraint", service.topology_constraint.pack_domain))
    if not places and not whole:
        return
    name = whole.topology_profile if whole else None
    field = "spec.topologyConstraint.topologyProfile"
    if not places:
        yield Fault("spec.topologyConstraint.packDomain", "Required", "is missing here and in every service", "set one")
    if fault := _name_fault(field, name, topologies):
        yield fault
    elif name and topologies is not None:
        levels = level_names(topologies[name])
        unknown = [(where, domain) for where, domain in places if domain not in levels]
        for where, domain in unknown:
            yield unknown_level(f"{where}.packDomain", domain, name, levels)
        if not unknown and whole and whole.pack_domain:
            outer = whole.pack_domain
            for where, domain in places[1:]:
                if levels.index(domain) < levels.index(outer):
                    fact = f"level {domain!r} is broader than {outer!r} of the whole graph"
                    yield Fault(f"{where}.packDomain", "Invalid", fact, f"use {outer!r} or a narrower level")


def override_faults(graph: DynamoGraphDeployment, topologies: Topologies | None) -> Iterator[Fault]:
    """Only the PodCliqueSet's topology constraint may be patched; it is checked like the PodCliqueSet's own."""
    override = graph.spec.provider_override
    if override is None:
        return
    field = "spec.providerOverride"
    for name, said, wanted in (
        ("apiVersion", override.api_version, POD_CLIQUE_SET.api_version),
        ("target", override.target, POD_CLIQUE_SET.kind),
    ):
        if said != wanted:
            yield Fault(f"{field}.{name}", "NotSupported", f"is {said!r}", f"only {wanted} can be patched here")
    constraint = override.patch
    for key in OVERRIDE_PATH:
        for other in sorted(set(constraint) - {key}):
            fact = f"{other!r} must not be patched"
            yield Fault(f"{field}.patch", "Forbidden", fact, f"patch only {'.'.join(OVERRIDE_PATH)}")
        field_value = constraint.get(key)
        if not isinstance(field_value, dict):
            yield Fault(
                f"{field}.patch", "Required", f"{'.'.join(OVERRIDE_PATH)} is missing", "set it, or drop the override"
            )
            return
        constraint = field_value
    where = f"{field}.patch.{'.'.join(OVERRIDE_PATH)}"
    parsed, faults = parse(TopologyConstraint, constraint)
    for fault in faults:
        yield replace(fault, field=f"{where}.{fault.field}" if fault.field else where)
    if parsed is None:
        return
    own_name = graph.spec.topology_constraint.topology_profile if graph.spec.topology_constraint else None
    yield from _levels_of(where, parsed, parsed.topology_name or own_name, topologies)


def _name_fault(field: str, name: str | None, topologies: Topologies | None) -> Fault | None:
    """What is wrong with the name of a topology; `topologies=None` means that they are not known here."""
    if not name:
        return Fault(field, "Required", "is missing", "name a ClusterTopologyBinding")
    if topologies is None or name in topologies:
        return None
    known = f"use one of {', '.join(sorted(topologies))}" if topologies else "create it first"
    return Fault(field, "Invalid", f"ClusterTopologyBinding {name!r} does not exist", known)


def _levels_of(
    where: str, constraint: TopologyConstraint, name: str | None, topologies: Topologies | None
) -> Iterator[Fault]:
    if fault := _name_fault(f"{where}.topologyName", name, topologies):
        yield fault
    elif name and topologies is not None and constraint.pack:
        levels = level_names(topologies[name])
        for key, domain in (("required", constraint.pack.required), ("preferred", constraint.pack.preferred)):
            if domain and domain not in levels:
                yield unknown_level(f"{where}.pack.{key}", domain, name, levels)
