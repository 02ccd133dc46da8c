"""Start order: which PodCliques must be Ready before a PodClique's containers start (grove-behaviour 8 and 3.8)."""

from __future__ import annotations

from collections.abc import Sequence

from grove_operator.api import names
from grove_operator.api.constants import INIT_CONTAINER, LABEL_POD_GANG, STARTUP_ANY_ORDER, STARTUP_EXPLICIT
from grove_operator.api.kinds import Json
from grove_operator.core.template import Clique, Group, Template

TOKEN_VOLUME = "sa-token-secret-vol"  # noqa: S105 - a volume's name
POD_INFO_VOLUME = "pod-info-vol"


def uses_ordering(template: Template) -> bool:
    """True when some clique waits for another: only then are token objects needed."""
    return any(_parent_names(template, clique) for clique in template.cliques)


def starts_after(template: Template, i: int, clique: Clique, group: Group | None = None, j: int = 0) -> list[str]:
    """Names of the PodCliques that come before `clique` in PodCliqueSet replica `i` (group replica `j`).

    Order never leaves a PodGang: in a scaled gang only parents of the same group replica count.
    """
    in_scaled_gang = group is not None and j >= group.min_available
    parents: list[str] = []
    for parent in _parent_names(template, clique):
        parent_group = template.group_of_clique.get(parent)
        if in_scaled_gang:
            if parent_group is group and group is not None:
                parents.append(names.member_pod_clique(template.name, i, group.name, j, parent))
        elif parent_group is None:
            parents.append(names.pod_clique(template.name, i, parent))
        else:
            replicas = range(parent_group.min_available)
            parents += [names.member_pod_clique(template.name, i, parent_group.name, r, parent) for r in replicas]
    return parents


def clique_minima(template: Template, i: int, j: int) -> dict[str, int]:
    """minAvailable by PodClique name, for every parent that a PodClique of group replica `j` can have."""
    minima = {names.pod_clique(template.name, i, c.name): c.min_available for c in template.standalone}
    for group in template.groups:
        for replica in {*range(group.min_available), j}:
            for clique in template.members(group):
                name = names.member_pod_clique(template.name, i, group.name, replica, clique.name)
                minima[name] = clique.min_available
    return minima


def add_init_container(pod_spec: Json, pcs: str, waits_for: Sequence[tuple[str, int]], image: str) -> None:
    """Append the waiting init container and its volumes; `waits_for` is (PodClique, Ready pods needed)."""
    pod_spec["volumes"] = [
        *(pod_spec.get("volumes") or ()),
        {"name": TOKEN_VOLUME, "secret": {"secretName": names.token_secret(pcs), "defaultMode": 420}},
        {
            "name": POD_INFO_VOLUME,
            "downwardAPI": {
                "items": [
                    {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}},
                    {"path": "podgangname", "fieldRef": {"fieldPath": f"metadata.labels['{LABEL_POD_GANG}']"}},
                ]
            },
        },
    ]
    pod_spec["initContainers"] = [
        *(pod_spec.get("initContainers") or ()),
        {
            "name": INIT_CONTAINER,
            "image": image,
            "args": [f"--podcliques={clique}:{ready}" for clique, ready in waits_for],
            "volumeMounts": [
                {
                    "name": TOKEN_VOLUME,
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                    "readOnly": True,
                },
                {"name": POD_INFO_VOLUME, "mountPath": "/var/grove/pod-info", "readOnly": True},
            ],
        },
    ]


def _parent_names(template: Template, clique: Clique) -> list[str]:
    if template.startup_type == STARTUP_ANY_ORDER:
        return []
    if template.startup_type == STARTUP_EXPLICIT:
        return list(clique.spec.get("startsAfter") or ())
    position = template.cliques.index(clique)
    return [template.cliques[position - 1].name] if position else []
