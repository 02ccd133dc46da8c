"""Topology: ClusterTopologyBinding, which names the levels of a cluster, and the constraints that refer to them."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from grove_operator.api.schema import ATOMIC, Conditions, Int64, Model, Root, cel, list_map, rules

Domain = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z][a-z0-9-]*$")]
NodeLabelKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$",
    ),
]


class TopologyPack(Model):
    """How closely to pack: a bound that must hold, a bound to try for, or both."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra=rules(
            cel(
                "has(self.required) || has(self.preferred)",
                "pack needs required, preferred or both",
                reason="FieldValueRequired",
            )
        )
    )

    required: Domain | None = Field(None, description="All pods land inside one domain of this level, or stay pending.")
    preferred: Domain | None = Field(None, description="One domain of this level if it can be had.")


class TopologyConstraint(Model):
    """Where each replica of the part that carries the constraint has to fit."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra=rules(
            cel(
                "has(self.pack) || has(self.packDomain)",
                "a topology constraint needs pack",
                reason="FieldValueRequired",
                field_path=".pack",
            ),
            cel(
                "!has(self.packDomain) || !has(self.pack) || !has(self.pack.required)",
                "packDomain and pack.required say the same thing; keep pack.required",
                field_path=".pack.required",
            ),
        )
    )

    topology_name: str | None = Field(
        None,
        description="ClusterTopologyBinding that defines the levels; inherited from the enclosing part when absent.",
    )
    pack: TopologyPack | None = Field(None, description="The bounds, by level name.")
    pack_domain: Domain | None = Field(None, description="Deprecated spelling of pack.required.")

    @property
    def required_domain(self) -> str | None:
        """Effective required level: `pack.required`, else the deprecated `packDomain`."""
        return (self.pack.required if self.pack else None) or self.pack_domain

    @property
    def preferred_domain(self) -> str | None:
        return self.pack.preferred if self.pack else None


class TopologyLevel(Model):
    """One level of the topology."""

    domain: Domain = Field(description="Name of the level that constraints use, such as zone, block, rack or host.")
    key: NodeLabelKey = Field(description="Node label whose values name the domains of this level.")


class SchedulerTopologyBinding(Model):
    """An existing topology object of a scheduler that stands for this binding."""

    scheduler_name: str = Field(description="Scheduler backend.")
    topology_reference: str = Field(description="Name of that scheduler's own topology object.")


class ClusterTopologyBindingSpec(Model):
    """The levels of one topology."""

    levels: list[TopologyLevel] = Field(
        description="Levels from the broadest to the narrowest.", min_length=1, json_schema_extra=ATOMIC
    )
    scheduler_topology_bindings: list[SchedulerTopologyBinding] | None = Field(
        None, description="Topology objects that are kept outside of this operator.", json_schema_extra=ATOMIC
    )


class SchedulerTopologyStatus(Model):
    """How a scheduler's own topology object relates to this binding."""

    scheduler_name: str = Field(description="Scheduler backend.")
    topology_reference: str = Field(description="Name of that scheduler's own topology object.")
    in_sync: bool = Field(description="Whether both have the same levels.")
    scheduler_backend_topology_observed_generation: Int64 | None = Field(
        None, description="Generation of the scheduler's object when it was compared."
    )
    message: str | None = Field(None, description="Why it is not in sync.")


class ClusterTopologyBindingStatus(Model):
    """What the schedulers made of the binding."""

    observed_generation: Int64 | None = Field(None, description="Generation that was last synchronised everywhere.")
    scheduler_topology_statuses: list[SchedulerTopologyStatus] | None = Field(
        None, description="One entry for each scheduler.", json_schema_extra=list_map("schedulerName")
    )
    conditions: Conditions | None = Field(None, description="SchedulerTopologyDrift, NodesCovered.")


class ClusterTopologyBinding(Root):
    """Binds portable level names to the node labels of this cluster."""

    spec: ClusterTopologyBindingSpec = Field(description="The levels.")
    status: ClusterTopologyBindingStatus | None = Field(None, description="Observed state.")
