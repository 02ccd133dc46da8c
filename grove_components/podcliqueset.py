"""PodCliqueSet: a multi-role inference system as one resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from grove_components import manifests, resources
from grove_components.checks import faults_of, plain, require
from grove_components.immutability import OnImmutableChange, fingerprint
from grove_components.manifests import Wait
from grove_components.topology import ClusterTopology, after_topology, known_topologies
from grove_operator.api.defaults import default_podcliqueset
from grove_operator.api.kinds import POD_CLIQUE_SET, Json
from grove_operator.api.podcliqueset import PodCliqueSetSpec
from grove_operator.api.validation import validate_podcliqueset


def pod_clique_set_manifest(
    object_name: str,
    namespace: pulumi.Input[str],
    spec: PodCliqueSetSpec | Mapping[str, Any],
    wait: Wait = "available",
    labels: Mapping[str, str] | None = None,
) -> Json:
    """The object as it is written: the caller's spec unchanged, plus what Pulumi waits for."""
    body = spec_json(spec)
    manifest: Json = {
        "apiVersion": POD_CLIQUE_SET.api_version,
        "kind": POD_CLIQUE_SET.kind,
        "metadata": {"name": object_name, "namespace": namespace} | ({"labels": dict(labels)} if labels else {}),
        "spec": body,
    }
    return manifests.waiting_for(manifest, *manifests.replicas_wait(body.get("replicas", 0), wait))


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


def change_options(
    manifest: Json, timeout: str | None, on_immutable_change: OnImmutableChange, *, autoscaled: bool
) -> pulumi.ResourceOptions:
    """How changes of a PodCliqueSet are carried out; `manifest` is plain. A set of one name can't be made twice, so a
    replacement deletes first."""
    replaces = on_immutable_change == "replace"
    return pulumi.ResourceOptions(
        replacement_trigger=fingerprint(manifest) if replaces else None,
        delete_before_replace=replaces or None,
        ignore_changes=["spec.replicas"] if autoscaled else None,
        custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout) if timeout else None,
    )


class PodCliqueSet(pulumi.ComponentResource):
    """A PodCliqueSet whose faults show at preview and whose `up` ends when its replicas are available.

    `spec` is a typed `PodCliqueSetSpec` or the same as plain Kubernetes JSON; leaves of pod specs may be Outputs.
    `wait`: `available` (all replicas), `updated` (and on the new template), `none`; `timeout` like `30m`, for
    models that load slowly (10 minutes otherwise).
    `on_immutable_change`: `fail` leaves it to admission to refuse, `replace` deletes the object and makes it anew.
    `autoscaled`: an autoscaler owns `spec.replicas`; the program's number is only the first one, and `up` doesn't
    wait, since no fixed number is the right one. Autoscalers of cliques and scaling groups need no such flag: they own
    the PodCliques and scaling groups that the operator makes.
    """

    def __init__(
        self,
        name: str,
        *,
        namespace: pulumi.Input[str],
        spec: PodCliqueSetSpec | Mapping[str, Any],
        object_name: str | None = None,
        labels: Mapping[str, str] | None = None,
        topology: ClusterTopology | str | None = None,
        wait: Wait = "available",
        timeout: str | None = None,
        on_immutable_change: OnImmutableChange = "fail",
        autoscaled: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        self.object_name = object_name or name
        manifest = pod_clique_set_manifest(self.object_name, namespace, spec, "none" if autoscaled else wait, labels)
        require(f"podcliqueset {self.object_name}", pod_clique_set_faults(manifest, known_topologies(topology)))
        gpus = manifests.gpus_requested(plain(manifest).value)
        super().__init__(
            "grove-components:index:PodCliqueSet", name, {"objectName": self.object_name, "namespace": namespace}, opts
        )
        self.resource = resources.PodCliqueSet(
            name,
            metadata=manifest["metadata"],
            spec=manifest["spec"],
            opts=pulumi.ResourceOptions.merge(
                pulumi.ResourceOptions(parent=self, depends_on=after_topology(topology)),
                change_options(plain(manifest).value, timeout, on_immutable_change, autoscaled=autoscaled),
            ),
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
