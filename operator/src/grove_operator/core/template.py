"""A PodCliqueSet's spec as typed, frozen views, with Grove's defaults filled in (grove-behaviour 1.1 and 2.2)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from grove_operator.api.constants import GROVE_PREFIX, STARTUP_ANY_ORDER
from grove_operator.api.kinds import Json

HASH_PREFIX = "v1-"
"""Begins every hash of ours and none of another operator's; it changes when what is hashed does (`core.adoption`)."""
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Describes the object that it stands on and no other."""


@dataclass(frozen=True)
class Clique:
    """One `template.cliques[]` entry."""

    name: str
    replicas: int
    min_available: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: Json
    pod_spec: Json
    topology: Json | None
    sharing: tuple[Json, ...] = ()

    @property
    def scheduler_name(self) -> str:
        return str(self.pod_spec.get("schedulerName") or "")


@dataclass(frozen=True)
class Group:
    """One `template.podCliqueScalingGroups[]` entry."""

    name: str
    clique_names: tuple[str, ...]
    replicas: int
    min_available: int
    annotations: Mapping[str, str]
    scale_config: Json | None
    topology: Json | None
    sharing: tuple[Json, ...] = ()


@dataclass(frozen=True)
class Template:
    """A whole PodCliqueSet; `Template.of(obj)` reads one. `obj` is the object itself."""

    obj: Json
    name: str
    namespace: str
    uid: str
    replicas: int
    startup_type: str
    priority_class: str
    cliques: tuple[Clique, ...]
    groups: tuple[Group, ...]
    topology: Json | None
    sharing: tuple[Json, ...] = ()

    @staticmethod
    def of(obj: Json) -> Template:
        meta, spec = obj["metadata"], obj["spec"]
        template = spec["template"]
        return Template(
            obj=obj,
            name=meta["name"],
            namespace=meta.get("namespace", "default"),
            uid=meta.get("uid", ""),
            replicas=spec.get("replicas") or 0,
            startup_type=template.get("cliqueStartupType") or STARTUP_ANY_ORDER,
            priority_class=template.get("priorityClassName") or "",
            cliques=tuple(_clique(entry) for entry in template.get("cliques") or ()),
            groups=tuple(_group(entry) for entry in template.get("podCliqueScalingGroups") or ()),
            topology=template.get("topologyConstraint"),
            sharing=tuple(template.get("resourceSharing") or ()),
        )

    @cached_property
    def clique_by_name(self) -> Mapping[str, Clique]:
        return {clique.name: clique for clique in self.cliques}

    @cached_property
    def group_of_clique(self) -> Mapping[str, Group]:
        return {name: group for group in self.groups for name in group.clique_names}

    @cached_property
    def standalone(self) -> tuple[Clique, ...]:
        """Cliques in no scaling group, in template order."""
        return tuple(clique for clique in self.cliques if clique.name not in self.group_of_clique)

    @cached_property
    def pod_template_hashes(self) -> Mapping[str, str]:
        """Hash of what rolls a clique's pods, by clique name (grove-behaviour 7.1)."""
        return {clique.name: HASH_PREFIX + stable_hash(self._pod_template(clique)) for clique in self.cliques}

    @cached_property
    def generation_hash(self) -> str:
        return HASH_PREFIX + stable_hash([self._pod_template(clique) for clique in self.cliques])

    @cached_property
    def claim_templates(self) -> Mapping[str, Json]:
        """Specs of the ResourceClaimTemplates that the set brings along, by name."""
        entries = self.obj["spec"]["template"].get("resourceClaimTemplates") or ()
        return {entry["name"]: entry["templateSpec"].get("spec") or {} for entry in entries}

    @cached_property
    def spread(self) -> tuple[Json, ...]:
        """How replicas keep apart, with Kubernetes' default for skew and ours for the mode: a wish, no condition."""
        entries = self.obj["spec"].get("replicaSpreadConstraints") or ()
        return tuple({"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", **entry} for entry in entries)

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.obj["metadata"].get("annotations") or {}

    @property
    def mirrored_labels(self) -> dict[str, str]:
        return _without_grove_keys(self.obj["metadata"].get("labels"))

    @property
    def mirrored_annotations(self) -> dict[str, str]:
        return _without_grove_keys(self.obj["metadata"].get("annotations"))

    def members(self, group: Group) -> tuple[Clique, ...]:
        return tuple(self.clique_by_name[name] for name in group.clique_names)

    def _pod_template(self, clique: Clique) -> Json:
        pod_spec = dict(clique.pod_spec)
        if self.priority_class and not pod_spec.get("priorityClassName"):
            pod_spec["priorityClassName"] = self.priority_class
        return {"labels": dict(clique.labels), "annotations": dict(clique.annotations), "spec": pod_spec}


def stable_hash(value: Any) -> str:
    """Ten characters over the canonical JSON; the same in every version, or an upgrade would roll every pod."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return base64.b32encode(hashlib.sha256(text.encode()).digest())[:10].decode().lower()


def _clique(entry: Json) -> Clique:
    spec = entry["spec"]
    replicas = spec.get("replicas") or 1
    pod_spec = {"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, **(spec.get("podSpec") or {})}
    return Clique(
        name=entry["name"],
        replicas=replicas,
        min_available=replicas if spec.get("minAvailable") is None else spec["minAvailable"],
        labels=entry.get("labels") or {},
        annotations=entry.get("annotations") or {},
        spec=spec,
        pod_spec=pod_spec,
        topology=entry.get("topologyConstraint"),
        sharing=tuple(entry.get("resourceSharing") or ()),
    )


def _group(entry: Json) -> Group:
    return Group(
        name=entry["name"],
        clique_names=tuple(entry.get("cliqueNames") or ()),
        replicas=1 if entry.get("replicas") is None else entry["replicas"],
        min_available=1 if entry.get("minAvailable") is None else entry["minAvailable"],
        annotations=entry.get("annotations") or {},
        scale_config=entry.get("scaleConfig"),
        topology=entry.get("topologyConstraint"),
        sharing=tuple(entry.get("resourceSharing") or ()),
    )


def _without_grove_keys(mapping: Mapping[str, str] | None) -> dict[str, str]:
    return {k: v for k, v in (mapping or {}).items() if not k.startswith(GROVE_PREFIX) and k != LAST_APPLIED}
