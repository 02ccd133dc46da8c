"""The only author of writes: what to do to get from the observed objects to the desired ones.

Law: after applying its own actions it plans nothing.

    desired, not observed                 create
    desired, observed, says otherwise     patch what differs (merge patch, the live UID as precondition)
    observed, ours, not desired           delete by UID
    desired, observed, not ours           nothing: a conflict that the owner's status tells about
    observed, terminating                 nothing: its removal wakes us
    doomed, ours at one remove            delete by UID
    to be made once, not observed         create, without an owner
    the owner's finalizers                patch, with the resourceVersion: others add theirs meanwhile
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grove_operator.api.constants import (
    LABEL_POD_TEMPLATE_HASH,
    MANAGED_BY,
    MANAGED_BY_VALUE,
)
from grove_operator.api.kinds import SCALING_GROUP, Json, ObjectKey, key_of
from grove_operator.core.adoption import adopted_hash
from grove_operator.core.objects import controller_uid, is_terminating
from grove_operator.core.outcome import Outcome
from grove_operator.dynamo.mapping import APPLIED_HASH
from grove_operator.engine.merge import difference


@dataclass(frozen=True, slots=True)
class Create:
    key: ObjectKey
    body: Json


@dataclass(frozen=True, slots=True)
class Patch:
    """A merge patch; `subresource` is "" or "status"."""

    key: ObjectKey
    body: Json
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Delete:
    key: ObjectKey
    uid: str


Action = Create | Patch | Delete


@dataclass(frozen=True, slots=True)
class Plan:
    """`foreign`: desired objects whose name is taken by an object that someone else controls."""

    actions: tuple[Action, ...] = ()
    own_status: Patch | None = None
    foreign: tuple[ObjectKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """How a live object is compared with the wish.

    `once`: top-level fields of the spec that apply at creation only. `exact`: mappings in the spec that hold what the
    wish says and nothing more. `marker`: a label or annotation; while it is equal only what the wish says is compared,
    when it differs the whole spec, labels and annotations are replaced, unless it is the hash that the wish adopts.
    `fixed`: the spec applies at creation only.
    `recreated`: a spec that says otherwise can't be patched; the object is deleted, and made anew when it is gone.
    """

    exact_spec: bool = False
    exact: frozenset[str] = field(default_factory=frozenset)
    once: frozenset[str] = field(default_factory=frozenset)
    marker: str = ""
    fixed: bool = False
    recreated: bool = False


REPLICAS_ONCE = frozenset({"replicas"})
POLICIES: Mapping[str, Policy] = {
    "Service": Policy(exact=frozenset({"selector"})),
    "PodClique": Policy(once=REPLICAS_ONCE, marker=LABEL_POD_TEMPLATE_HASH),
    "PodCliqueScalingGroup": Policy(once=REPLICAS_ONCE),
    "PodCliqueSet": Policy(marker=APPLIED_HASH),
    "PodGang": Policy(exact_spec=True),
    "ResourceClaim": Policy(fixed=True),
    "ComputeDomain": Policy(fixed=True),
    "PodGroup": Policy(once=frozenset({"queue"})),
    "Topology": Policy(recreated=True),
    "DynamoGraphDeploymentScalingAdapter": Policy(once=REPLICAS_ONCE),
}


def plan(outcome: Outcome, owner: Json, existing: Mapping[ObjectKey, Json]) -> Plan:
    """`existing` holds every live object of the owner's, and whatever else bears a desired or scaled name."""
    uid = owner["metadata"]["uid"]
    actions: list[Action] = []
    foreign: list[ObjectKey] = []
    wanted: set[ObjectKey] = set()
    for child in outcome.children:
        key = key_of(child)
        wanted.add(key)
        live = existing.get(key)
        if live is None:
            actions.append(Create(key, _manifest(child)))
        elif controller_uid(live) != uid:
            foreign.append(key)
        elif not is_terminating(live):
            actions += updates(key, live, child)
    wanted |= {scale.target for scale in outcome.scales} | set(outcome.kept)
    for key, live in existing.items():
        if key not in wanted and _may_be_deleted(live, uid):
            actions.append(Delete(key, live["metadata"]["uid"]))
    owners = {uid, *(obj["metadata"]["uid"] for obj in existing.values() if controller_uid(obj) == uid)}
    for key in outcome.doomed:
        live = existing.get(key)
        if live and _may_be_deleted(live, controller_uid(live)) and controller_uid(live) in owners:
            actions.append(Delete(key, live["metadata"]["uid"]))
    actions += [Create(key_of(made), _manifest(made)) for made in outcome.once if key_of(made) not in existing]
    for scale in outcome.scales:
        live = existing.get(scale.target)
        if live and not is_terminating(live) and _at(live, scale.field) != scale.replicas:
            body = {"metadata": {"uid": live["metadata"]["uid"]}, **_nested(scale.field, scale.replicas)}
            actions.append(Patch(scale.target, body))
    if outcome.finalizers is not None:
        precondition = {"uid": uid, "resourceVersion": owner["metadata"]["resourceVersion"]}
        actions.append(Patch(key_of(owner), {"metadata": {**precondition, "finalizers": list(outcome.finalizers)}}))
    return Plan(tuple(actions), _own_status(outcome, owner), tuple(foreign))


