"""A DynamoGraphDeployment (v1alpha1) read into frozen views, with the defaults of the newest release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from grove_operator.api import names
from grove_operator.api.kinds import Json

ETCD = "etcd"
WORKER_TYPES = ("worker", "prefill", "decode")


class MappingError(ValueError):
    """The graph can't be turned into Grove objects; the text names the service, the fact and the remedy."""


@dataclass(frozen=True)
class GraphService:
    """One entry of `spec.services`. `lower` is its name in object names, `name` in labels."""

    name: str
    spec: Json

    @property
    def lower(self) -> str:
        return self.name.lower()

    @property
    def component_type(self) -> str:
        return self.spec.get("componentType") or ""

    @property
    def is_worker(self) -> bool:
        return self.component_type in WORKER_TYPES

    @property
    def replicas(self) -> int:
        replicas = self.spec.get("replicas")
        return 1 if replicas is None else int(replicas)

    @property
    def nodes(self) -> int:
        """Pods of one instance: 1, or `multinode.nodeCount` (default 2)."""
        multinode = self.spec.get("multinode")
        return 1 if multinode is None else int(multinode.get("nodeCount") or 2)

    @property
    def is_multinode(self) -> bool:
        return self.nodes > 1

    @property
    def main_container(self) -> Json:
        return (self.spec.get("extraPodSpec") or {}).get("mainContainer") or {}


@dataclass(frozen=True)
class Graph:
    """A whole deployment. `services` are in sorted order of their names, so that nothing rolls by chance."""

    obj: Json

    @property
    def name(self) -> str:
        return str(self.obj["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.obj["metadata"].get("namespace") or "default")

    @property
    def spec(self) -> Json:
        return self.obj["spec"]  # type: ignore[no-any-return]

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.obj["metadata"].get("annotations") or {}

    @cached_property
    def services(self) -> tuple[GraphService, ...]:
        return tuple(GraphService(name, spec or {}) for name, spec in sorted((self.spec.get("services") or {}).items()))

    @property
    def discovery(self) -> str:
        return self.annotations.get("nvidia.com/dynamo-discovery-backend", "kubernetes")

    @property
    def has_metrics(self) -> bool:
        return self.annotations.get("nvidia.com/enable-metrics", "true").lower() != "false"

    def dynamo_namespace(self, service: GraphService) -> str:
        """What the runtime calls its namespace; the old `dynamoNamespace` field is ignored, as in newer releases."""
        if service.spec.get("globalDynamoNamespace"):
            return "dynamo"
        return f"{self.namespace}-{self.name}".replace(".", "-")

    @property
    def discovery_account(self) -> str:
        return f"{self.name}-k8s-service-discovery"

    def child_name(self, service: GraphService) -> str:
        """The PodClique of a service of single-node instances, or the scaling group of multi-node ones."""
        return names.pod_clique(self.name, 0, service.lower)


def component_labels(graph: Graph, service: GraphService) -> dict[str, str]:
    """Labels of a service's cliques and pods; these win over the user's."""
    own = {
        "nvidia.com/selector": f"{graph.name}-{service.lower}",
        "nvidia.com/dynamo-graph-deployment-name": graph.name,
        "nvidia.com/dynamo-component": service.name,
        "nvidia.com/dynamo-namespace": graph.dynamo_namespace(service),
    }
    if service.component_type:
        own["nvidia.com/dynamo-component-type"] = service.component_type
    if service.spec.get("subComponentType"):
        own["nvidia.com/dynamo-sub-component-type"] = service.spec["subComponentType"]
    if graph.has_metrics:
        own["nvidia.com/metrics-enabled"] = "true"
    if graph.discovery != ETCD:
        own |= {"nvidia.com/dynamo-discovery-backend": "kubernetes", "nvidia.com/dynamo-discovery-enabled": "true"}
    extra = (service.spec.get("extraPodMetadata") or {}).get("labels") or {}
    return {**(graph.spec.get("labels") or {}), **(service.spec.get("labels") or {}), **extra, **own}
