"""Every kind this project reads or writes, as one table.

A `Kind` knows how to spell its REST paths, so that no other module builds URLs or `apiVersion` strings by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
"""A Kubernetes object, or a part of one, as decoded JSON."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One served resource: `group` is "" for the core group; `plural` is the REST resource name."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """REST path of a collection (no `name`) or an object; `namespace=None` of a namespaced kind means all."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """Identity of an object in the cluster (without its UID); `namespace` is "" for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind.lower()} {where}{self.name}"


GROVE_GROUP = "grove.io"
SCHEDULER_GROUP = "scheduler.grove.io"
DYNAMO_GROUP = "nvidia.com"

POD_CLIQUE_SET = Kind(GROVE_GROUP, "v1alpha1", "PodCliqueSet", "podcliquesets")
POD_CLIQUE = Kind(GROVE_GROUP, "v1alpha1", "PodClique", "podcliques")
SCALING_GROUP = Kind(GROVE_GROUP, "v1alpha1", "PodCliqueScalingGroup", "podcliquescalinggroups")
POD_GANG_SET = Kind(GROVE_GROUP, "v1alpha1", "PodGangSet", "podgangsets")
CLUSTER_TOPOLOGY_BINDING = Kind(
    GROVE_GROUP, "v1alpha1", "ClusterTopologyBinding", "clustertopologybindings", namespaced=False
)
POD_GANG = Kind(SCHEDULER_GROUP, "v1alpha1", "PodGang", "podgangs")
DYNAMO_GRAPH_DEPLOYMENT = Kind(DYNAMO_GROUP, "v1alpha1", "DynamoGraphDeployment", "dynamographdeployments")
SCALING_ADAPTER = Kind(
    DYNAMO_GROUP, "v1alpha1", "DynamoGraphDeploymentScalingAdapter", "dynamographdeploymentscalingadapters"
)
DYNAMO_WORKER_METADATA = Kind(DYNAMO_GROUP, "v1alpha1", "DynamoWorkerMetadata", "dynamoworkermetadatas")

POD = Kind("", "v1", "Pod", "pods")
NODE = Kind("", "v1", "Node", "nodes", namespaced=False)
NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
SERVICE = Kind("", "v1", "Service", "services")
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
SECRET = Kind("", "v1", "Secret", "secrets")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
EVENT = Kind("", "v1", "Event", "events")
ROLE = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLE = Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDING = Kind(
    "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False
)
INGRESS = Kind("networking.k8s.io", "v1", "Ingress", "ingresses")
PERSISTENT_VOLUME_CLAIM = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
PERSISTENT_VOLUME = Kind("", "v1", "PersistentVolume", "persistentvolumes", namespaced=False)
NODE_RESOURCE_TOPOLOGY = Kind(
    "topology.node.k8s.io", "v1alpha2", "NodeResourceTopology", "noderesourcetopologies", namespaced=False
)
HPA = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets")
CONTROLLER_REVISION = Kind("apps", "v1", "ControllerRevision", "controllerrevisions")
PRIORITY_CLASS = Kind("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", namespaced=False)
VOLCANO_QUEUE = Kind("scheduling.volcano.sh", "v1beta1", "Queue", "queues", namespaced=False)
RESOURCE_CLAIM = Kind("resource.k8s.io", "v1", "ResourceClaim", "resourceclaims")
RESOURCE_CLAIM_TEMPLATE = Kind("resource.k8s.io", "v1", "ResourceClaimTemplate", "resourceclaimtemplates")
COMPUTE_DOMAIN = Kind("resource.nvidia.com", "v1beta1", "ComputeDomain", "computedomains")
KAI_POD_GROUP = Kind("scheduling.run.ai", "v2alpha2", "PodGroup", "podgroups")
KAI_TOPOLOGY = Kind("kai.scheduler", "v1alpha1", "Topology", "topologies", namespaced=False)
INFERENCE_POOL = Kind("inference.networking.k8s.io", "v1", "InferencePool", "inferencepools")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
CRD = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
MUTATING_WEBHOOKS = Kind(
    "admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", False
)
VALIDATING_WEBHOOKS = Kind(
    "admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", False
)

ALL_KINDS: tuple[Kind, ...] = tuple(v for v in list(globals().values()) if isinstance(v, Kind))
BY_KIND: Mapping[str, Kind] = {k.kind: k for k in ALL_KINDS}


def key_of(obj: Mapping[str, Any]) -> ObjectKey:
    """Identity of a manifest or live object."""
    meta = obj["metadata"]
    return ObjectKey(obj["kind"], meta.get("namespace", ""), meta["name"])
