"""The frozen inputs of the reconcilers: what the cache knows, gathered before anything is judged.

Every mapping is keyed by object name within the namespace of the reconciled object. Missing means "not there (yet)".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from grove_operator.api.constants import LABEL_POD_TEMPLATE_HASH, LABEL_SCALING_GROUP
from grove_operator.api.kinds import Json
from grove_operator.core.objects import label
from grove_operator.core.template import Template

OWNERSHIP_CONFLICT = "ERR_OWNERSHIP_CONFLICT"
"""The code of a trouble that says: the name is taken."""
ClaimTemplates = Mapping[tuple[str, str], Json]
"""ResourceClaimTemplate objects by (namespace, name): those that exist."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A write that failed at the last attempt; shown in `status.lastErrors`. `code` is Grove's ERR_... word."""

    code: str
    description: str


@dataclass(frozen=True)
class Peers:
    """The standalone PodCliques and groups of one replica; of each PodClique the Ready pods of its newest template.

    Pods that are Ready for less than the set asks don't count.
    """

    parts: Mapping[str, Json] = field(default_factory=dict)
    ready: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ReplicaView:
    """One PodCliqueSet replica: PodCliques (members included), groups, gangs, autoscalers, and pods by PodClique."""

    template: Template
    index: int
    cliques: Mapping[str, Json] = field(default_factory=dict)
    groups: Mapping[str, Json] = field(default_factory=dict)
    gangs: Mapping[str, Json] = field(default_factory=dict)
    pods: Mapping[str, tuple[Json, ...]] = field(default_factory=dict)
    topology: Json | None = None
    autoscalers: Mapping[str, Json] = field(default_factory=dict)
    claim_templates: ClaimTemplates = field(default_factory=dict)


@dataclass(frozen=True)
class SetView:
    """A PodCliqueSet with every PodClique (members included) and scaling group of all its replicas.

    `last_ready`: the newest moment at which one of its pods became Ready, as Kubernetes writes it; '' when none is.
    `revisions`: its ControllerRevisions.
    Only of a set with a surge, while an update of it runs: `refused` are pods that find no place, those of further
    replicas first; `refusals` what their scheduler says of them, by pod name; `clears_at`: when the last pod of the
    set that is on its way out will be gone; `surge_troubles`: what keeps further replicas from being made.
    `is_outdated`: of a set that is being taken over, something is not of its template.
    """

    template: Template
    cliques: Mapping[str, Json] = field(default_factory=dict)
    groups: Mapping[str, Json] = field(default_factory=dict)
    topology: Json | None = None
    troubles: tuple[Trouble, ...] = ()
    last_ready: str = ""
    claim_templates: ClaimTemplates = field(default_factory=dict)
    is_outdated: bool = False
    revisions: tuple[Json, ...] = ()
    refused: tuple[Json, ...] = ()
    refusals: Mapping[str, str] = field(default_factory=dict)
    clears_at: datetime | None = None
    surge_troubles: tuple[Trouble, ...] = ()

    @cached_property
    def stale_groups(self) -> frozenset[str]:
        """Names of scaling groups with a member that isn't of the template."""
        current = {"", *self.template.pod_template_hashes.values()}
        members = (c for c in self.cliques.values() if label(c, LABEL_POD_TEMPLATE_HASH) not in current)
        return frozenset(label(clique, LABEL_SCALING_GROUP) for clique in members)


@dataclass(frozen=True)
class GroupView:
    """A PodCliqueScalingGroup `obj` with its member PodCliques.

    `peers`: standalone PodCliques and groups of the same replica, itself included; only for coherent updates.
    """

    template: Template
    obj: Json
    cliques: Mapping[str, Json] = field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()
    peers: Peers = field(default_factory=Peers)
    claim_templates: ClaimTemplates = field(default_factory=dict)


@dataclass(frozen=True)
class CliqueView:
    """A PodClique `obj` with its pods (terminating ones too) and the gang it belongs to.

    `claims`: names of the live ResourceClaims that its pods may use.
    `previous_uids`: UID of the newest pod that was ever seen at an index, for indices without an active pod.
    `former_nodes`: where the last pod at an index was bound.
    `scheduled`: scheduled pods of every PodClique that the base gang names, absent when that PodClique is.
    `peers`: standalone PodCliques and groups of the same replica, itself included; only for coherent updates.
    """

    template: Template
    obj: Json
    pods: tuple[Json, ...] = ()
    gang: Json | None = None
    base_gang: Json | None = None
    scheduled: Mapping[str, int] = field(default_factory=dict)
    previous_uids: Mapping[int, str] = field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()
    peers: Peers = field(default_factory=Peers)
    claim_templates: ClaimTemplates = field(default_factory=dict)
    claims: frozenset[str] = frozenset()
    former_nodes: Mapping[int, str] = field(default_factory=dict)
