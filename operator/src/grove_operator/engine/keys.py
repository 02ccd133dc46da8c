"""The keys of the work queue, and which of them a change concerns.

graph          a DynamoGraphDeployment
set            a PodCliqueSet: shared children and the status over all replicas
replica        one PodCliqueSet replica
group, clique  a PodCliqueScalingGroup, a PodClique
former         a PodGangSet, which is converted once
gang           a PodGang: objects of its scheduler's own
ratio          the proportions between parts of one PodCliqueSet replica
topology       a ClusterTopologyBinding
domain         a ComputeDomain with a finalizer of Grove's own operator
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

from grove_operator.api import conditions
from grove_operator.api.constants import (
    ANNOTATION_MAX_SURGE,
    ANNOTATION_REPLICA_RATIO,
    CONDITION_GANG_TERMINATION,
    CONDITION_MIN_AVAILABLE_BREACHED,
    CONDITION_PODGANG_INITIALIZED,
    CONDITION_SURGE,
    DGD_LABEL,
    LABEL_PCS_REPLICA_INDEX,
    LABEL_POD_CLIQUE,
    LABEL_POD_GANG,
    LABEL_SCALING_GROUP,
    PART_OF,
)
from grove_operator.api.kinds import (
    CLUSTER_TOPOLOGY_BINDING,
    COMPUTE_DOMAIN,
    DYNAMO_GRAPH_DEPLOYMENT,
    KAI_POD_GROUP,
    KAI_TOPOLOGY,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    POD_GANG_SET,
    RESOURCE_CLAIM,
    RESOURCE_CLAIM_TEMPLATE,
    SCALING_GROUP,
    Json,
)
from grove_operator.core import podstate
from grove_operator.core.objects import is_terminating, label
from grove_operator.core.ratio import SETTLE_S
from grove_operator.core.sharing import external_templates
from grove_operator.core.strategy import COHERENT
from grove_operator.core.surge import indices, surging_word
from grove_operator.core.template import Template
from grove_operator.core.topology import topology_name
from grove_operator.engine.cache import Cache

Level = Literal["graph", "set", "replica", "group", "clique", "former", "gang", "ratio", "topology", "domain"]


class Key(NamedTuple):
    level: Level
    namespace: str
    name: str
    replica: int = 0


GATHER_S = 0.2
"""Statuses that count over many objects are computed at most this often, and written after this delay."""
Asked = tuple[Key, float]
_TRANSLATED: Mapping[str, Level] = {DYNAMO_GRAPH_DEPLOYMENT.kind: "graph", POD_GANG_SET.kind: "former"}
"""Kinds that a PodCliqueSet is made from."""


def touched(cache: Cache, old: Json | None, new: Json | None) -> Iterator[Asked]:
    """(key, delay in seconds) of everything that must look again because `old` became `new`."""
    if old and new and old["metadata"].get("labels") != new["metadata"].get("labels"):
        yield from touched(cache, old, None)  # who missed it by its old labels must look, too
    obj = new or old
    if obj is None:
        return
    look = _LOOKS.get(obj["kind"])
    if look is not None:
        yield from look(cache, old, new, obj)
    elif new is None or _differs_beyond_status(old, new):
        yield _owner(obj), 0.0


def _pod(cache: Cache, old: Json | None, new: Json | None, obj: Json) -> Iterator[Asked]:
    namespace = obj["metadata"]["namespace"]
    yield Key("clique", namespace, label(obj, LABEL_POD_CLIQUE)), 0.0
    if old is None or new is None or podstate.is_active(old) != podstate.is_active(new):
        yield _replica(obj), 0.0
    if new is None or podstate.is_refused(new) != bool(old and podstate.is_refused(old)):
        yield from _surge(cache, obj)
    if new and podstate.is_scheduled(new) and not (old and podstate.is_scheduled(old)):
        for waiting in cache.based_on(namespace, label(obj, LABEL_POD_GANG)):
            yield Key("clique", namespace, waiting.name), 0.0


def _surge(cache: Cache, pod: Json) -> Iterator[Asked]:
    """An update with further replicas looks for pods that find no place, and for those that are out of the way."""
    pcs = cache.get(POD_CLIQUE_SET, pod["metadata"]["namespace"], label(pod, PART_OF))
    if pcs is not None and ANNOTATION_MAX_SURGE in (pcs["metadata"].get("annotations") or {}):
        yield Key("set", pcs["metadata"]["namespace"], pcs["metadata"]["name"]), GATHER_S


def _clique(cache: Cache, old: Json | None, new: Json | None, obj: Json) -> Iterator[Asked]:
    namespace, group = obj["metadata"]["namespace"], label(obj, LABEL_SCALING_GROUP)
    if _differs_beyond_status(old, new):
        yield Key("clique", namespace, obj["metadata"]["name"]), 0.0
        yield _replica(obj), 0.0
        if group:
            yield Key("group", namespace, group), 0.0
        else:
            yield from _ratio(cache, obj)
    elif group:
        yield Key("group", namespace, group), 0.0
    yield from _breach(old, new, obj)
    yield from _peers(cache, obj)
    yield from _summaries(obj)


def _group(cache: Cache, old: Json | None, new: Json | None, obj: Json) -> Iterator[Asked]:
    if _differs_beyond_status(old, new):
        yield Key("group", obj["metadata"]["namespace"], obj["metadata"]["name"]), 0.0
        yield _replica(obj), 0.0
        yield from _ratio(cache, obj)
    yield from _breach(old, new, obj)
    yield from _peers(cache, obj)
    yield from _summaries(obj)


def _breach(old: Json | None, new: Json | None, obj: Json) -> Iterator[Asked]:
    """The replica counts the time of a breach."""
    kinds = (CONDITION_MIN_AVAILABLE_BREACHED, CONDITION_GANG_TERMINATION)
    if any(conditions.is_true(old, kind) != conditions.is_true(new, kind) for kind in kinds):
        yield _replica(obj), 0.0


def _peers(cache: Cache, obj: Json) -> Iterator[Asked]:
    """In a coherent update the parts of a replica wait for each other."""
    pcs = cache.get(POD_CLIQUE_SET, obj["metadata"]["namespace"], label(obj, PART_OF))
    if pcs is None or (pcs["spec"].get("updateStrategy") or {}).get("type") != COHERENT:
        return
    for peer in list(cache.owned(pcs["metadata"]["uid"], label(obj, LABEL_PCS_REPLICA_INDEX))):
        yield from _whole_tree(cache, peer)


def _gang(cache: Cache, old: Json | None, new: Json | None, obj: Json) -> Iterator[Asked]:
    was = conditions.is_true(old, CONDITION_PODGANG_INITIALIZED)
    is_whole = conditions.is_true(new, CONDITION_PODGANG_INITIALIZED)
    differs = _differs_beyond_status(old, new)
    if differs or was != is_whole:
        yield _replica(obj), 0.0
    if differs:
        yield Key("gang", obj["metadata"]["namespace"], obj["metadata"]["name"]), 0.0
    if is_whole and (differs or not was):
        namespace = obj["metadata"]["namespace"]
        for group in obj["spec"]["podgroups"]:
            yield Key("clique", namespace, group["name"]), 0.0
        for waiting in cache.based_on(namespace, obj["metadata"]["name"]):
            yield Key("clique", namespace, waiting.name), 0.0


def _translated(cache: Cache, old: Json | None, new: Json | None, obj: Json) -> Iterator[Asked]:
    if _differs_beyond_status(old, new):
        yield Key(_TRANSLATED[obj["kind"]], obj["metadata"]["namespace"], obj["metadata"]["name"]), 0.0


def _set(cache: Cache, old: Json | None, new: Json | None, obj: Json) -> Iterator[Asked]:
    """A changed spec concerns all that the set owns, at any depth; so does in its status whose turn an update is."""
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    if not _differs_beyond_status(old, new) and _rollout(old) == _rollout(new):
        return
    yield Key("set", namespace, name), 0.0
    if (old is None or new is None) and cache.get(POD_GANG_SET, namespace, name):
        yield Key("former", namespace, name), 0.0
    if graph := label(obj, DGD_LABEL):
        yield Key("graph", namespace, graph), 0.0
    yield from _all_of(cache, obj)


def _all_of(cache: Cache, obj: Json) -> Iterator[Asked]:
    """What a set owns, at any depth."""
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    uid = obj["metadata"]["uid"]
    for i in sorted({*indices(Template.of(obj)), *cache.replicas_of(uid)}):
        yield Key("replica", namespace, name, i), 0.0
        if _has_ratio(obj):
            yield Key("ratio", namespace, name, i), SETTLE_S
    for owned in list(cache.owned(uid)):
        yield from _whole_tree(cache, owned)


def _rollout(pcs: Json | None) -> tuple[object, ...]:
    status = (pcs or {}).get("status") or {}
    progress = status.get("updateProgress") or {}
    return (
        status.get("currentGenerationHash"),
        progress.get("updateEndedAt"),
        progress.get("currentlyUpdating"),
        surging_word(conditions.find(pcs, CONDITION_SURGE)),
    )


def _whole_tree(cache: Cache, obj: Json) -> Iterator[Asked]:
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    if obj["kind"] == POD_CLIQUE.kind:
        yield Key("clique", namespace, name), 0.0
    elif obj["kind"] == SCALING_GROUP.kind:
        yield Key("group", namespace, name), 0.0
        for member in list(cache.owned(obj["metadata"]["uid"])):
            yield from _whole_tree(cache, member)


def _ratio(cache: Cache, part: Json) -> Iterator[Asked]:
    pcs = cache.get(POD_CLIQUE_SET, part["metadata"]["namespace"], label(part, PART_OF))
    if pcs is not None and _has_ratio(pcs):
        yield _replica(part)._replace(level="ratio"), SETTLE_S


def _has_ratio(pcs: Json) -> bool:
    return ANNOTATION_REPLICA_RATIO in (pcs["metadata"].get("annotations") or {})


def _claim_template(cache: Cache, old: Json | None, new: Json | None, obj: Json) -> Iterator[Asked]:
    """Sets in any namespace may wait for it."""
    place = (obj["metadata"]["namespace"], obj["metadata"]["name"])
    for pcs in cache.all(POD_CLIQUE_SET):
        template = Template.of(pcs)
        if place in external_templates(template):
            yield Key("set", template.namespace, template.name), 0.0
            yield from _all_of(cache, pcs)


def _backend_topology(cache: Cache, old: Json | None, new: Json | None, obj: Json) -> Iterator[Asked]:
    """The binding of its name, and those that compare themselves with it."""
    name = obj["metadata"]["name"]
    for binding in cache.all(CLUSTER_TOPOLOGY_BINDING):
        entries = binding["spec"].get("schedulerTopologyBindings") or ()
        if binding["metadata"]["name"] == name or any(entry["topologyReference"] == name for entry in entries):
            yield Key("topology", "", binding["metadata"]["name"]), 0.0


def _topology(cache: Cache, old: Json | None, new: Json | None, obj: Json) -> Iterator[Asked]:
    if not _differs_beyond_status(old, new):
        return
    yield Key("topology", "", obj["metadata"]["name"]), 0.0
    for pcs in cache.all(POD_CLIQUE_SET):
        template = Template.of(pcs)
        if topology_name(template) == obj["metadata"]["name"]:
            yield Key("set", template.namespace, template.name), 0.0
            for i in indices(template):
                yield Key("replica", template.namespace, template.name, i), 0.0


def _compute_domain(cache: Cache, old: Json | None, new: Json | None, obj: Json) -> Iterator[Asked]:
    if new and new["metadata"].get("finalizers"):
        yield Key("domain", obj["metadata"]["namespace"], obj["metadata"]["name"]), 0.0
    if new is None or _differs_beyond_status(old, new):
        yield _owner(obj), 0.0


def _owner(obj: Json) -> Key:
    """Of a Service, autoscaler, account, role, binding, secret or claim, or of what a scheduler holds of a PodGang."""
    namespace = obj["metadata"]["namespace"]
    if obj["kind"] == KAI_POD_GROUP.kind:
        return Key("gang", namespace, obj["metadata"]["name"])
    if obj["kind"] == RESOURCE_CLAIM.kind:
        if clique := label(obj, LABEL_POD_CLIQUE):
            return Key("clique", namespace, clique)
        if group := label(obj, LABEL_SCALING_GROUP):
            return Key("group", namespace, group)
    if graph := label(obj, DGD_LABEL):
        return Key("graph", namespace, graph)
    if label(obj, LABEL_PCS_REPLICA_INDEX):
        return _replica(obj)
    return Key("set", namespace, label(obj, PART_OF))


def _replica(obj: Json) -> Key:
    index = label(obj, LABEL_PCS_REPLICA_INDEX)
    return Key("replica", obj["metadata"]["namespace"], label(obj, PART_OF), int(index) if index.isdigit() else 0)


def _summaries(obj: Json) -> Iterator[Asked]:
    namespace = obj["metadata"]["namespace"]
    yield Key("set", namespace, label(obj, PART_OF)), GATHER_S
    if graph := label(obj, DGD_LABEL):
        yield Key("graph", namespace, graph), GATHER_S


def _differs_beyond_status(old: Json | None, new: Json | None) -> bool:
    if old is None or new is None:
        return True
    if is_terminating(old) != is_terminating(new):
        return True
    if any(old["metadata"].get(name) != new["metadata"].get(name) for name in ("uid", "labels", "annotations")):
        return True
    return any(old.get(name) != new.get(name) for name in {*old, *new} - {"metadata", "status"})


_LOOKS: Mapping[str, Callable[[Cache, Json | None, Json | None, Json], Iterator[Asked]]] = {
    POD.kind: _pod,
    POD_CLIQUE.kind: _clique,
    SCALING_GROUP.kind: _group,
    POD_GANG.kind: _gang,
    POD_CLIQUE_SET.kind: _set,
    **dict.fromkeys(_TRANSLATED, _translated),
    CLUSTER_TOPOLOGY_BINDING.kind: _topology,
    KAI_TOPOLOGY.kind: _backend_topology,
    COMPUTE_DOMAIN.kind: _compute_domain,
    RESOURCE_CLAIM_TEMPLATE.kind: _claim_template,
}
"""What a change of each kind concerns; of any other, its owner."""
