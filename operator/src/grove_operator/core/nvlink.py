"""NVLink domains that come by themselves: one ComputeDomain for each group and set replica (grove-behaviour 10.1).

The annotation `grove.io/mnnvl-group` enrols GPU cliques: the clique's own word counts before its scaling group's, that
before the set's; `none` means not enrolled. ComputeDomains carry no finalizer of ours: the owner reference collects
them also when no operator runs, and one that is deleted by hand comes back at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from grove_operator.api import names
from grove_operator.api.constants import (
    ANNOTATION_MNNVL_GROUP,
    COMPONENT_COMPUTE_DOMAIN,
    LABEL_PCS_REPLICA_INDEX,
)
from grove_operator.api.kinds import COMPUTE_DOMAIN, Json
from grove_operator.core.objects import child
from grove_operator.core.sharing import add_pod_claims
from grove_operator.core.template import Clique, Template

GPU = "nvidia.com/gpu"
POD_CLAIM = "mnnvl-claim"
NOT_ENROLLED = "none"


def nvlink_group(template: Template, clique: Clique) -> str:
    """The group that the clique is enrolled in, '' for none: also where no container asks for a GPU."""
    group = template.group_of_clique.get(clique.name)
    layers = (clique.annotations, group.annotations if group else {}, template.annotations)
    said = next((layer[ANNOTATION_MNNVL_GROUP] for layer in layers if layer.get(ANNOTATION_MNNVL_GROUP)), "")
    return said if said != NOT_ENROLLED and any(uses_gpu(c) for c in _containers(clique.pod_spec)) else ""


def compute_domains(template: Template, i: int) -> Iterator[Json]:
    """Those of set replica `i`, each with the claim template that its pods use."""
    for group in sorted({found for clique in template.cliques if (found := nvlink_group(template, clique))}):
        name = _name(template, i, group)
        yield child(
            COMPUTE_DOMAIN,
            template.obj,
            name,
            template.name,
            COMPONENT_COMPUTE_DOMAIN,
            labels={LABEL_PCS_REPLICA_INDEX: str(i), ANNOTATION_MNNVL_GROUP: group},
            spec={"numNodes": 0, "channel": {"resourceClaimTemplate": {"name": name}}},
        )


def with_nvlink(template: Template, i: int, clique: Clique, pod_spec: Json) -> Json:
    """The pod spec with a claim on the clique's NVLink domain, in the containers that have GPUs."""
    group = nvlink_group(template, clique)
    if not group or any(claim["name"] == POD_CLAIM for claim in pod_spec.get("resourceClaims") or ()):
        return pod_spec
    spec = dict(pod_spec)
    add_pod_claims(spec, [{"name": POD_CLAIM, "resourceClaimTemplateName": _name(template, i, group)}], uses_gpu)
    return spec


def uses_gpu(container: Json) -> bool:
    resources = container.get("resources") or {}
    counts: list[Any] = [(resources.get(field) or {}).get(GPU) for field in ("limits", "requests")]
    return any(str(count) not in ("None", "0", "") for count in counts)


def _containers(pod_spec: Json) -> Iterator[Json]:
    for field in ("initContainers", "containers"):
        yield from pod_spec.get(field) or ()


def _name(template: Template, i: int, group: str) -> str:
    return names.compute_domain(template.name, i, group)
