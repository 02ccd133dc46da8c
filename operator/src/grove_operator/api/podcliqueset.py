"""PodCliqueSet: a whole multi-role system, and the object users write."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from grove_operator.api.core_schemas import ResourceClaimTemplateSpec, SpreadConstraint
from grove_operator.api.kinds import Json
from grove_operator.api.podclique import AutoScalingConfig, PodCliqueSpec
from grove_operator.api.schema import (
    ATOMIC,
    REQUIRED,
    Conditions,
    Duration,
    Int32,
    Int64,
    LastError,
    Model,
    Root,
    Time,
    cel,
    list_map,
    rules,
)
from grove_operator.api.topology import TopologyConstraint

StartupType = Literal["CliqueStartupTypeAnyOrder", "CliqueStartupTypeInOrder", "CliqueStartupTypeExplicit"]
FIXED = " Fixed at creation."


class ResourceClaimTemplateConfig(Model):
    """A ResourceClaimTemplate kept inside the PodCliqueSet."""

    name: str = Field(description="Name that sharing entries refer to.")
    template_spec: ResourceClaimTemplateSpec = Field(
        description="Spec of the template, as in resource.k8s.io/v1; requests at least one device."
    )


class ResourceSharingBase(Model):
    """A claim that pods share."""

    name: str = Field(description="Name of the template: one of resourceClaimTemplates, or an object of the cluster.")
    namespace: str | None = Field(None, description="Namespace of a template that is an object of the cluster.")
    scope: Literal["AllReplicas", "PerReplica"] = Field(description="One claim for all replicas, or one for each.")


class CliqueFilter(Model):
    """Limits sharing to some cliques of the group."""

    child_clique_names: list[str] | None = Field(None, description="Cliques.", json_schema_extra=ATOMIC)


class SetFilter(CliqueFilter):
    """Limits sharing to some cliques and scaling groups."""

    child_scaling_group_names: list[str] | None = Field(None, description="Scaling groups.", json_schema_extra=ATOMIC)


class GroupResourceSharing(ResourceSharingBase):
    """A claim that the cliques of a scaling group share."""

    filter: CliqueFilter | None = Field(None, description="Which cliques; all when absent.")


class SetResourceSharing(ResourceSharingBase):
    """A claim that the parts of a PodCliqueSet share."""

    filter: SetFilter | None = Field(None, description="Which parts; all when absent.")


class RollingUpdate(Model):
    """How much of one part an update may take away at once, and how long it may stand still."""

    max_unavailable: Int32 | None = Field(
        None,
        description="Pods of the clique, or copies of the scaling group, that an update may take away at once, at "
        "least 1; when absent 1, with Coherent minAvailable (which is then also the least that may be said).",
    )
    progress_deadline: Duration | None = Field(
        None, description="After so long without progress the update counts as stuck; 10m when absent."
    )


class PodCliqueTemplate(Model):
    """One role of the system."""

    name: str = Field(description="Name of the role, a DNS label; part of the names of its pods." + FIXED)
    labels: dict[str, str] | None = Field(
        None, description="Labels for the PodClique and its pods. A change replaces the pods."
    )
    annotations: dict[str, str] | None = Field(
        None,
        description="Annotations for the PodClique and its pods. A change replaces the pods; grove.io/mnnvl-group is "
        "fixed at creation.",
    )
    topology_constraint: TopologyConstraint | None = Field(
        None, description="Where the pods of one PodClique must fit." + FIXED
    )
    resource_sharing: list[ResourceSharingBase] | None = Field(
        None, description="Claims that pods of this clique share." + FIXED, json_schema_extra=ATOMIC
    )
    rolling_update: RollingUpdate | None = Field(
        None, description="Budget of updates; for cliques outside of scaling groups."
    )
    spec: PodCliqueSpec = Field(description="The pods.")


class ScalingGroupConfig(Model):
    """Cliques that scale together."""

    name: str = Field(description="Name of the group, a DNS label." + FIXED)
    clique_names: list[str] = Field(
        description="Its cliques, each in one group only." + FIXED, json_schema_extra=ATOMIC
    )
    annotations: dict[str, str] | None = Field(
        None, description="Annotations for the generated object; grove.io/mnnvl-group is fixed at creation."
    )
    replicas: Int32 = Field(
        1, description="Copies to start with. Applies when the PodCliqueScalingGroup is made: scale that one later."
    )
    min_available: Int32 = Field(
        1, description="Copies that are scheduled with the base gang and must stay up, 1 to replicas." + FIXED
    )
    scale_config: AutoScalingConfig | None = Field(None, description="Scales the group by metrics.")
    resource_sharing: list[GroupResourceSharing] | None = Field(
        None, description="Claims that the cliques share." + FIXED, json_schema_extra=ATOMIC
    )
    topology_constraint: TopologyConstraint | None = Field(
        None, description="Where one copy of the group must fit." + FIXED
    )
    rolling_update: RollingUpdate | None = Field(None, description="Budget of updates, in copies of the group.")


class HeadlessServiceConfig(Model):
    """The Service that gives pods their addresses."""

    publish_not_ready_addresses: bool = Field(
        True, description="Whether pods have addresses before they are ready.", json_schema_extra=REQUIRED
    )


class PodCliqueSetTemplate(Model):
    """One replica of the system."""

    cliques: list[PodCliqueTemplate] = Field(
        description="Its roles, at least one. None can be added, removed or renamed later; their order is fixed "
        "where it has a meaning.",
        json_schema_extra=list_map("name"),
    )
    clique_startup_type: StartupType = Field(
        "CliqueStartupTypeAnyOrder",
        description="Whether roles start at once, in list order, or by startsAfter." + FIXED,
    )
    priority_class_name: str | None = Field(None, description="PriorityClass of the gangs.")
    headless_service_config: HeadlessServiceConfig | None = Field(
        None, description="Pod addresses; published at once when absent."
    )
    topology_constraint: TopologyConstraint | None = Field(None, description="Where one replica must fit." + FIXED)
    termination_delay: Duration | None = Field(
        None, description="How long fewer than minAvailable may be up before the gang is recycled; 4h when absent."
    )
    resource_claim_templates: list[ResourceClaimTemplateConfig] | None = Field(
        None, description="Templates for resourceSharing." + FIXED, json_schema_extra=ATOMIC
    )
    resource_sharing: list[SetResourceSharing] | None = Field(
        None, description="Claims that the parts share." + FIXED, json_schema_extra=ATOMIC
    )
    pod_clique_scaling_groups: list[ScalingGroupConfig] | None = Field(
        None,
        description="Roles that scale together. None can be added, removed or renamed later.",
        json_schema_extra=list_map("name"),
    )


class UpdateStrategy(Model):
    """How a changed template reaches running pods."""

    type: Literal["RollingRecreate", "OnDelete", "Coherent"] = Field(
        "RollingRecreate",
        description="Replace pods one replica at a time; or only when someone deletes them; or (Coherent) in steps "
        "that take every changed role along in the ratio of their replicas.",
    )


class PodCliqueSetSpec(Model):
    """Copies of a system."""

    replicas: Int32 = Field(0, description="Copies of the whole system, 0 or more.")
    update_strategy: UpdateStrategy | None = Field(None, description="RollingRecreate when absent.")
    template: PodCliqueSetTemplate = Field(description="The system.")
    replica_spread_constraints: list[SpreadConstraint] | None = Field(
        None,
        description="Over which domains the copies spread, each copy packed as its own constraints say. In the form "
        "of core/v1 topology spread constraints; topologyKey is a node label. Applies to gangs that are placed "
        "afterwards.",
        json_schema_extra=list_map("topologyKey", "whenUnsatisfiable"),
    )


class PodGangStatusEntry(Model):
    """State of one gang."""

    name: str = Field(description="The PodGang.")
    phase: Literal["Pending", "Starting", "Running", "Failed", "Succeeded"] = Field(description="How far it is.")
    conditions: Conditions | None = Field(None, description="Conditions of the gang.")


class ReplicaUpdate(Model):
    """A replica that is being updated."""

    replica_index: Int32 = Field(description="Its index.")
    update_started_at: Time | None = Field(None, description="When its update began.")
    update_ended_at: Time | None = Field(None, description="When it was done.")


class PodCliqueSetUpdateProgress(Model):
    """A rolling update of the set."""

    update_started_at: Time | None = Field(None, description="When it began.")
    update_ended_at: Time | None = Field(None, description="When it was done; absent while it runs.")
    updated_pod_cliques_count: Int32 = Field(0, description="Standalone PodCliques at the new template.")
    total_pod_cliques_count: Int32 = Field(0, description="Standalone PodCliques in all.")
    updated_pod_clique_scaling_groups_count: Int32 = Field(0, description="Scaling groups at the new template.")
    total_pod_clique_scaling_groups_count: Int32 = Field(0, description="Scaling groups in all.")
    currently_updating: list[ReplicaUpdate] | None = Field(
        None, description="Replicas being updated now.", json_schema_extra=ATOMIC
    )


class PodCliqueSetStatus(Model):
    """What is known about the copies."""

    observed_generation: Int64 | None = Field(None, description="Generation of the last complete sync.")
    conditions: Conditions | None = Field(
        None, description="Available, Progressing, Degraded, TopologyLevelsUnavailable, NameTaken and Surge."
    )
    last_errors: list[LastError] | None = Field(
        None, description="Failures of the last reconcile.", json_schema_extra=ATOMIC
    )
    replicas: Int32 | None = Field(None, description="Wanted copies when this status was written.")
    updated_replicas: Int32 = Field(0, description="Copies at the current template.", json_schema_extra=REQUIRED)
    available_replicas: Int32 = Field(
        0, description="Copies in which every part has its minimum ready.", json_schema_extra=REQUIRED
    )
    hpa_pod_selector: str | None = Field(None, description="Selector that an autoscaler counts pods with.")
    pod_gang_statuses: list[PodGangStatusEntry] | None = Field(
        None, description="The gangs.", json_schema_extra=list_map("name")
    )
    current_generation_hash: str | None = Field(None, description="Hash of the template being served.")
    update_progress: PodCliqueSetUpdateProgress | None = Field(None, description="The running or last rolling update.")


def _created_without_pack_domain(expression: str, path: str) -> Json:
    return cel(
        f"oldSelf.hasValue() || {expression}",
        "packDomain is deprecated and refused on new objects; use pack.required",
        reason="FieldValueForbidden",
        field_path=path,
        on_create=True,
    )


class PodCliqueSet(Root):
    """A multi-role system: its roles, how they start, scale, are placed, updated and recovered."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra=rules(
            _created_without_pack_domain(
                "!has(self.spec.template.topologyConstraint) || !has(self.spec.template.topologyConstraint.packDomain)",
                ".spec.template.topologyConstraint.packDomain",
            ),
            _created_without_pack_domain(
                "self.spec.template.cliques.all(c, "
                "!has(c.topologyConstraint) || !has(c.topologyConstraint.packDomain))",
                ".spec.template.cliques",
            ),
            _created_without_pack_domain(
                "!has(self.spec.template.podCliqueScalingGroups) || "
                "self.spec.template.podCliqueScalingGroups.all(g, "
                "!has(g.topologyConstraint) || !has(g.topologyConstraint.packDomain))",
                ".spec.template.podCliqueScalingGroups",
            ),
        )
    )

    spec: PodCliqueSetSpec = Field(description="Wanted state.")
    status: PodCliqueSetStatus | None = Field(None, description="Observed state.")
