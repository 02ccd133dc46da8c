"""PodClique manifests, standalone and member (grove-behaviour 3.2, 3.3, 3.5 and 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

from grove_operator.api import names
from grove_operator.api.constants import (
    COMPONENT_PCS_POD_CLIQUE,
    COMPONENT_SCALING_GROUP_POD_CLIQUE,
    ENV_PCSG_INDEX,
    ENV_PCSG_NAME,
    ENV_PCSG_TEMPLATE_NUM_PODS,
    LABEL_BASE_POD_GANG,
    LABEL_PCS_REPLICA_INDEX,
    LABEL_POD_GANG,
    LABEL_POD_TEMPLATE_HASH,
    LABEL_SCALING_GROUP,
    LABEL_SCALING_GROUP_REPLICA_INDEX,
)
from grove_operator.api.kinds import POD_CLIQUE, Json
from grove_operator.core.nvlink import with_nvlink
from grove_operator.core.objects import child, label
from grove_operator.core.pods import label_variable, prepend_env
from grove_operator.core.startup import starts_after
from grove_operator.core.template import Clique, Group, Template


def standalone_clique(template: Template, i: int, clique: Clique) -> Json:
    """`spec.replicas` is for creation: a live PodClique keeps its own."""
    return child(
        POD_CLIQUE,
        template.obj,
        names.pod_clique(template.name, i, clique.name),
        template.name,
        COMPONENT_PCS_POD_CLIQUE,
        labels={**clique.labels, **_common_labels(template, i, clique, names.base_pod_gang(template.name, i))},
        annotations=clique.annotations,
        spec=_spec(clique, pod_spec_of(template, Origin(clique, i)), starts_after(template, i, clique)),
    )


def member_clique(template: Template, i: int, group: Group, group_obj: Json, j: int, clique: Clique) -> Json:
    """A PodClique of scaling-group replica `j`; below the group's minAvailable it is in the base gang."""
    base = names.base_pod_gang(template.name, i)
    is_scaled = j >= group.min_available
    gang = names.scaled_pod_gang(template.name, i, group.name, j, group.min_available) if is_scaled else base
    labels = {**clique.labels, **_common_labels(template, i, clique, gang)}
    labels[LABEL_SCALING_GROUP] = group_obj["metadata"]["name"]
    labels[LABEL_SCALING_GROUP_REPLICA_INDEX] = str(j)
    if is_scaled:
        labels[LABEL_BASE_POD_GANG] = base
    return child(
        POD_CLIQUE,
        group_obj,
        names.member_pod_clique(template.name, i, group.name, j, clique.name),
        template.name,
        COMPONENT_SCALING_GROUP_POD_CLIQUE,
        labels=labels,
        annotations=clique.annotations,
        spec=_spec(
            clique, pod_spec_of(template, Origin(clique, i, group, j)), starts_after(template, i, clique, group, j)
        ),
    )


@dataclass(frozen=True, slots=True)
class Origin:
    """Which part of the template a live PodClique is of; for a member also its group and the group's replica `j`."""

    clique: Clique
    i: int
    group: Group | None = None
    j: int = 0


def pod_spec_of(template: Template, origin: Origin) -> Json:
    """The `podSpec` of a PodClique: the template's with its claim on an NVLink domain, and what members are told."""
    clique, group = origin.clique, origin.group
    pod_spec = with_nvlink(template, origin.i, clique, clique.pod_spec)
    if group is None:
        return pod_spec
    pods_in_replica = sum(member.replicas for member in template.members(group))
    variables = [
        label_variable(ENV_PCSG_NAME, LABEL_SCALING_GROUP),
        {"name": ENV_PCSG_TEMPLATE_NUM_PODS, "value": str(pods_in_replica)},
        label_variable(ENV_PCSG_INDEX, LABEL_SCALING_GROUP_REPLICA_INDEX),
    ]
    return prepend_env(pod_spec, variables)


def origin_of(template: Template, obj: Json) -> Origin | None:
    """Found by the name that the template would give; None when it no longer gives that name."""
    name, i = obj["metadata"]["name"], int(label(obj, LABEL_PCS_REPLICA_INDEX) or 0)
    for clique in template.standalone:
        if names.pod_clique(template.name, i, clique.name) == name:
            return Origin(clique, i)
    j = int(label(obj, LABEL_SCALING_GROUP_REPLICA_INDEX) or 0)
    for group in template.groups:
        for clique in template.members(group):
            if names.member_pod_clique(template.name, i, group.name, j, clique.name) == name:
                return Origin(clique, i, group, j)
    return None


def _common_labels(template: Template, i: int, clique: Clique, gang: str) -> dict[str, str]:
    return {
        LABEL_PCS_REPLICA_INDEX: str(i),
        LABEL_POD_GANG: gang,
        LABEL_POD_TEMPLATE_HASH: template.pod_template_hashes[clique.name],
    }


def _spec(clique: Clique, pod_spec: Json, parents: list[str]) -> Json:
    spec: Json = {
        "roleName": clique.spec.get("roleName", clique.name),
        "podSpec": pod_spec,
        "replicas": clique.replicas,
        "minAvailable": clique.min_available,
    }
    if parents:
        spec["startsAfter"] = parents
    if clique.spec.get("autoScalingConfig"):
        spec["autoScalingConfig"] = clique.spec["autoScalingConfig"]
    return spec
