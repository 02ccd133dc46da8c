"""PodGangSet: the name PodCliqueSet had in early releases. Served, and converted by the operator."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict, Field

from grove_operator.api.core_schemas import SpreadConstraint
from grove_operator.api.podclique import AutoScalingConfig
from grove_operator.api.podcliqueset import HeadlessServiceConfig, PodCliqueTemplate, StartupType
from grove_operator.api.schema import ATOMIC, Conditions, Duration, Int32, Model, Root, list_map


class NetworkPackGroupConfig(Model):
    """Cliques that early releases packed together on the network."""

    clique_names: list[str] = Field(description="The cliques.", json_schema_extra=ATOMIC)


class SchedulingPolicyConfig(Model):
    """Packing wishes of early releases."""

    network_pack_group_configs: list[NetworkPackGroupConfig] | None = Field(
        None, description="Groups to pack.", json_schema_extra=ATOMIC
    )


class PodGangSetScalingGroup(Model):
    """Cliques that scale together."""

    name: str = Field(description="Name of the group.")
    clique_names: list[str] = Field(description="Its cliques.", json_schema_extra=ATOMIC)
    scale_config: AutoScalingConfig | None = Field(None, description="Scales the group by metrics.")


class PodGangSetTemplate(Model):
    """One replica of the system."""

    cliques: list[PodCliqueTemplate] = Field(description="Its roles.", json_schema_extra=list_map("name"))
    clique_startup_type: StartupType | None = Field(None, description="Order in which roles start.")
    priority_class_name: str | None = Field(None, description="PriorityClass of the gangs.")
    headless_service_config: HeadlessServiceConfig | None = Field(None, description="Pod addresses.")
    scheduling_policy_config: SchedulingPolicyConfig | None = Field(None, description="Packing wishes.")
    termination_delay: Duration | None = Field(None, description="How long a breached gang may stay.")
    pod_clique_scaling_groups: list[PodGangSetScalingGroup] | None = Field(
        None, description="Roles that scale together.", json_schema_extra=list_map("name")
    )


class PodGangSetSpec(Model):
    """Copies of a system."""

    replicas: Int32 = Field(0, description="Copies of the whole system.")
    template: PodGangSetTemplate = Field(description="The system.")
    replica_spread_constraints: list[SpreadConstraint] | None = Field(
        None,
        description="Spreading of copies, as core/v1 topology spread constraints.",
        json_schema_extra=list_map("topologyKey", "whenUnsatisfiable"),
    )


class PodGangSetStatus(Model):
    """Left as it is found, but for the conditions of its conversion."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="allow", json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}
    )

    conditions: Conditions | None = Field(
        None, description="Converted, and Lossless with what the PodCliqueSet cannot carry."
    )


class PodGangSet(Root):
    """Former name of PodCliqueSet. It is converted once into a PodCliqueSet of its name, which lives on its own."""

    spec: PodGangSetSpec = Field(description="Wanted state.")
    status: PodGangSetStatus | None = Field(None, description="Observed state.")
