"""ResourceClaims that pods share, at three levels (grove-behaviour 10.2).

    level          AllReplicas                 PerReplica
    PodCliqueSet   <pcs>-all-<entry>           <pcs>-<i>-<entry>            one for each set replica
    scaling group  <group>-all-<entry>         <group>-<j>-<entry>          one for each group replica
    PodClique      <podclique>-all-<entry>     <podclique>-<n>-<entry>      one for each pod index

A claim's spec comes from the set's own `resourceClaimTemplates`, else from a ResourceClaimTemplate object, and is fixed
from then on. While such an object is missing no claims are made of it, and no pods that need claims which do not exist;
those that exist stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grove_operator.api import names
from grove_operator.api.constants import (
    COMPONENT_RESOURCE_CLAIM,
    LABEL_PCS_REPLICA_INDEX,
    LABEL_POD_CLIQUE,
    LABEL_POD_INDEX,
    LABEL_SCALING_GROUP,
    LABEL_SCALING_GROUP_REPLICA_INDEX,
)
from grove_operator.api.kinds import RESOURCE_CLAIM, Json, ObjectKey
from grove_operator.core.objects import child
from grove_operator.core.observed import ClaimTemplates, Trouble
from grove_operator.core.template import Clique, Group, Template


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of one owner; `kept` stay if they exist, but can't be made: `troubles` say why."""

    manifests: tuple[Json, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    kept: tuple[ObjectKey, ...] = ()


@dataclass(frozen=True, slots=True)
class _Level:
    """Whose claims: `name` begins theirs, `labels` are on all, `index_label` on those of one replica."""

    code: str
    owner: Json
    name: str
    index_label: str
    labels: Mapping[str, str]


def set_claims(template: Template, known: ClaimTemplates) -> Claims:
    """What all replicas of the set share."""
    return _claims(template, _set_level(template), template.sharing, (), known)


def replica_claims(template: Template, i: int, known: ClaimTemplates) -> Claims:
    """What one replica of the set shares."""
    return _claims(template, _set_level(template), template.sharing, (i,), known, shared=False)


def group_claims(template: Template, group: Group, obj: Json, known: ClaimTemplates) -> Claims:
    """What the live scaling group `obj` shares: as a whole, and each of its replicas."""
    name = obj["metadata"]["name"]
    level = _Level("PCSG", obj, name, LABEL_SCALING_GROUP_REPLICA_INDEX, {LABEL_SCALING_GROUP: name})
    return _claims(template, level, group.sharing, range(obj["spec"]["replicas"]), known)


def clique_claims(
    template: Template, clique: Clique, obj: Json, indices: Iterable[int], known: ClaimTemplates
) -> Claims:
    """What the live PodClique `obj` shares: as a whole, and for each of the pod indices in use."""
    name = obj["metadata"]["name"]
    level = _Level("PCLQ", obj, name, LABEL_POD_INDEX, {LABEL_POD_CLIQUE: name})
    return _claims(template, level, clique.sharing, indices, known)


@dataclass(frozen=True, slots=True)
class Seat:
    """Which pod: its clique's template and name, set replica `i`, group with replica `j`, pod index `n`."""

    clique: Clique
    clique_name: str
    i: int
    n: int
    group: Group | None = None
    group_name: str = ""
    j: int = 0


def claims_of_pod(template: Template, seat: Seat) -> list[str]:
    """Names of the claims that a pod uses, from the widest to its own."""
    return [name for name, _ in _used(template, seat)]


def lacking_templates(template: Template, seat: Seat, known: ClaimTemplates, live: Collection[str]) -> list[Trouble]:
    """What keeps a pod from being made: claims that it uses neither exist (`live`: their names) nor can be made."""
    used = [entry for name, entry in _used(template, seat) if name not in live]
    return [trouble for entry in used if (trouble := _missing(template, entry, known, "PCLQ"))]


def _used(template: Template, seat: Seat) -> Iterator[tuple[str, Json]]:
    group = seat.group.name if seat.group else ""
    for_set = [e for e in template.sharing if _reaches(e, seat.clique.name, group)]
    for_group = [e for e in seat.group.sharing if _reaches(e, seat.clique.name)] if seat.group else []
    for owner, index, entries in (
        (template.name, seat.i, for_set),
        (seat.group_name, seat.j, for_group),
        (seat.clique_name, seat.n, seat.clique.sharing),
    ):
        yield from ((_name(owner, None, entry), entry) for entry in entries if not _is_per_replica(entry))
        yield from ((_name(owner, index, entry), entry) for entry in entries if _is_per_replica(entry))


def inject_claims(pod_spec: Json, claims: Sequence[str]) -> None:
    """Name the claims in the pod, and in every container of its template."""
    if not claims:
        return
    add_pod_claims(pod_spec, [{"name": name, "resourceClaimName": name} for name in claims], lambda _: True)


def add_pod_claims(pod_spec: Json, claims: Sequence[Json], is_user: Any) -> None:
    """Put pod-level claims into `pod_spec`, and references to them into each container that `is_user` picks."""
    pod_spec["resourceClaims"] = [*(pod_spec.get("resourceClaims") or ()), *claims]
    references = [{"name": claim["name"]} for claim in claims]

    def using(container: Json) -> Json:
        resources = container.get("resources") or {}
        return {**container, "resources": {**resources, "claims": [*(resources.get("claims") or ()), *references]}}

    for field in ("initContainers", "containers"):
        if field in pod_spec:
            pod_spec[field] = [using(c) if is_user(c) else c for c in pod_spec[field] or ()]


def external_templates(template: Template) -> set[tuple[str, str]]:
    """(namespace, name) of the ResourceClaimTemplate objects that the set refers to."""
    entries = [*template.sharing]
    for group in template.groups:
        entries += group.sharing
    for clique in template.cliques:
        entries += clique.sharing
    return {_place(template, entry) for entry in entries if not _is_inner(template, entry)}


def _set_level(template: Template) -> _Level:
    return _Level("PCS", template.obj, template.name, LABEL_PCS_REPLICA_INDEX, {})


def _claims(
    template: Template,
    level: _Level,
    entries: Sequence[Json],
    indices: Iterable[int],
    known: ClaimTemplates,
    *,
    shared: bool = True,
) -> Claims:
    troubles = tuple(t for e in entries if (t := _missing(template, e, known, level.code)))
    wanted: list[Json] = []
    kept: list[ObjectKey] = []
    per_index = sorted(set(indices))
    for entry in entries:
        chosen: list[int | None] = [*per_index] if _is_per_replica(entry) else [None] if shared else []
        if _missing(template, entry, known, level.code):
            chosen_names = (_name(level.name, index, entry) for index in chosen)
            kept += [ObjectKey(RESOURCE_CLAIM.kind, template.namespace, name) for name in chosen_names]
            continue
        spec = _spec(template, entry, known)
        wanted += [_manifest(template, level, entry, index, spec) for index in chosen]
    return Claims(tuple(wanted), troubles, tuple(kept))


def _manifest(template: Template, level: _Level, entry: Json, index: int | None, spec: Json) -> Json:
    labels = dict(level.labels)
    if index is not None:
        labels[level.index_label] = str(index)
    return child(
        RESOURCE_CLAIM,
        level.owner,
        _name(level.name, index, entry),
        template.name,
        COMPONENT_RESOURCE_CLAIM,
        labels=labels,
        with_name_label=False,
        spec=spec,
    )


def _missing(template: Template, entry: Json, known: ClaimTemplates, level: str) -> Trouble | None:
    if _is_inner(template, entry) or _place(template, entry) in known:
        return None
    namespace, name = _place(template, entry)
    text = f"resourceSharing {name}: ResourceClaimTemplate {namespace}/{name} does not exist; create it"
    return Trouble(f"ERR_SYNC_{level}_RESOURCE_CLAIM", text)


def _spec(template: Template, entry: Json, known: ClaimTemplates) -> Json:
    if _is_inner(template, entry):
        return template.claim_templates[entry["name"]]
    spec: Json = known[_place(template, entry)]["spec"].get("spec") or {}
    return spec


def _is_inner(template: Template, entry: Json) -> bool:
    return not entry.get("namespace") and entry["name"] in template.claim_templates


def _place(template: Template, entry: Json) -> tuple[str, str]:
    return entry.get("namespace") or template.namespace, entry["name"]


def _is_per_replica(entry: Json) -> bool:
    return bool(entry["scope"] == "PerReplica")


def _name(owner: str, index: int | None, entry: Json) -> str:
    return names.resource_claim(owner, entry["name"], index)


def _reaches(entry: Json, clique: str, group: str = "") -> bool:
    """No filter reaches all; a filter those cliques that it names, or whose group it names."""
    chosen = entry.get("filter")
    if not chosen:
        return True
    named = set(_names(chosen, "childCliqueNames")), set(_names(chosen, "childScalingGroupNames"))
    return clique in named[0] or bool(group and group in named[1])


def _names(chosen: Json, field: str) -> Iterator[str]:
    yield from chosen.get(field) or ()
