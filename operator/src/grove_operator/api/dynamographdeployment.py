"""DynamoGraphDeployment (`nvidia.com/v1alpha1`): an inference graph as a map of services."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from grove_operator.api.dynamoservice import DynamoService, EnvVar, Experimental
from grove_operator.api.schema import (
    ATOMIC,
    REQUIRED,
    Conditions,
    Int32,
    Int64,
    Model,
    Open,
    Quantity,
    Root,
    Time,
    cel,
    rules,
)
from grove_operator.api.topology import Domain


class Pvc(Model):
    """A volume claim of the graph."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra=rules(
            cel(
                "!has(self.create) || !self.create || (has(self.name) && has(self.storageClass) "
                "&& has(self.size) && has(self.volumeAccessMode))",
                "a claim with create: true needs name, storageClass, size and volumeAccessMode",
            )
        )
    )

    create: bool | None = Field(None, description="Create it, or expect it to exist.")
    name: str | None = Field(None, description="Name of the claim.")
    storage_class: str | None = Field(None, description="Storage class.")
    size: Quantity | None = Field(None, description="Size.")
    volume_access_mode: str | None = Field(None, description="Access mode, as in core/v1.")


class RestartStrategy(Model):
    """Order of a restart."""

    type: Literal["Sequential", "Parallel"] = Field("Sequential", description="One after the other, or all at once.")
    order: list[str] | None = Field(None, description="Services in order.", json_schema_extra=ATOMIC)


class Restart(Model):
    """Asks for a rolling restart."""

    id: str = Field(min_length=1, description="Any new value starts a restart.")
    strategy: RestartStrategy | None = Field(None, description="Order.")


class GraphTopologyConstraint(Model):
    """Where the graph must fit."""

    topology_profile: str | None = Field(None, description="ClusterTopologyBinding that defines the levels.")
    pack_domain: Domain | None = Field(None, description="Level inside which the whole graph must fit.")


class ProviderOverride(Model):
    """A patch of the generated PodCliqueSet."""

    api_version: str = Field(description="grove.io/v1alpha1.")
    target: str = Field(description="PodCliqueSet.")
    patch: Open = Field(description="Merged into the generated object; only its topologyConstraint may be changed.")


Service = Annotated[DynamoService, Field(description="One component.")]


class DynamoGraphDeploymentSpec(Model):
    """The graph."""

    annotations: dict[str, str] | None = Field(None, description="Annotations for everything generated.")
    labels: dict[str, str] | None = Field(None, description="Labels for everything generated.")
    priority_class_name: str | None = Field(None, description="PriorityClass of the gangs.")
    pvcs: list[Pvc] | None = Field(None, max_length=100, description="Volume claims.", json_schema_extra=ATOMIC)
    services: dict[str, Service] | None = Field(
        None, max_length=25, description="Components by name.", json_schema_extra={"maxProperties": 25}
    )
    envs: list[EnvVar] | None = Field(None, description="Environment of every service.", json_schema_extra=ATOMIC)
    backend_framework: Literal["sglang", "vllm", "trtllm"] | None = Field(
        None,
        description="Inference engine; told from the commands when absent.",
        json_schema_extra=rules(cel("self == oldSelf", "backendFramework cannot be changed; create a new graph")),
    )
    restart: Restart | None = Field(None, description="Rolling restart.")
    topology_constraint: GraphTopologyConstraint | None = Field(None, description="Packing of the graph.")
    experimental: Experimental | None = Field(None, description="Fields that may still change.")
    provider_override: ProviderOverride | None = Field(None, description="Patch of the generated PodCliqueSet.")


class ServiceStatus(Model):
    """What became of one service."""

    component_kind: Literal["PodClique", "PodCliqueScalingGroup", "Deployment", "LeaderWorkerSet"] = Field(
        description="Kind of the objects that run it."
    )
    component_name: str | None = Field(None, description="Deprecated: the first of componentNames.")
    component_names: list[str] | None = Field(None, description="Those objects.", json_schema_extra=ATOMIC)
    runtime_namespace: str | None = Field(None, description="Dynamo namespace it registers in.")
    gpus_per_engine: Int32 | None = Field(None, description="GPUs of one engine.")
    gpus_per_replica: Int32 | None = Field(None, description="GPUs of one replica.")
    served_model_name: str | None = Field(None, description="Model that it serves, where its command tells.")
    runtime_component_name: str | None = Field(None, description="Dynamo component that it registers as.")
    replicas: Int32 = Field(description="Replicas that exist.")
    updated_replicas: Int32 = Field(0, description="Replicas at the current template.", json_schema_extra=REQUIRED)
    ready_replicas: Int32 | None = Field(None, description="Ready replicas; not for scaling groups.")
    available_replicas: Int32 | None = Field(None, description="Available replicas; for scaling groups.")
    scheduled_replicas: Int32 | None = Field(None, description="Replicas that have their nodes.")


class RestartStatus(Model):
    """How far a restart is."""

    observed_id: str | None = Field(None, alias="observedID", description="The restart in question.")
    phase: Literal["Pending", "Restarting", "Completed", "Failed", "Superseded"] | None = Field(
        None, description="How far it is."
    )
    in_progress: list[str] | None = Field(None, description="Services being restarted.", json_schema_extra=ATOMIC)


class RollingUpdateStatus(Model):
    """A managed rolling update (Deployments only)."""

    phase: str | None = Field(None, description="How far it is.")
    start_time: Time | None = Field(None, description="When it began.")
    end_time: Time | None = Field(None, description="When it was done.")
    updated_services: list[str] | None = Field(None, description="Services done.", json_schema_extra=ATOMIC)


class Placement(Model):
    """How good the placement of the graph is."""

    score: float | None = Field(
        None, ge=0, le=1, description="1 is the best there can be.", json_schema_extra={"format": "double"}
    )
    state: Literal["Reported", "Partial", "Unsupported", "Unknown"] | None = Field(
        None, description="Whether the score is known."
    )


class DynamoGraphDeploymentStatus(Model):
    """What became of the graph."""

    observed_generation: Int64 | None = Field(None, description="Generation of the last complete sync.")
    state: Literal["initializing", "pending", "successful", "failed"] = Field(
        "initializing", description="Summary.", json_schema_extra=REQUIRED
    )
    conditions: Conditions | None = Field(None, description="Ready and TopologyLevelsAvailable.")
    services: dict[str, ServiceStatus] | None = Field(None, description="By service name.")
    restart: RestartStatus | None = Field(None, description="The running or last restart.")
    checkpoints: dict[str, Open] | None = Field(None, description="By service name.")
    rolling_update: RollingUpdateStatus | None = Field(None, description="Managed rolling update.")
    placement: Placement | None = Field(None, description="Quality of the placement.")


class DynamoGraphDeployment(Root):
    """An inference graph: frontends, workers and what they need, deployed as gangs."""

    spec: DynamoGraphDeploymentSpec = Field(description="Wanted state.")
    status: DynamoGraphDeploymentStatus | None = Field(None, description="Observed state.")
