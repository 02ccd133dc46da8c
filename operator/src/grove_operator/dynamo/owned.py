"""Objects that a graph owns, as manifests."""

from __future__ import annotations

from typing import Any

from grove_operator.api.constants import MANAGED_BY, MANAGED_BY_VALUE, PART_OF
from grove_operator.api.dynamo_conversion import ALPHA
from grove_operator.api.kinds import Json, Kind
from grove_operator.dynamo.graph import Graph
from grove_operator.dynamo.labels import GRAPH_LABEL


def ours(graph: Graph) -> dict[str, str]:
    """Labels by which the operator knows its own."""
    return {MANAGED_BY: MANAGED_BY_VALUE, PART_OF: graph.name, GRAPH_LABEL: graph.name}


def owned(graph: Graph, kind: Kind, name: str, labels: Json, annotations: Json | None = None, **content: Any) -> Json:
    """An object in the graph's namespace that goes when the graph goes."""
    metadata: Json = {"name": name, "namespace": graph.namespace, "labels": labels}
    if annotations:
        metadata["annotations"] = annotations
    if uid := graph.obj["metadata"].get("uid"):
        version = str(graph.obj.get("apiVersion") or ALPHA)
        owner = {"apiVersion": version, "kind": "DynamoGraphDeployment", "name": graph.name, "uid": uid}
        metadata["ownerReferences"] = [{**owner, "controller": True, "blockOwnerDeletion": True}]
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **content}
