"""The SSH keys by which TensorRT-LLM's leader reaches its workers over several nodes (dynamo reference 2.4, step 8).

They lie in a Secret of the graph's namespace. Where it has none, it gets a copy of the one in the operator's namespace;
later changes there are not copied, since running units would no longer understand each other.
"""

from __future__ import annotations

from grove_operator.api.constants import MANAGED_BY, MANAGED_BY_VALUE
from grove_operator.api.kinds import SECRET, Json
from grove_operator.dynamo.command import backend
from grove_operator.dynamo.graph import Graph


def needs_mpi_keys(graph: Graph) -> bool:
    return any(c.is_multinode and backend(graph, c) == "trtllm" for c in graph.components)


def mpi_keys(graph: Graph) -> list[Json]:
    """The copy, where it is needed and can be made."""
    source = graph.around.mpi_keys
    if source is None or graph.around.has_mpi_keys or not needs_mpi_keys(graph):
        return []
    name = graph.settings.mpi_secret
    metadata: Json = {"name": name, "namespace": graph.namespace, "labels": {MANAGED_BY: MANAGED_BY_VALUE}}
    body = {"type": source.get("type") or "Opaque", "data": source.get("data") or {}}
    return [{"apiVersion": SECRET.api_version, "kind": SECRET.kind, "metadata": metadata, **body}]


def mpi_trouble(graph: Graph) -> str:
    """What is missing, "" when nothing is."""
    if graph.around.has_mpi_keys or graph.around.mpi_keys is not None or not needs_mpi_keys(graph):
        return ""
    name = graph.settings.mpi_secret
    return (
        f"secret {graph.namespace}/{name} is missing, and the operator's namespace has none to copy; create it: "
        f"ssh-keygen -t ed25519 -N '' -f key && kubectl create secret generic {name} -n {graph.namespace} "
        "--from-file=private.key=key --from-file=private.key.pub=key.pub"
    )