def _at(obj: Json, field: Sequence[str]) -> Any:
    part: Any = obj
    for name in field:
        part = part.get(name) if isinstance(part, Mapping) else None
    return part


def _nested(field: Sequence[str], value: Any) -> Json:
    for name in reversed(field):
        value = {name: value}
    return value  # type: ignore[no-any-return]


def updates(key: ObjectKey, live: Json, child: Json) -> list[Action]:
    """Patches that make a live object hold what the wish says; none when it does."""
    policy = POLICIES.get(live["kind"], Policy())
    meta = live["metadata"]
    if policy.recreated and lacking(live.get("spec") or {}, child["spec"]):
        return [Delete(key, meta["uid"])]
    actions: list[Action] = []
    if body := _content_patch(live, child, policy):
        precondition = {"uid": meta["uid"]}
        body["metadata"] = {**body.get("metadata", {}), **precondition}
        actions.append(Patch(key, body))
    if "status" in child:
        status = difference(live.get("status") or {}, {**(live.get("status") or {}), **child["status"]})
        if status:
            precondition = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
            actions.append(Patch(key, {"metadata": precondition, "status": status}, "status"))
    return actions


def lacking(live: Any, wanted: Mapping[str, Any]) -> Json:
    """The patch for what `wanted` says and `live` doesn't hold; fields that `wanted` doesn't name are left alone."""
    patch: Json = {}
    for key, value in wanted.items():
        if not isinstance(live, Mapping) or key not in live:
            if value not in (None, [], {}):
                patch[key] = _manifest(value)
        elif value is None:
            patch[key] = None
        elif isinstance(value, Mapping) and isinstance(live[key], Mapping):
            if inner := lacking(live[key], value):
                patch[key] = inner
        elif not _holds(live[key], value):
            patch[key] = _manifest(value)
    return patch


def _holds(live: Any, wanted: Any) -> bool:
    """True when `live` says all that `wanted` says; the API server's defaults inside lists don't count against it."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and not lacking(live, wanted)
    if isinstance(wanted, list):
        same_length = isinstance(live, list) and len(live) == len(wanted)
        return same_length and all(_holds(a, b) for a, b in zip(live, wanted, strict=True))
    return bool(live == wanted)


def _content_patch(live: Json, child: Json, policy: Policy) -> Json:
    known_as = {_marker(child, policy.marker), adopted_hash(child)}  # a hash may stand for what is there by another
    is_new_revision = bool(policy.marker) and _marker(live, policy.marker) not in known_as
    patch: Json = {}
    for name in ("labels", "annotations"):
        wanted, found = child["metadata"].get(name) or {}, live["metadata"].get(name) or {}
        compare = difference if is_new_revision else lacking
        if changes := compare(found, wanted):
            patch.setdefault("metadata", {})[name] = changes
    for name, wanted in child.items():
        if name in ("apiVersion", "kind", "metadata", "status") or (name == "spec" and policy.fixed):
            continue
        found = live.get(name)
        if name == "spec":
            wanted = {k: v for k, v in wanted.items() if k not in policy.once}
            found = {k: v for k, v in (found or {}).items() if k not in policy.once}
            if policy.exact_spec or is_new_revision:
                if changes := difference(found, _manifest(wanted)):
                    patch[name] = changes
                continue
            if changes := _exact_changes(found, wanted, policy.exact):
                patch.setdefault(name, {}).update(changes)
            wanted = {k: v for k, v in wanted.items() if k not in policy.exact}
            if changes := lacking(found, wanted):
                patch.setdefault(name, {}).update(changes)
            continue
        patch |= lacking({name: found} if found is not None else {}, {name: wanted})
    return patch


def _exact_changes(found: Json, wanted: Mapping[str, Any], names: frozenset[str]) -> Json:
    changes = {k: difference(found.get(k) or {}, _manifest(wanted[k])) for k in names if k in wanted}
    return {k: change for k, change in changes.items() if change}


def _own_status(outcome: Outcome, owner: Json) -> Patch | None:
    if outcome.status is None:
        return None
    changes = difference(owner.get("status") or {}, outcome.status)
    if not changes:
        return None
    precondition = {"uid": owner["metadata"]["uid"]}
    if owner["kind"] == SCALING_GROUP.kind:  # the set's reconciler writes a condition there, too
        precondition["resourceVersion"] = owner["metadata"]["resourceVersion"]
    return Patch(key_of(owner), {"metadata": precondition, "status": changes}, "status")


def _may_be_deleted(live: Json, uid: str) -> bool:
    is_ours = controller_uid(live) == uid and _labels(live).get(MANAGED_BY) == MANAGED_BY_VALUE
    return is_ours and not is_terminating(live)


def _labels(obj: Json) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def _marker(obj: Json, name: str) -> str | None:
    meta = obj["metadata"]
    return (meta.get("labels") or {}).get(name) or (meta.get("annotations") or {}).get(name)


def _manifest(value: Any) -> Any:
    """The wish as it can be sent: without nulls; a whole object also without status."""
    if isinstance(value, Mapping):
        is_object = "apiVersion" in value and "metadata" in value
        return {k: _manifest(v) for k, v in value.items() if v is not None and not (is_object and k == "status")}
    if isinstance(value, (list, tuple)):
        return [_manifest(v) for v in value]
    return value
