"""PodGang: what the operator asks of the gang scheduler."""

from __future__ import annotations

from pydantic import Field

from grove_operator.api.core_schemas import SpreadConstraint
from grove_operator.api.schema import ATOMIC, Conditions, Int32, Model, NamespacedName, Root, list_map


class PackConstraint(Model):
    """Bounds as node-label keys (not level names)."""

    required: str | None = Field(None, description="Label key: all pods share its value, or none is bound.")
    preferred: str | None = Field(None, description="Label key whose value the pods share if that can be had.")


class GangTopologyConstraint(Model):
    """A constraint in the scheduler's terms."""

    pack_constraint: PackConstraint | None = Field(None, description="The bounds.")


class PodGroup(Model):
    """Pods of one PodClique inside the gang."""

    name: str = Field(description="The PodClique.")
    pod_references: list[NamespacedName] = Field(
        description="Pods, sorted by name; may be empty at first.", json_schema_extra=ATOMIC
    )
    min_replicas: Int32 = Field(description="Pods of this group that the gang cannot do without.")
    topology_constraint: GangTopologyConstraint | None = Field(None, description="Bounds of this group.")


class TopologyConstraintGroupConfig(Model):
    """Groups that share a constraint: one scaling-group copy inside the base gang."""

    name: str = Field(description="The scaling-group copy.")
    pod_group_names: list[str] = Field(description="Groups it covers.", json_schema_extra=ATOMIC)
    topology_constraint: GangTopologyConstraint | None = Field(None, description="Bounds of these groups together.")


class PodGangSpec(Model):
    """Groups that are placed together or not at all."""

    podgroups: list[PodGroup] = Field(description="Groups of the gang.", json_schema_extra=list_map("name"))
    topology_constraint: GangTopologyConstraint | None = Field(None, description="Bounds of the whole gang.")
    topology_constraint_group_configs: list[TopologyConstraintGroupConfig] | None = Field(
        None, description="Bounds of some groups together.", json_schema_extra=list_map("name")
    )
    spread_constraints: list[SpreadConstraint] | None = Field(
        None,
        description="Over which domains the gangs of the same PodCliqueSet's replicas spread, as core/v1 topology "
        "spread constraints; ranks after every packing level.",
        json_schema_extra=list_map("topologyKey", "whenUnsatisfiable"),
    )
    priority_class_name: str | None = Field(None, description="PriorityClass of the gang.")
    reuse_reservation_ref: NamespacedName | None = Field(
        None, description="PodGang whose place this one should take over."
    )


class PodGangStatus(Model):
    """How scheduling went."""

    phase: str = Field(description="Pending, Starting or Running.")
    conditions: Conditions | None = Field(
        None, description="Initialized, Scheduled, Ready, Unhealthy and DisruptionTarget."
    )
    placement_score: float | None = Field(
        None,
        description="How good the placement is; 1 is the best there can be.",
        json_schema_extra={"format": "double"},
    )


class PodGang(Root):
    """Pods that are bound all at once or not at all."""

    spec: PodGangSpec = Field(description="What to place.")
    status: PodGangStatus | None = Field(None, description="Observed state.")
