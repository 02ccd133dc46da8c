"""PodCliqueSet: a multi-role inference system as one resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from grove_components import manifests, resources
from grove_components.checks import faults_of, plain, require
from grove_components.manifests import Wait
from grove_components.topology import ClusterTopology
from grove_operator.api.defaults import default_podcliqueset
from grove_operator.api.kinds import POD_CLIQUE_SET, Json
from grove_operator.api.podcliqueset import PodCliqueSetSpec
from grove_operator.api.validation import validate_podcliqueset


def pod_clique_set_manifest(
    object_name: str, namespace: pulumi.Input[str], spec: PodCliqueSetSpec | Mapping[str, Any], wait: Wait = "available"
) -> Json:
    """The object as it is written: the caller's spec unchanged, plus what Pulumi waits for."""
    body = spec_json(spec)
    manifest: Json = {
        "apiVersion": POD_CLIQUE_SET.api_version,
        "kind": POD_CLIQUE_SET.kind,
        "metadata": {"name": object_name, "namespace": namespace},
        "spec": body,
    }
    replicas = body.get("replicas", 0)
    return manifests.waiting_for(manifest, *manifests.replicas_wait(replicas, wait)) if wait != "none" else manifest


def spec_json(spec: Any) -> Json:
    """A typed model or a mapping as JSON, Outputs left where they are."""
    if isinstance(spec, Mapping):
        return dict(spec)
    dumped: Json = spec.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    return dumped


def pod_clique_set_faults(manifest: Json, topologies: Mapping[str, Json] | None = None) -> list[str]:
    """What admission would refuse, defaults applied first as admission does. `topologies`: bindings by name."""

    def admission(obj: Json) -> list[Any]:
        return list(validate_podcliqueset(default_podcliqueset(obj, with_schema_defaults=True), topologies=topologies))

    def shape(obj: Json) -> list[Any]:
        return [] if isinstance(obj.get("spec"), dict) else ["spec: must be an object"]

    return faults_of(manifest, shape, admission)


class PodCliqueSet(pulumi.ComponentResource):
    """A PodCliqueSet whose faults show at preview and whose `up` ends when its replicas are available.

    `spec` is a typed `PodCliqueSetSpec` or the same as plain Kubernetes JSON; leaves of pod specs may be Outputs.
    `wait`: `available` (all replicas), `updated` (and on the new template), `none`.
    """

    object_name: str
    resource: resources.PodCliqueSet
    available_replicas: pulumi.Output[int | None]

    def __init__(
        self,
        name: str,
        *,
        namespace: pulumi.Input[str],
        spec: PodCliqueSetSpec | Mapping[str, Any],
        object_name: str | None = None,
        topology: ClusterTopology | None = None,
        wait: Wait = "available",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        self.object_name = object_name or name
        manifest = pod_clique_set_manifest(self.object_name, namespace, spec, wait)
        topologies = {topology.object_name: topology.manifest} if topology else None
        require(f"podcliqueset {self.object_name}", pod_clique_set_faults(manifest, topologies))
        gpus = manifests.gpus_requested(plain(manifest).value)
        super().__init__(
            "grove-components:index:PodCliqueSet", name, {"objectName": self.object_name, "namespace": namespace}, opts
        )
        self.resource = resources.PodCliqueSet(
            name,
            metadata=manifest["metadata"],
            spec=manifest["spec"],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[topology] if topology else None),
        )
        self.available_replicas = self.resource.available_replicas
        self.register_outputs(
            {
                "name": self.object_name,
                "namespace": namespace,
                "gpusRequested": gpus,
                "availableReplicas": self.available_replicas,
            }
        )
