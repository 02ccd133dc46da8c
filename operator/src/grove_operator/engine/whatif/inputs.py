"""Manifests as they would be once a cluster has them: defaulted, validated, with the fields a server or kubelet sets.

    -f FILE...            what you add or change: later files replace earlier ones and the dump's
    --cluster SNAPSHOT    what is there

A missing Ready condition, pod capacity or hostname label of a Node is filled in as its kubelet would. Objects without
a creation time count as created after all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from grove_operator.api import kinds
from grove_operator.api.defaults import default_dynamographdeployment, default_podcliqueset
from grove_operator.api.kinds import Json, Kind, ObjectKey, key_of
from grove_operator.api.validation import (
    Fault,
    validate_clustertopologybinding,
    validate_dynamographdeployment,
    validate_podcliqueset,
    validate_schema,
)
from grove_operator.core.objects import controller_uid
from grove_operator.dynamo import mapping
from grove_operator.dynamo.graph import MappingError
from grove_operator.engine.merge import copy_json
from grove_operator.engine.whatif.documents import InputError

NOT_YET = "9000-01-01T00:00:00Z"
"""Creation time of what does not exist yet: after everything that does."""
KUBELET_PODS = "110"
HOSTNAME = "kubernetes.io/hostname"
ROOTS = (kinds.DYNAMO_GRAPH_DEPLOYMENT, kinds.POD_CLIQUE_SET)
READ: tuple[Kind, ...] = (
    kinds.NODE,
    kinds.PRIORITY_CLASS,
    kinds.NODE_RESOURCE_TOPOLOGY,
    kinds.CLUSTER_TOPOLOGY_BINDING,
    kinds.PERSISTENT_VOLUME,
    kinds.PERSISTENT_VOLUME_CLAIM,
    *ROOTS,
    kinds.SCALING_GROUP,
    kinds.POD_CLIQUE,
    kinds.POD_GANG,
    kinds.POD,
)
"""Every kind that matters here, owners before what they own; others are skipped."""
_BY_GROUP = {(kind.group, kind.kind): kind for kind in READ}


@dataclass(frozen=True)
class Inputs:
    """`roots` are to be expanded; `background` are objects of the dump that the files did not change."""

    objects: Mapping[ObjectKey, Json]
    roots: tuple[ObjectKey, ...]
    background: frozenset[ObjectKey]

    def all(self, kind: Kind) -> list[Json]:
        """Sorted by namespace and name."""
        return [self.objects[key] for key in sorted(self.objects) if key.kind == kind.kind]


def gather(files: Iterable[Json], dump: Iterable[Json] = ()) -> Inputs:
    """All objects as a server would hold them; the arguments stay as they are. Raises InputError."""
    objects: dict[ObjectKey, Json] = {}
    fresh: set[ObjectKey] = set()
    background: set[ObjectKey] = set()
    for source, is_dump in ((dump, True), (files, False)):
        for manifest in source:
            kind = _kind_of(manifest)
            if kind is None:
                continue
            obj = _as_stored(manifest, kind, objects)
            key = key_of(obj)
            objects[key] = obj
            (background.add if is_dump else background.discard)(key)
            (fresh.discard if manifest["metadata"].get("uid") else fresh.add)(key)
    topologies = {k.name: o for k, o in objects.items() if k.kind == kinds.CLUSTER_TOPOLOGY_BINDING.kind}
    for key in fresh:
        objects[key] = _admitted(objects[key], topologies)
    owners = {controller_uid(obj) for obj in objects.values()}
    order = {kind.kind: i for i, kind in enumerate(ROOTS)}
    roots = [k for k, o in objects.items() if k.kind in order and (k in fresh or o["metadata"]["uid"] not in owners)]
    return Inputs(objects, tuple(sorted(roots, key=lambda k: (order[k.kind], k))), frozenset(background))


def _kind_of(manifest: Json) -> Kind | None:
    group, _, version = str(manifest["apiVersion"]).rpartition("/")
    kind = _BY_GROUP.get((group, manifest["kind"]))
    if kind is not None and kind.version != version:
        name = f"{manifest['kind'].lower()} {manifest['metadata']['name']}"
        raise InputError(
            f"{name}: apiVersion {manifest['apiVersion']} is not read here; convert it to {kind.api_version}"
        )
    return kind


def _as_stored(manifest: Json, kind: Kind, known: Mapping[ObjectKey, Json]) -> Json:
    """A copy with what every stored object has; one that replaces another keeps its identity and its status."""
    meta = {k: v for k, v in manifest["metadata"].items() if v is not None}
    if kind.namespaced:
        meta.setdefault("namespace", "default")
    else:
        meta.pop("namespace", None)
    obj: Json = copy_json({**manifest, "metadata": meta})
    key = key_of(obj)
    before = known.get(key, {"metadata": {}})
    defaults = {"uid": f"uid of {key}", "resourceVersion": "0", "creationTimestamp": NOT_YET}
    obj["metadata"] = {**defaults, **_identity(before["metadata"]), **obj["metadata"]}
    if "status" not in obj and "status" in before:
        obj["status"] = before["status"]
    if kind is kinds.NODE:
        _as_registered(obj)
    return obj


def _identity(meta: Mapping[str, Any]) -> Json:
    names = ("uid", "resourceVersion", "creationTimestamp", "ownerReferences")
    return {name: meta[name] for name in names if name in meta}


def _as_registered(node: Json) -> None:
    """What a kubelet says of its node, where the manifest is silent."""
    meta = node["metadata"]
    meta["labels"] = {HOSTNAME: meta["name"], **(meta.get("labels") or {})}
    status = node["status"] = dict(node.get("status") or {})
    conditions = list(status.get("conditions") or ())
    if not any(c.get("type") == "Ready" for c in conditions):
        status["conditions"] = [*conditions, {"type": "Ready", "status": "True"}]
    allocatable = status.get("allocatable") or status.get("capacity") or {}
    status["allocatable"] = {"pods": KUBELET_PODS, **allocatable}


def _admitted(obj: Json, topologies: Mapping[str, Json]) -> Json:
    """The object as admission would store it; raises InputError with every fault that it would be refused for."""
    faults: list[Fault] = []
    if obj["kind"] == kinds.POD_CLIQUE_SET.kind:
        obj = default_podcliqueset(obj, with_schema_defaults=True)
        faults = validate_podcliqueset(obj, topologies=topologies)
    elif obj["kind"] == kinds.DYNAMO_GRAPH_DEPLOYMENT.kind:
        obj = default_dynamographdeployment(obj, with_schema_defaults=True)
        faults = validate_dynamographdeployment(obj, topologies=topologies)
        if not faults:
            _check_mapping(obj)
    elif obj["kind"] == kinds.CLUSTER_TOPOLOGY_BINDING.kind:
        faults = validate_clustertopologybinding(obj)
    elif obj["kind"] in (kinds.POD_GANG.kind, kinds.POD_CLIQUE.kind, kinds.SCALING_GROUP.kind):
        faults = [fault for fault in validate_schema(obj) or () if not fault.field.startswith("status")]
    if faults:
        raise InputError("\n".join(f"{key_of(obj)}: {fault}" for fault in faults))
    return obj


def _check_mapping(graph: Json) -> None:
    try:
        mapping.children(graph)
    except MappingError as error:
        raise InputError(f"{key_of(graph)}: {error}") from None
