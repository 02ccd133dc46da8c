"""PodClique: pods of one role, and the shapes it shares with the clique template."""

from __future__ import annotations

from pydantic import Field

from grove_operator.api.core_schemas import MetricSpec, PodSpec
from grove_operator.api.schema import (
    ATOMIC,
    REQUIRED,
    Conditions,
    Int32,
    Int64,
    LastError,
    Model,
    Root,
    Time,
)


class AutoScalingConfig(Model):
    """Bounds and metrics of the HorizontalPodAutoscaler of this part."""

    min_replicas: Int32 | None = Field(
        None, description="Lower bound, at least minAvailable; the initial replicas when absent."
    )
    max_replicas: Int32 = Field(description="Upper bound, at least minReplicas and the initial replicas.")
    metrics: list[MetricSpec] | None = Field(
        None, description="What to scale on, as in autoscaling/v2.", json_schema_extra=ATOMIC
    )


class PodCliqueSpec(Model):
    """The pods of one role."""

    role_name: str = Field(description="Role of these pods in the system; unique in a PodCliqueSet. Fixed at creation.")
    pod_spec: PodSpec = Field(
        description="Pod spec of every pod, as in core/v1; restartPolicy Always and a grace period of 30 s when "
        "absent. A change replaces the pods; schedulerName is fixed at creation."
    )
    replicas: Int32 = Field(
        description="How many pods to start with; 1 when 0. Applies when the PodClique is made: scale that one later."
    )
    min_available: Int32 | None = Field(
        None,
        description="Pods that are scheduled together and must stay up, 1 to replicas; all of them when absent. "
        "Fixed at creation.",
    )
    starts_after: list[str] | None = Field(
        None,
        description="Cliques whose minimum must be ready before these pods start; read only where the startup type "
        "is Explicit. Fixed at creation.",
        json_schema_extra=ATOMIC,
    )
    auto_scaling_config: AutoScalingConfig | None = Field(
        None, description="Scales this clique by metrics; members of a scaling group scale with their group instead."
    )


class ReadyPodsSelectedToUpdate(Model):
    """Progress among the pods that were ready when the update began."""

    current: str = Field(description="Pod that is being replaced.")
    completed: list[str] | None = Field(None, description="Pods replaced before it.", json_schema_extra=ATOMIC)


class PodCliqueUpdateProgress(Model):
    """A rolling update of this PodClique."""

    update_started_at: Time | None = Field(None, description="When it began.")
    update_ended_at: Time | None = Field(None, description="When it was done; absent while it runs.")
    pod_clique_set_generation_hash: str = Field(description="Hash of the PodCliqueSet that is rolled out.")
    pod_template_hash: str = Field(description="Hash of the pod template that is rolled out.")
    ready_pods_selected_to_update: ReadyPodsSelectedToUpdate | None = Field(None, description="Progress pod by pod.")


class PodCliqueStatus(Model):
    """What is known about the pods."""

    observed_generation: Int64 | None = Field(None, description="Generation of the last complete sync.")
    last_errors: list[LastError] | None = Field(
        None, description="Failures of the last reconcile.", json_schema_extra=ATOMIC
    )
    replicas: Int32 | None = Field(None, description="Pods that exist and are not terminating.")
    ready_replicas: Int32 = Field(0, description="Pods that are ready.", json_schema_extra=REQUIRED)
    updated_replicas: Int32 = Field(0, description="Pods of the current template.", json_schema_extra=REQUIRED)
    schedule_gated_replicas: Int32 = Field(0, description="Pods still gated.", json_schema_extra=REQUIRED)
    scheduled_replicas: Int32 = Field(0, description="Pods that have a node.", json_schema_extra=REQUIRED)
    hpa_pod_selector: str | None = Field(None, description="Selector that an autoscaler counts pods with.")
    conditions: Conditions | None = Field(None, description="PodCliqueScheduled and MinAvailableBreached.")
    current_pod_clique_set_generation_hash: str | None = Field(
        None, description="PodCliqueSet hash that all pods have reached."
    )
    current_pod_template_hash: str | None = Field(None, description="Template hash that all pods have reached.")
    update_progress: PodCliqueUpdateProgress | None = Field(None, description="The running or last rolling update.")


class PodClique(Root):
    """Pods of one role, created and kept by a PodCliqueSet or a PodCliqueScalingGroup."""

    spec: PodCliqueSpec = Field(description="Wanted state.")
    status: PodCliqueStatus | None = Field(None, description="Observed state.")
