"""The pure part of the components: what is written, as plain data. No Pulumi here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from grove_operator.api.kinds import Json

WAIT_FOR = "pulumi.com/waitFor"
Wait = Literal["available", "updated", "none"]

INSTALL_STAGES: tuple[frozenset[str], ...] = (
    frozenset({"Namespace"}),
    frozenset({"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}),
    frozenset({"ConfigMap", "Secret", "Service"}),
    frozenset({"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}),
    frozenset({"Deployment"}),
)
"""Kinds of the operator's objects in the order in which they must exist; each stage depends on the one before."""


def annotated(manifest: Mapping[str, Any], annotations: Mapping[str, str]) -> Json:
    """A copy with more annotations; given ones win over existing ones."""
    metadata = manifest["metadata"]
    return {
        **manifest,
        "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **annotations}},
    }


def waiting_for(manifest: Mapping[str, Any], *conditions: str) -> Json:
    """A copy that Pulumi's provider waits for: all of `conditions`, each `condition=...` or `jsonpath=...`."""
    if not conditions:
        return dict(manifest)
    value = conditions[0] if len(conditions) == 1 else json.dumps(list(conditions))
    return annotated(manifest, {WAIT_FOR: value})


def without_descriptions(crd: Json) -> Json:
    """A CRD without its descriptions: a quarter of the state it takes, three times over, and nothing lost to a user.

    A *property called* `description` stays: names below `properties` are data, not schema keywords.
    """

    def strip(node: Any, names: bool = False) -> Any:
        if isinstance(node, dict):
            return {
                key: strip(value, names=key == "properties" and not names)
                for key, value in node.items()
                if names or key != "description" or not isinstance(value, str)
            }
        if isinstance(node, list):
            return [strip(item) for item in node]
        return node

    return {**crd, "spec": strip(crd["spec"])}


def install_stages(manifests: Iterable[Json]) -> list[list[Json]]:
    """The operator's objects in stages, empty stages left out; Deployments are waited for until Available.

    Raises ValueError for a kind that has no stage, so that a new object is never installed out of order by accident.
    """
    stages: list[list[Json]] = [[] for _ in INSTALL_STAGES]
    for manifest in manifests:
        kind = manifest["kind"]
        stage = next((i for i, names in enumerate(INSTALL_STAGES) if kind in names), None)
        if stage is None:
            raise ValueError(f"{kind} {manifest['metadata']['name']}: no install stage has this kind; add it to one")
        stages[stage].append(waiting_for(manifest, "condition=Available") if kind == "Deployment" else manifest)
    return [stage for stage in stages if stage]


def platform_stages(manifests: Iterable[Json]) -> list[list[Json]]:
    """The namespace first, then everything in it."""
    listed = list(manifests)
    stages = [[m for m in listed if m["kind"] == "Namespace"], [m for m in listed if m["kind"] != "Namespace"]]
    return [stage for stage in stages if stage]


def object_name(manifest: Json) -> str:
    """Part of a child's Pulumi name: kind and object name, safe in a URN."""
    return f"{manifest['kind'].lower()}-{manifest['metadata']['name'].replace(':', '-')}"


def namespace(name: Any, labels: Mapping[str, str] | None = None) -> Json:
    """A Namespace; labels only where there are any."""
    metadata = {"name": name} | ({"labels": dict(labels)} if labels else {})
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def resource_quota(of_namespace: str, hard: Mapping[str, str]) -> Json:
    """What all pods of a namespace may request together, such as `requests.nvidia.com/gpu: 16`."""
    metadata = {"name": "tenant", "namespace": of_namespace}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": dict(hard)}}


def replicas_wait(replicas: int, wait: Wait) -> tuple[str, ...]:
    """Readiness of a PodCliqueSet, which has no Ready condition: so its counts (JSONPath can't compare fields)."""
    available = f"jsonpath={{.status.availableReplicas}}={replicas}"
    updated = f"jsonpath={{.status.updatedReplicas}}={replicas}"
    return {"available": (available,), "updated": (available, updated), "none": ()}[wait]


def topology_constraint(topology: str, required: str | None, preferred: str | None) -> Json | None:
    """Grove's `topologyConstraint`, or None when nothing is asked for."""
    pack = {key: domain for key, domain in (("required", required), ("preferred", preferred)) if domain}
    return {"topologyName": topology, "pack": pack} if pack else None


def graph_placement(topology: str, required: str | None, preferred: str | None) -> Json:
    """What placement adds to a DynamoGraphDeployment's spec.

    Dynamo's own `topologyConstraint` can only require a domain; a preference is a patch of the PodCliqueSet's
    topology constraint through `providerOverride`, the one thing that Dynamo allows there.
    """
    spec: Json = {}
    if required:
        spec["topologyConstraint"] = {"topologyProfile": topology, "packDomain": required}
    if preferred:
        constraint = topology_constraint(topology, None, preferred)
        spec["providerOverride"] = {
            "apiVersion": "grove.io/v1alpha1",
            "target": "PodCliqueSet",
            "patch": {"spec": {"template": {"topologyConstraint": constraint}}},
        }
    return spec


def levels(pairs: Sequence[tuple[str, str]]) -> list[Json]:
    """Topology levels, broadest first, from (domain, node label key)."""
    return [{"domain": domain, "key": key} for domain, key in pairs]


def gpus_requested(pod_clique_set: Json) -> int:
    """GPUs (`nvidia.com/gpu` limits) of all pods of all replicas of a PodCliqueSet."""
    template = pod_clique_set["spec"]["template"]
    times = dict.fromkeys((c["name"] for c in template["cliques"]), 1)
    for group in template.get("podCliqueScalingGroups", []):
        for clique in group["cliqueNames"]:
            times[clique] = group.get("replicas", 1)
    per_replica: int = sum(
        times[clique["name"]] * clique["spec"].get("replicas", 1) * pod_gpus(clique["spec"].get("podSpec", {}))
        for clique in template["cliques"]
    )
    return int(pod_clique_set["spec"].get("replicas", 1)) * per_replica


def pod_gpus(pod_spec: Json) -> int:
    """GPU limits of a pod's main containers; a limit that isn't known yet counts as 0."""
    limits = [
        ((container.get("resources") or {}).get("limits") or {}).get("nvidia.com/gpu", 0)
        for container in pod_spec.get("containers", [])
    ]
    return sum(int(limit) for limit in limits if str(limit).isdigit())
