"""A DynamoGraphDeployment's reconciliation: gather from the cache, ask the mapping, hand over an outcome."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from grove_operator.api.kinds import (
    DYNAMO_GRAPH_DEPLOYMENT,
    INFERENCE_POOL,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    SCALING_ADAPTER,
    SCALING_GROUP,
    Json,
    ObjectKey,
    key_of,
)
from grove_operator.core.objects import controller_uid, is_terminating, label
from grove_operator.core.outcome import Outcome, Scale
from grove_operator.dynamo import adapters, mapping, restart, status
from grove_operator.dynamo.around import Around
from grove_operator.dynamo.graph import Graph, MappingError
from grove_operator.dynamo.mpi import mpi_trouble
from grove_operator.dynamo.observed import GraphView
from grove_operator.dynamo.settings import DynamoSettings
from grove_operator.engine.cache import Cache

COMPONENT_LABEL = "nvidia.com/dynamo-component"
Existing = dict[ObjectKey, Json]


def reconcile(
    cache: Cache,
    settings: DynamoSettings,
    namespace: str,
    name: str,
    troubles: Iterable[str],
    now: datetime,
    around: Around = mapping.NOTHING_KNOWN,
    serves_pools: bool | None = None,
) -> tuple[Json, Outcome, Existing] | None:
    """The graph, what came out of it and what exists; None when it is gone or going.

    `serves_pools`: whether the API server knows InferencePools; None where nobody looks, and none are made.
    """
    dgd = cache.get(DYNAMO_GRAPH_DEPLOYMENT, namespace, name)
    if dgd is None or is_terminating(dgd):
        return None
    owned = list(cache.owned(dgd["metadata"]["uid"]))
    existing = {key_of(obj): obj for obj in owned}
    view = replace(_view(cache, settings, dgd, owned, tuple(troubles)), around=around)
    if view.pcs is not None:
        existing[key_of(view.pcs)] = view.pcs
    walk = restart.walk(view, lambda component: not status.not_ready(view, component))
    try:
        wished = [*mapping.children(dgd, settings, walk.marks, around), *adapters.adapters(view, now)]
        shared = mapping.shared_children(dgd, settings, around)
    except MappingError as error:
        failed = replace(view, troubles=(*view.troubles, str(error)))
        return dgd, Outcome(tuple(map(_stub, owned)), status.status(failed, None, now)), existing
    if not serves_pools:
        wished = [obj for obj in wished if obj["kind"] != INFERENCE_POOL.kind]
    view = replace(view, troubles=(*view.troubles, *_missing(view, serves_pools)))
    existing |= {key: live for obj in shared if (live := cache.find(key := key_of(obj)))}
    scales = [Scale(key_of(child), number) for child, number in _scaled(view)]
    existing |= {key_of(child): child for child, _ in _scaled(view)}
    follows = _following(view)
    if follows:
        existing[key_of(dgd)] = dgd
    said = status.status(view, walk.status, now)
    outcome = Outcome(tuple(wished), said, scales=(*scales, *follows), once=tuple(shared))
    return dgd, outcome, existing


def _missing(view: GraphView, serves_pools: bool | None) -> list[str]:
    """What others have to make before the graph can work."""
    found = [mpi_trouble(view.graph)]
    if view.graph.has_picker and serves_pools is False:
        found.append(
            f"{INFERENCE_POOL.plural}.{INFERENCE_POOL.group} are not served, so no gateway finds the endpoint picker; "
            "install the Gateway API Inference Extension"
        )
    return [text for text in found if text]


def _view(cache: Cache, settings: DynamoSettings, dgd: Json, owned: list[Json], troubles: tuple[str, ...]) -> GraphView:
    graph, uid = Graph(dgd, settings), dgd["metadata"]["uid"]
    pcs = cache.get(POD_CLIQUE_SET, graph.namespace, graph.set_name)
    found = {obj["metadata"]["name"]: obj for obj in owned if obj["kind"] == SCALING_ADAPTER.kind}
    if pcs is None or controller_uid(pcs) != uid:
        return GraphView(dgd, settings, pcs, adapters=found, troubles=troubles)
    below = list(cache.owned(pcs["metadata"]["uid"]))
    scaling = {o["metadata"]["name"]: o for o in below if o["kind"] in (POD_CLIQUE.kind, SCALING_GROUP.kind)}
    members: dict[str, list[Json]] = {}
    for obj in scaling.values():
        parts = [obj] if obj["kind"] == POD_CLIQUE.kind else cache.owned(obj["metadata"]["uid"])
        for part in parts:
            if part["kind"] == POD_CLIQUE.kind:
                members.setdefault(label(part, COMPONENT_LABEL), []).append(part)
    gangs = [obj for obj in below if obj["kind"] == POD_GANG.kind]
    return GraphView(dgd, settings, pcs, scaling, members, found, gangs, troubles)


def _scaled(view: GraphView) -> list[tuple[Json, int]]:
    """Live PodCliques and groups with the replicas that they should have."""
    numbers = adapters.wanted_replicas(view)
    found = [(view.child(component), numbers[component.name]) for component in view.graph.components]
    return [(child, number) for child, number in found if child is not None]


def _following(view: GraphView) -> list[Scale]:
    """The graph's own numbers, brought to what its adapters say."""
    target = key_of(view.dgd)
    return [
        Scale(target, adapters.wanted(view, component), ("spec", "services", component.name, "replicas"))
        for component in view.graph.components
        if component.has_adapter and adapters.wanted(view, component) != component.replicas
    ]


def _stub(obj: Json) -> Json:
    """Holds that the object exists, and nothing else about it."""
    meta = {"name": obj["metadata"]["name"], "namespace": obj["metadata"]["namespace"]}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": meta}
