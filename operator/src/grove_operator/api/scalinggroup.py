"""PodCliqueScalingGroup: cliques that scale together, as one unit."""

from __future__ import annotations

from pydantic import Field

from grove_operator.api.schema import ATOMIC, REQUIRED, Conditions, Int32, Int64, LastError, Model, Root, Time


class PodCliqueScalingGroupSpec(Model):
    """How many copies of which cliques."""

    replicas: Int32 = Field(1, description="Copies of the whole group.", json_schema_extra=REQUIRED)
    min_available: Int32 | None = Field(
        1, description="Copies that belong to the base gang and must stay up; the others are gangs of their own."
    )
    clique_names: list[str] = Field(
        description="Cliques of the group, by their names in the PodCliqueSet.", json_schema_extra=ATOMIC
    )


class ReadyReplicaIndicesSelectedToUpdate(Model):
    """Progress among the copies that were ready when the update began."""

    current: Int32 = Field(description="Index of the copy that is being replaced.")
    completed: list[Int32] | None = Field(None, description="Indices replaced before it.", json_schema_extra=ATOMIC)


class PodCliqueScalingGroupUpdateProgress(Model):
    """A rolling update of this group."""

    update_started_at: Time = Field(description="When it began.")
    update_ended_at: Time | None = Field(None, description="When it was done; absent while it runs.")
    pod_clique_set_generation_hash: str = Field(description="Hash of the PodCliqueSet that is rolled out.")
    updated_pod_cliques_count: Int32 | None = Field(None, description="PodCliques at the new template.")
    total_pod_cliques_count: Int32 | None = Field(None, description="PodCliques of all copies.")
    ready_replica_indices_selected_to_update: ReadyReplicaIndicesSelectedToUpdate | None = Field(
        None, description="Progress copy by copy."
    )


class PodCliqueScalingGroupStatus(Model):
    """What is known about the copies."""

    replicas: Int32 | None = Field(None, description="Wanted copies when this status was written.")
    scheduled_replicas: Int32 = Field(0, description="Copies whose cliques are all scheduled.")
    available_replicas: Int32 = Field(0, description="Scheduled copies whose cliques all have their minimum ready.")
    updated_replicas: Int32 = Field(0, description="Available copies at the current template.")
    selector: str | None = Field(None, description="Selector that an autoscaler counts pods with.")
    observed_generation: Int64 | None = Field(None, description="Generation of the last complete sync.")
    last_errors: list[LastError] | None = Field(
        None, description="Failures of the last reconcile.", json_schema_extra=ATOMIC
    )
    conditions: Conditions | None = Field(None, description="MinAvailableBreached and GangTerminationInProgress.")
    current_pod_clique_set_generation_hash: str | None = Field(
        None, description="PodCliqueSet hash that all copies have reached."
    )
    update_progress: PodCliqueScalingGroupUpdateProgress | None = Field(
        None, description="The running or last rolling update."
    )


class PodCliqueScalingGroup(Root):
    """Cliques that are created, scaled and gang-scheduled together."""

    spec: PodCliqueScalingGroupSpec = Field(description="Wanted state.")
    status: PodCliqueScalingGroupStatus | None = Field(None, description="Observed state.")
