"""Advice on PodCliqueSets: allowed, and probably not what was meant. Admission returns it as warnings.

Grove warns of every set that its restartPolicy would be forced to Always, which is not so: here only another policy
than Always is a reason to warn, and the warning says what happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from grove_operator.api.faults import Advice, path
from grove_operator.api.podcliqueset import PodCliqueSet
from grove_operator.api.rules_budget import rollout_advice, spread_advice
from grove_operator.api.rules_topology import constraint_places, effective_topology, level_names


def podcliqueset_advice(
    pcs: PodCliqueSet, topologies: Mapping[str, Mapping[str, Any]] | None, *, creating: bool
) -> Iterator[Advice]:
    """On restart policies, spreads, surges, preferences that can't matter (creation), packDomain (updates)."""
    for i, clique in enumerate(pcs.spec.template.cliques):
        policy = clique.spec.pod_spec.get("restartPolicy")
        if policy and policy != "Always":
            field = path("spec", "template", "cliques", i, "spec", "podSpec", "restartPolicy")
            yield Advice(field, f"{policy}: containers that end are not started again, and their pod counts as lost")
    yield from spread_advice(pcs)
    yield from rollout_advice(pcs)
    if creating:
        yield from _preferences(pcs, topologies or {})
        return
    for field, constraint in constraint_places(pcs):
        if constraint.pack_domain:
            yield Advice(f"{field}.packDomain", "is deprecated; write the same level as pack.required")


def _preferences(pcs: PodCliqueSet, topologies: Mapping[str, Mapping[str, Any]]) -> Iterator[Advice]:
    binding = topologies.get(effective_topology(pcs))
    levels: Sequence[str] = level_names(binding) if binding else ()
    for field, constraint in constraint_places(pcs):
        preferred, required = constraint.preferred_domain, constraint.required_domain
        if preferred in levels and required in levels and levels.index(preferred) < levels.index(required):
            fact = f"level {preferred!r} is broader than the required {required!r}, so the preference changes nothing"
            yield Advice(f"{field}.pack.preferred", fact)
