"""DynamoGraphDeployment -> PodCliqueSet and what stands around it (dynamo reference 2.2 to 2.12). Pure."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from grove_operator.api.constants import STARTUP_ANY_ORDER, STARTUP_EXPLICIT
from grove_operator.api.kinds import POD_CLIQUE_SET, Json
from grove_operator.api.rules_backend import VOLCANO_QUEUE
from grove_operator.dynamo.access import discovery_access, shared_access
from grove_operator.dynamo.around import Around
from grove_operator.dynamo.cliques import cliques, graph_topology, group
from grove_operator.dynamo.graph import Graph
from grove_operator.dynamo.labels import GRAPH_LABEL
from grove_operator.dynamo.mpi import mpi_keys
from grove_operator.dynamo.owned import owned
from grove_operator.dynamo.schedulers import volcano_queue
from grove_operator.dynamo.services import (
    claims,
    inference_pools,
    ingresses,
    model_services,
    picker_configs,
    services,
)
from grove_operator.dynamo.settings import DynamoSettings

APPLIED_HASH = "nvidia.com/last-applied-hash"
UPDATE_STRATEGY = "nvidia.com/grove-update-strategy"
NO_RESTARTS: Mapping[str, str] = {}
NOTHING_KNOWN = Around()


def children(
    dgd: Json,
    settings: DynamoSettings | None = None,
    restarts: Mapping[str, str] = NO_RESTARTS,
    around: Around = NOTHING_KNOWN,
) -> list[Json]:
    """Everything the graph owns directly, in the order of need. MappingError when it can't be mapped.

    `restarts`: by component, the id of the restart that it was asked to make. `around`: what others made for it.
    """
    graph = Graph(dgd, settings or DynamoSettings(), around)
    return [
        *discovery_access(graph),
        *claims(graph),
        *picker_configs(graph),
        _set(graph, restarts),
        *services(graph),
        *model_services(graph),
        *ingresses(graph),
        *inference_pools(graph),
    ]


def shared_children(dgd: Json, settings: DynamoSettings | None = None, around: Around = NOTHING_KNOWN) -> list[Json]:
    """What the graph needs and no graph owns: to be created where it is missing, and left alone otherwise."""
    graph = Graph(dgd, settings or DynamoSettings(), around)
    return [*shared_access(graph), *mpi_keys(graph)]


def pod_clique_set(
    dgd: Json, settings: DynamoSettings | None = None, restarts: Mapping[str, str] = NO_RESTARTS
) -> Json:
    """The PodCliqueSet of the graph: always one replica. Its template replicas apply at creation only."""
    return _set(Graph(dgd, settings or DynamoSettings()), restarts)


def child_replicas(dgd: Json, wanted: Mapping[str, int] | None = None) -> dict[str, tuple[bool, int]]:
    """Name -> (is a scaling group, replicas) of the Grove object that scales each component; the graph rules them.

    `wanted`: replicas by component where an adapter has another opinion.
    """
    graph = Graph(dgd)
    return {graph.child_name(c): (c.is_group, (wanted or {}).get(c.name, c.replicas)) for c in graph.components}


def _set(graph: Graph, restarts: Mapping[str, str]) -> Json:
    made = [clique for c in graph.components for clique in cliques(graph, c, restarts.get(c.name, ""))]
    has_order = any(clique["spec"].get("startsAfter") for clique in made)
    template: Json = {
        "cliqueStartupType": STARTUP_EXPLICIT if has_order else STARTUP_ANY_ORDER,
        "headlessServiceConfig": {"publishNotReadyAddresses": True},
        "terminationDelay": graph.settings.termination_delay,
        "cliques": made,
    }
    if graph.spec.get("priorityClassName"):
        template["priorityClassName"] = graph.spec["priorityClassName"]
    if constraint := graph_topology(graph):
        template["topologyConstraint"] = constraint
    if groups := [group(graph, component) for component in graph.components if component.is_group]:
        template["podCliqueScalingGroups"] = groups
    spec: Json = {"replicas": 1, "template": template}
    if strategy := graph.annotations.get(UPDATE_STRATEGY):
        spec["updateStrategy"] = {"type": strategy}
    annotations = dict(graph.spec.get("annotations") or {})
    if queue := volcano_queue(graph):
        annotations[VOLCANO_QUEUE] = queue
    labels = {**(graph.spec.get("labels") or {}), GRAPH_LABEL: graph.name}
    annotations[APPLIED_HASH] = _digest([spec, labels, annotations])
    return owned(graph, POD_CLIQUE_SET, graph.set_name, labels, annotations, spec=spec)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return base64.b32encode(hashlib.sha256(text.encode()).digest())[:16].decode().lower()
