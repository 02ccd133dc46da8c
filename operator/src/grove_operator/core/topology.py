"""Topology domains become node-label keys (grove-behaviour 4.2 and 9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from grove_operator.api.conditions import condition
from grove_operator.api.constants import CONDITION_TOPOLOGY_LEVELS_UNAVAILABLE
from grove_operator.api.kinds import Json
from grove_operator.core.template import Template


def constraints(template: Template) -> Iterator[Json]:
    """All constraints in Grove's search order: PodCliqueSet, groups, cliques."""
    if template.topology:
        yield template.topology
    yield from (group.topology for group in template.groups if group.topology)
    yield from (clique.topology for clique in template.cliques if clique.topology)


def topology_name(template: Template) -> str:
    """The first explicit topology name, or ''. Admission has made sure that all of them agree."""
    return next((c["topologyName"] for c in constraints(template) if c.get("topologyName")), "")


def level_keys(binding: Json | None) -> dict[str, str]:
    """Node-label key by domain; empty when the ClusterTopologyBinding does not exist."""
    return {level["domain"]: level["key"] for level in (binding or {}).get("spec", {}).get("levels", ())}


def translated(constraint: Json | None, keys: Mapping[str, str]) -> Json | None:
    """The PodGang's form of a constraint; an unknown domain drops its half, both halves gone drop it whole."""
    required, preferred = domains(constraint)
    pack = {
        name: keys[domain]
        for name, domain in (("required", required), ("preferred", preferred))
        if domain and domain in keys
    }
    return {"packConstraint": pack} if pack else None


def domains(constraint: Json | None) -> tuple[str, str]:
    """(required, preferred) domain names, '' where there is none; `packDomain` is the old spelling of required."""
    pack = (constraint or {}).get("pack") or {}
    return pack.get("required") or (constraint or {}).get("packDomain") or "", pack.get("preferred") or ""


def levels_condition(template: Template, binding: Json | None, *, enabled: bool) -> Json | None:
    """The PodCliqueSet condition TopologyLevelsUnavailable, or None when it must be absent (9.6)."""
    wanted = {domain for c in constraints(template) for domain in domains(c) if domain}
    generation = template.obj["metadata"].get("generation")

    def say(status: bool | None, reason: str, message: str) -> Json:
        kind = CONDITION_TOPOLOGY_LEVELS_UNAVAILABLE
        return condition(kind, status, reason, message, observed_generation=generation)

    if not enabled:
        if not wanted:
            return None
        return say(None, "TopologyAwareSchedulingDisabled", "topology-aware scheduling is switched off in the operator")
    name = topology_name(template)
    if not wanted:
        return say(False, "AllClusterTopologyLevelsAvailable", "no topology level is asked for")
    if not name:
        return say(None, "TopologyNameMissing", "no constraint names a ClusterTopologyBinding; set topologyName")
    if binding is None:
        return say(None, "ClusterTopologyNotFound", f"ClusterTopologyBinding {name} does not exist; create it")
    missing = sorted(wanted - set(level_keys(binding)))
    if missing:
        text = f"ClusterTopologyBinding {name} has no level {', '.join(missing)}; add it or change the constraint"
        return say(True, "ClusterTopologyLevelsUnavailable", text)
    return say(False, "AllClusterTopologyLevelsAvailable", f"all levels exist in ClusterTopologyBinding {name}")
