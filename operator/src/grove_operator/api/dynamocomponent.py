"""One component of a DynamoGraphDeployment (`nvidia.com/v1beta1`): what v1alpha1 calls a service."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from grove_operator.api.core_schemas import PodTemplate
from grove_operator.api.dynamoservice import EppConfig, ModelRef, Multinode, ServiceTopologyConstraint
from grove_operator.api.schema import ATOMIC, Int32, Model, Open, Quantity, list_map

ComponentType = Literal["frontend", "worker", "prefill", "decode", "planner", "epp"]
COMPONENT_NAME = r"^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$"


class ScalingByAdapter(Model):
    """Present: the component's replicas are set through a scaling adapter."""


class CompilationCache(Model):
    """A volume claim on which the backend keeps compiled kernels."""

    pvc_name: str = Field(alias="pvcName", description="The claim.")
    mount_path: str | None = Field(None, description="Where to mount it; the backend's usual place when absent.")


class ComponentRole(Model):
    """What is different for the leader or the workers of a component of several nodes."""

    name: Literal["leader", "worker"] = Field(description="Which of them.")
    replicas: Int32 | None = Field(None, ge=1, description="Pods of this role.", json_schema_extra={"minimum": 1})
    pod_template: Open | None = Field(None, description="A pod template, merged over the component's own.")


class ComponentProviderOverride(Model):
    """A patch of what is generated for the component."""

    api_version: str = Field(description="grove.io/v1alpha1.")
    target: str = Field(description="PodCliqueTemplateSpec or PodCliqueScalingGroupConfig.")
    patch: Open = Field(description="Merged into it; only its topologyConstraint may be changed.")


class ComponentGpuMemoryService(Model):
    """Weights kept in GPU memory by a process of their own."""

    mode: Literal["IntraPod", "InterPod"] | None = Field(None, description="In the same pod, or in a pod of its own.")
    device_class_name: str = Field("gpu.nvidia.com", description="DRA device class of the GPUs.")
    extra_client_containers: list[str] | None = Field(
        None, description="Other containers of the pod that use it.", json_schema_extra=ATOMIC
    )
    extra_client_pods: list[Open] | None = Field(None, description="Other pods that use it.", json_schema_extra=ATOMIC)


class ComponentFailover(Model):
    """A standby engine."""

    mode: Literal["IntraPod", "InterPod"] | None = Field(None, description="Same as gpuMemoryService.mode.")
    num_shadows: int | None = Field(None, ge=1, le=1, description="Standby engines.")


class ComponentCheckpoint(Model):
    """Start from a GPU checkpoint."""

    enabled: bool | None = Field(None, description="Whether to use one.")
    mode: Literal["Auto", "Manual"] | None = Field(None, description="Who makes it.")
    startup_policy: Literal["Immediate", "WaitForCheckpoint"] | None = Field(
        None, description="Whether the component starts before the checkpoint is there."
    )
    deletion_policy: Literal["Delete", "Retain"] | None = Field(None, description="What becomes of it in the end.")
    checkpoint_ref: str | None = Field(None, description="An existing one.")
    identity: Open | None = Field(None, description="What it has to match.")
    target_container: str | None = Field(None, description="Container to restore; main when absent.")
    job: Open | None = Field(None, description="The job that makes it.")


class GroveTweaks(Model):
    """How the component becomes Grove objects."""

    force_scaling_group: bool | None = Field(None, description="A scaling group even for one node.")


class ComponentExperimental(Model):
    """Fields that may still change."""

    gpu_memory_service: ComponentGpuMemoryService | None = Field(None, description="GPU memory service.")
    failover: ComponentFailover | None = Field(None, description="Standby engine.")
    checkpoint: ComponentCheckpoint | None = Field(None, description="GPU checkpoint.")
    grove: GroveTweaks | None = Field(None, description="Grove.")


class DynamoComponent(Model):
    """One component of the graph."""

    name: str = Field(pattern=COMPONENT_NAME, max_length=63, description="Unique in the graph, ignoring case.")
    type: ComponentType | None = Field(None, description="What it is; cannot be changed once set.")
    pod_template: PodTemplate | None = Field(
        None, description="The pods, as in core/v1; the container named main is the workload."
    )
    replicas: Int32 | None = Field(None, ge=0, description="Copies; 1 when absent.", json_schema_extra={"minimum": 0})
    min_available: Int32 | None = Field(
        None, ge=1, description="Copies that must run for the graph to work; 1.", json_schema_extra={"minimum": 1}
    )
    multinode: Multinode | None = Field(None, description="Replicas that span nodes.")
    roles: list[ComponentRole] | None = Field(
        None, description="Differences of leader and workers.", json_schema_extra=list_map("name")
    )
    shared_memory_size: Quantity | None = Field(None, description='Shared memory; 8Gi when absent, "0" for none.')
    model_ref: ModelRef | None = Field(None, description="Model for discovery.")
    scaling_adapter: ScalingByAdapter | None = Field(None, description="Scaling through an adapter.")
    epp_config: EppConfig | None = Field(None, description="Configuration of an endpoint picker.")
    frontend_sidecar: str | None = Field(None, description="Container of the template that is a frontend.")
    dynamo_sidecar: Open | None = Field(None, description="Restartable init container with Dynamo's runtime.")
    compilation_cache: CompilationCache | None = Field(None, description="Where compiled kernels are kept.")
    topology_constraint: ServiceTopologyConstraint | None = Field(None, description="Packing of one replica.")
    runtime_version_override: str | None = Field(None, description="Dynamo version inside the image.")
    global_dynamo_namespace: bool | None = Field(None, description="Share the namespace `dynamo` with other graphs.")
    provider_override: ComponentProviderOverride | None = Field(None, description="Patch of the generated objects.")
    experimental: ComponentExperimental | None = Field(None, description="Fields that may still change.")
