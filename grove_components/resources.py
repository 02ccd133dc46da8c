"""Thin Pulumi resources for Kubernetes objects, one per manifest.

They carry the stock type tokens of Pulumi's Kubernetes provider (`kubernetes:grove.io/v1alpha1:PodCliqueSet`), so that
state written with `pulumi_kubernetes.apiextensions.CustomResource` and state written here are interchangeable without
aliases. Unlike the stock class they have a `status` output.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, ClassVar

import pulumi

from grove_operator.api import kinds

SECRET_FIELDS = ["data", "stringData"]


@cache
def provider_version() -> str:
    """The installed `pulumi-kubernetes` version: which provider plugin the engine asks for, as the stock classes do."""
    return version("pulumi-kubernetes")


def type_token(api_version: str, kind: str) -> str:
    """Stock token: `v1`, `Secret` -> `kubernetes:core/v1:Secret`; `apps/v1` stays as it is."""
    group_version = api_version if "/" in api_version else f"core/{api_version}"
    return f"kubernetes:{group_version}:{kind}"


class KubernetesObject(pulumi.CustomResource):
    """Any manifest, as it is. `metadata`, `spec` and `status` are outputs (absent parts resolve to None)."""

    metadata: pulumi.Output[Any]
    spec: pulumi.Output[Any]
    status: pulumi.Output[Any]

    def __init__(
        self,
        resource_name: str,
        manifest: Mapping[str, Any],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        own = pulumi.ResourceOptions(version=provider_version())
        if manifest["kind"] == "Secret":
            own.additional_secret_outputs = SECRET_FIELDS
        props = {"spec": None, **manifest, "status": None}
        super().__init__(
            type_token(manifest["apiVersion"], manifest["kind"]),
            resource_name,
            props,
            pulumi.ResourceOptions.merge(own, opts),
        )

    @classmethod
    def existing(
        cls, resource_name: str, kind: kinds.Kind, identity: str, opts: pulumi.ResourceOptions
    ) -> KubernetesObject:
        """An object that somebody else made, read and never changed; `identity` is `namespace/name` or `name`.

        Reading one that doesn't exist fails the preview.
        """
        wanted = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": None}
        return KubernetesObject(
            resource_name, wanted, pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=identity))
        )

    def status_field(self, field: str) -> pulumi.Output[Any]:
        """One top-level status field, None until the operator has written it."""
        return self.status.apply(lambda status: (status or {}).get(field))


class GroveResource(KubernetesObject):
    """A custom resource of ours: kind fixed by the class, `spec` in exact Kubernetes camelCase."""

    kind: ClassVar[kinds.Kind]

    def __init__(
        self,
        resource_name: str,
        *,
        metadata: Mapping[str, Any],
        spec: Mapping[str, Any],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        manifest = {"apiVersion": self.kind.api_version, "kind": self.kind.kind, "metadata": metadata, "spec": spec}
        super().__init__(resource_name, manifest, opts)


class ClusterTopologyBinding(GroveResource):
    """`grove.io/v1alpha1` ClusterTopologyBinding."""

    kind = kinds.CLUSTER_TOPOLOGY_BINDING


class PodCliqueSet(GroveResource):
    """`grove.io/v1alpha1` PodCliqueSet."""

    kind = kinds.POD_CLIQUE_SET

    @property
    def available_replicas(self) -> pulumi.Output[int | None]:
        return self.status_field("availableReplicas")


class DynamoGraphDeployment(GroveResource):
    """`nvidia.com/v1alpha1` DynamoGraphDeployment."""

    kind = kinds.DYNAMO_GRAPH_DEPLOYMENT

    @property
    def state(self) -> pulumi.Output[str | None]:
        """initializing, pending, successful or failed."""
        return self.status_field("state")


def whole_numbers(value: Any) -> Any:
    """JSON from another language, where every number is a float, with whole ones as integers; Outputs stay."""
    if isinstance(value, Mapping):
        return {key: whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
