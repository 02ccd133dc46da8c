# Pulumi infers the schema from the annotations here: no `from __future__ import annotations`, no unions but with None,
# no nested type behind an Input. Parts shaped by Kubernetes are dictionaries in exact Kubernetes spelling.
"""The components as every Pulumi language sees them: a thin façade over `grove_components`.

Arguments are dictionaries at run time, whatever their annotation says, and every number arrives as a float. Names of
the classes and of their children equal those of the Python package: a program may move from one to the other.
"""

from typing import Any, TypedDict

import pulumi

import grove_components as native
from grove_components.resources import whole_numbers
from grove_operator.api.install import DEFAULT_IMAGE, InstallOptions


class GroveCrdsArgs(TypedDict, total=False):
    delete_crds: bool
    """Delete the CRDs with the stack, and so every Grove and Dynamo object of the cluster."""


class GroveCrds(native.GroveCrds):
    """Grove's and Dynamo's custom resource definitions, protected and retained unless deleteCrds is set."""

    names: list[str]

    def __init__(self, name: str, args: GroveCrdsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, delete_crds=bool(args.get("delete_crds", False)), opts=opts)


class GroveOperatorArgs(TypedDict, total=False):
    namespace: str
    """Namespace of operator and scheduler; grove-system when absent."""
    image: str
    """Image of both, best named by digest."""
    operator_replicas: int
    scheduler_replicas: int
    webhook_port: int
    service_external_name: str
    """Host behind the webhook Service, for API servers that reach the operator on their own host."""
    force: bool
    """Let the operator be deleted while PodCliqueSets exist."""
    config: dict[str, Any]
    """Merged over the generated OperatorConfiguration."""


class GroveOperator(native.GroveOperator):
    """Operator and gang scheduler with their RBAC, configuration and webhooks; done when both are Available."""

    namespace: str

    def __init__(self, name: str, args: GroveOperatorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        options = InstallOptions(
            namespace=args.get("namespace") or "grove-system",
            image=args.get("image") or DEFAULT_IMAGE,
            operator_replicas=int(args.get("operator_replicas") or 1),
            scheduler_replicas=int(args.get("scheduler_replicas") or 1),
            webhook_port=int(args.get("webhook_port") or 9443),
            service_external_name=args.get("service_external_name"),
            force=bool(args.get("force", False)),
            config=whole_numbers(args.get("config") or {}),
        )
        super().__init__(name, options=options, opts=opts)


class ClusterTopologyArgs(TypedDict, total=False):
    preset: str
    """generic, eks, gke, oke, topograph, topograph-block, topograph-kubernetes, topograph-tiers or nvlink."""
    nvlink: bool
    """Add the NVLink domain above the host of a preset."""
    levels: list[dict[str, Any]]
    """Instead of a preset: {domain, key} broadest first."""
    object_name: str
    """Name of the ClusterTopologyBinding; default when absent."""


class ClusterTopology(native.ClusterTopology):
    """A ClusterTopologyBinding: which node labels make up the network."""

    object_name: str

    def __init__(self, name: str, args: ClusterTopologyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        preset, levels = args.get("preset"), args.get("levels")
        if (preset is None) == (levels is None):
            raise native.InvalidInputError(name, ["needs exactly one of preset and levels"])
        try:
            pairs = (
                native.preset_levels(preset, nvlink=bool(args.get("nvlink")))
                if preset is not None
                else [(level["domain"], level["key"]) for level in levels or ()]
            )
        except (ValueError, KeyError) as error:
            raise native.InvalidInputError(name, [f"levels: {error}"]) from None
        super().__init__(name, levels=pairs, object_name=args.get("object_name") or "default", opts=opts)


class PodCliqueSetArgs(TypedDict, total=False):
    namespace: str
    spec: dict[str, Any]
    """Grove's PodCliqueSet spec; leaves of pod specs may be Outputs."""
    object_name: str
    """metadata.name; the resource's name when absent."""
    labels: dict[str, str]
    wait: str
    """available, updated or none."""
    timeout: str
    on_immutable_change: str
    """fail or replace."""
    autoscaled: bool
    """An autoscaler owns spec.replicas."""


class PodCliqueSet(native.PodCliqueSet):
    """A PodCliqueSet whose faults show at preview and whose up ends when its replicas are available."""

    object_name: str
    available_replicas: pulumi.Output[int | None]

    def __init__(self, name: str, args: PodCliqueSetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        wait = chosen(name, args, "wait", ("available", "updated", "none"))
        on_immutable_change = chosen(name, args, "on_immutable_change", ("fail", "replace"))
        super().__init__(
            name,
            namespace=args.get("namespace") or "default",
            spec=whole_numbers(args.get("spec") or {}),
            object_name=args.get("object_name"),
            labels=args.get("labels"),
            wait=wait,  # type: ignore[arg-type]
            timeout=args.get("timeout"),
            on_immutable_change=on_immutable_change,  # type: ignore[arg-type]
            autoscaled=bool(args.get("autoscaled", False)),
            opts=opts,
        )


class DynamoGraphDeploymentArgs(TypedDict, total=False):
    namespace: str
    spec: dict[str, Any]
    """Dynamo's v1alpha1 spec; leaves may be Outputs."""
    object_name: str
    """metadata.name; the resource's name when absent."""
    topology: str
    """ClusterTopologyBinding whose levels required and preferred name."""
    required: str
    preferred: str


class DynamoGraphDeployment(native.DynamoGraphDeployment):
    """A graph deployment whose up ends when its gangs run."""

    object_name: str
    state: pulumi.Output[str | None]

    def __init__(self, name: str, args: DynamoGraphDeploymentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            name,
            namespace=args.get("namespace") or "default",
            spec=whole_numbers(args.get("spec") or {}),
            object_name=args.get("object_name"),
            topology=args.get("topology"),
            placement=native.Placement(required=args.get("required"), preferred=args.get("preferred")),
            opts=opts,
        )


def chosen(name: str, args: Any, key: str, values: tuple[str, ...]) -> str:
    """An enumerated argument, the first of `values` when absent. Raises InvalidInputError naming the choices."""
    value = args.get(key) or values[0]
    if value not in values:
        raise native.InvalidInputError(name, [f"{key}: {value!r} is unknown; use one of {', '.join(values)}"])
    return str(value)


COMPONENTS = [GroveCrds, GroveOperator, ClusterTopology, PodCliqueSet, DynamoGraphDeployment]
