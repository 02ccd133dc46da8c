"""DynamoGraphDeployment: NVIDIA Dynamo's graph of frontend and workers, run as Grove gangs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from grove_components import manifests, resources
from grove_components.checks import faults_of, plain, require
from grove_components.podcliqueset import pod_clique_set_faults, spec_json
from grove_components.topology import (
    ClusterTopology,
    after_topology,
    known_topologies,
    level_fault,
    topology_name,
)
from grove_operator.api.defaults import default_dynamographdeployment
from grove_operator.api.dynamographdeployment import DynamoGraphDeploymentSpec
from grove_operator.api.kinds import DYNAMO_GRAPH_DEPLOYMENT, Json
from grove_operator.api.validation import validate_dynamographdeployment
from grove_operator.dynamo.mapping import pod_clique_set


@dataclass(frozen=True)
class Placement:
    """Where the whole graph shall sit: inside one domain of a level, as a must (`required`) or a wish (`preferred`)."""

    required: str | None = None
    preferred: str | None = None

    def faults(self, topology: str, levels: Sequence[tuple[str, str]]) -> list[str]:
        """Levels that the topology doesn't have."""
        asked = {"required": self.required, "preferred": self.preferred}
        found = {what: level_fault(topology, levels, domain) for what, domain in asked.items()}
        return [f"placement.{what}: {fault}" for what, fault in found.items() if fault]


def graph_manifest(
    object_name: str,
    namespace: pulumi.Input[str],
    spec: DynamoGraphDeploymentSpec | Mapping[str, Any],
    topology: str | None = None,
    placement: Placement | None = None,
    wait: bool = True,
    annotations: Mapping[str, str] | None = None,
) -> Json:
    """The object as it is written: the caller's spec, its placement, and what Pulumi waits for."""
    body = spec_json(spec)
    if topology and placement:
        body = {**body, **manifests.graph_placement(topology, placement.required, placement.preferred)}
    manifest: Json = {
        "apiVersion": DYNAMO_GRAPH_DEPLOYMENT.api_version,
        "kind": DYNAMO_GRAPH_DEPLOYMENT.kind,
        "metadata": {"name": object_name, "namespace": namespace},
        "spec": body,
    }
    if annotations:
        manifest = manifests.annotated(manifest, annotations)
    return manifests.waiting_for(manifest, "condition=Ready") if wait else manifest


def graph_faults(manifest: Json, topologies: Mapping[str, Json] | None = None) -> list[str]:
    """What admission would refuse of the graph, and then of the PodCliqueSet that it becomes."""

    def shape(obj: Json) -> list[Any]:
        return [] if isinstance(obj.get("spec"), dict) else ["spec: must be an object"]

    def admission(obj: Json) -> list[Any]:
        return list(validate_dynamographdeployment(default_dynamographdeployment(obj)))

    def as_pod_clique_set(obj: Json) -> list[str]:
        return pod_clique_set_faults(mapped(obj), topologies)

    return faults_of(manifest, shape, admission, as_pod_clique_set)


def mapped(manifest: Json) -> Json:
    """The PodCliqueSet that the operator will make of the graph; the UID it will refer to isn't known yet."""
    graph: Json = default_dynamographdeployment(plain(manifest).value)
    return pod_clique_set({**graph, "metadata": {"uid": "", **graph["metadata"]}})


class DynamoGraphDeployment(pulumi.ComponentResource):
    """A graph deployment whose faults show at preview and whose `up` ends with its gangs Running (condition Ready).

    `spec` is a typed `DynamoGraphDeploymentSpec` or the same as plain Kubernetes JSON; leaves may be Outputs.
    `placement` packs the whole graph into one domain of `topology`.
    """

    def __init__(
        self,
        name: str,
        *,
        namespace: pulumi.Input[str],
        spec: DynamoGraphDeploymentSpec | Mapping[str, Any],
        object_name: str | None = None,
        annotations: Mapping[str, str] | None = None,
        topology: ClusterTopology | str | None = None,
        placement: Placement | None = None,
        wait: bool = True,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        self.object_name = object_name or name
        manifest = graph_manifest(
            self.object_name, namespace, spec, topology_name(topology), placement, wait, annotations
        )
        faults = placement_faults(topology, placement)
        checked = graph_manifest(self.object_name, namespace, spec) if faults else manifest
        faults += graph_faults(checked, known_topologies(topology))
        require(f"dynamographdeployment {self.object_name}", faults)
        gpus = manifests.gpus_requested(mapped(manifest))
        super().__init__(
            "grove-components:index:DynamoGraphDeployment",
            name,
            {"objectName": self.object_name, "namespace": namespace},
            opts,
        )
        self.resource = resources.DynamoGraphDeployment(
            name,
            metadata=manifest["metadata"],
            spec=manifest["spec"],
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=after_topology(topology), ignore_changes=scaled_elsewhere(manifest) or None
            ),
        )
        self.state = self.resource.state
        self.register_outputs(
            {"name": self.object_name, "namespace": namespace, "gpusRequested": gpus, "state": self.state}
        )


def scaled_elsewhere(manifest: Json) -> list[str]:
    """Property paths of the replicas that belong to a scaling adapter: the program's number is only the first one."""
    services = manifest["spec"].get("services") or {}
    return [
        f'spec.services["{name}"].replicas'
        for name, service in services.items()
        if isinstance(service, Mapping) and (service.get("scalingAdapter") or {}).get("enabled")
    ]


def placement_faults(topology: ClusterTopology | str | None, placement: Placement | None) -> list[str]:
    if placement is None or placement == Placement() or isinstance(topology, str):
        return []
    if topology is None:
        return ["placement: needs topology, the ClusterTopology whose levels it names"]
    return placement.faults(topology.object_name, topology.levels)
