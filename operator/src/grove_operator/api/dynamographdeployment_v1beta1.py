"""DynamoGraphDeployment (`nvidia.com/v1beta1`): an inference graph as a list of components."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from grove_operator.api.dynamocomponent import DynamoComponent
from grove_operator.api.dynamographdeployment import Placement, ProviderOverride, Restart, RestartStatus, ServiceStatus
from grove_operator.api.dynamoservice import ComponentGroup, EnvVar
from grove_operator.api.schema import ATOMIC, REQUIRED, Conditions, Int64, Model, Open, Root, Time, list_map
from grove_operator.api.topology import Domain

CHANGED_BACKEND = "backendFramework cannot be changed; create a new graph"


class TopologyOfGraph(Model):
    """Where the graph must fit."""

    cluster_topology_name: str | None = Field(None, description="ClusterTopologyBinding that defines the levels.")
    pack_domain: Domain | None = Field(None, description="Level inside which the whole graph must fit.")


class KvTransferPolicy(Model):
    """How far KV caches may travel."""

    cluster_topology_name: str | None = Field(None, description="ClusterTopologyBinding of the domain.")
    label_key: str | None = Field(None, description="Node label instead of a topology.")
    domain: str | None = Field(None, description="Level inside which transfers stay.")
    enforcement: Literal["required", "preferred"] | None = Field(None, description="required when absent.")
    preferred_weight: float | None = Field(
        None, ge=0, le=1, description="Weight of the preference.", json_schema_extra={"format": "double"}
    )


class GraphExperimental(Model):
    """Fields that may still change."""

    kv_transfer_policy: KvTransferPolicy | None = Field(None, description="Locality of KV cache transfers.")
    component_groups: list[ComponentGroup] | None = Field(
        None, max_length=16, description="Components that scale together.", json_schema_extra=list_map("name")
    )


class GraphSpec(Model):
    """The graph."""

    annotations: dict[str, str] | None = Field(None, description="Annotations for everything generated.")
    labels: dict[str, str] | None = Field(None, description="Labels for everything generated.")
    priority_class_name: str | None = Field(None, description="PriorityClass of the gangs.")
    components: list[DynamoComponent] | None = Field(
        None, max_length=25, description="Components.", json_schema_extra=list_map("name")
    )
    env: list[EnvVar] | None = Field(None, description="Environment of every component.", json_schema_extra=ATOMIC)
    backend_framework: Literal["sglang", "vllm", "trtllm"] | None = Field(
        None, description="Inference engine; told from the commands when absent."
    )
    restart: Restart | None = Field(None, description="Rolling restart.")
    topology_constraint: TopologyOfGraph | None = Field(None, description="Packing of the graph.")
    experimental: GraphExperimental | None = Field(None, description="Fields that may still change.")
    provider_override: ProviderOverride | None = Field(None, description="Patch of the generated PodCliqueSet.")


class RollingUpdateOfComponents(Model):
    """A managed rolling update (Deployments only)."""

    phase: str | None = Field(None, description="How far it is.")
    start_time: Time | None = Field(None, description="When it began.")
    end_time: Time | None = Field(None, description="When it was done.")
    updated_components: list[str] | None = Field(None, description="Components done.", json_schema_extra=ATOMIC)


class GraphStatus(Model):
    """What became of the graph."""

    observed_generation: Int64 | None = Field(None, description="Generation of the last complete sync.")
    state: Literal["initializing", "pending", "successful", "failed"] = Field(
        "initializing", description="Summary.", json_schema_extra=REQUIRED
    )
    conditions: Conditions | None = Field(None, description="Ready and TopologyLevelsAvailable.")
    components: dict[str, ServiceStatus] | None = Field(None, description="By component name.")
    restart: RestartStatus | None = Field(None, description="The running or last restart.")
    checkpoints: dict[str, Open] | None = Field(None, description="By component name.")
    rolling_update: RollingUpdateOfComponents | None = Field(None, description="Managed rolling update.")
    placement: Placement | None = Field(None, description="Quality of the placement.")


class DynamoGraphDeploymentV1beta1(Root):
    """An inference graph: frontends, workers and what they need, deployed as gangs."""

    spec: GraphSpec = Field(description="Wanted state.")
    status: GraphStatus | None = Field(None, description="Observed state.")
