"""One service of a DynamoGraphDeployment (`nvidia.com/v1alpha1`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from grove_operator.api.core_schemas import ExtraPodSpec, Probe
from grove_operator.api.schema import ATOMIC, Int32, Model, Open, Quantity, cel, list_map, rules
from grove_operator.api.topology import Domain


class EnvVar(Model):
    """An environment variable."""

    name: str = Field(description="Its name.")
    value: str | None = Field(None, description="Its value.")
    value_from: Open | None = Field(None, description="Where the value comes from, as in core/v1.")


class ResourceItem(Model):
    """Amounts of resources. `gpu` is short for the extended resource named by gpuType."""

    cpu: str | None = Field(None, description="CPU, as a quantity.")
    memory: str | None = Field(None, description="Memory, as a quantity.")
    gpu: str | None = Field(None, description='Number of GPUs, as a string: "1".')
    gpu_type: str | None = Field(None, description="Extended resource that gpu counts; nvidia.com/gpu when absent.")
    custom: dict[str, str] | None = Field(None, description="Any other resources, by name.")


class Resources(Model):
    """Requests and limits of the main container."""

    requests: ResourceItem | None = Field(None, description="What is set aside.")
    limits: ResourceItem | None = Field(None, description="What may be used; GPUs belong here.")
    claims: list[Open] | None = Field(None, description="Resource claims, as in core/v1.", json_schema_extra=ATOMIC)


class VolumeMount(Model):
    """A volume claim mounted into the main container."""

    name: str = Field(description="The claim: one of the graph's pvcs.")
    mount_point: str | None = Field(None, description="Where to mount it.")
    use_as_compilation_cache: bool = Field(False, description="Whether the backend keeps compiled kernels there.")


class IngressTls(Model):
    """TLS of the ingress."""

    secret_name: str | None = Field(None, description="Secret with certificate and key.")


class Ingress(Model):
    """How the frontend is reached from outside."""

    enabled: bool | None = Field(None, description="Whether to create one.")
    host: str | None = Field(None, description="Host name without suffix.")
    host_prefix: str | None = Field(None, description="Put before the host.")
    host_suffix: str | None = Field(None, description="Put after the host.")
    use_virtual_service: bool | None = Field(None, description="Use Istio instead of an Ingress.")
    virtual_service_gateway: str | None = Field(None, description="Istio gateway.")
    annotations: dict[str, str] | None = Field(None, description="Annotations of the object.")
    labels: dict[str, str] | None = Field(None, description="Labels of the object.")
    tls: IngressTls | None = Field(None, description="TLS.")
    ingress_controller_class_name: str | None = Field(None, description="Ingress class.")


class ModelRef(Model):
    """The model that the service serves."""

    name: str = Field(description="Base model.", min_length=1)
    revision: str | None = Field(None, description="Its revision.")


class SharedMemory(Model):
    """Memory that the processes of a pod share."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra=rules(
            cel(
                "!(has(self.disabled) && self.disabled && has(self.size))",
                "sharedMemory: size has no meaning when disabled is true",
            )
        )
    )

    disabled: bool | None = Field(None, description="Leave the default volume out.")
    size: Quantity | None = Field(None, description="Its size.")


class ExtraPodMetadata(Model):
    """Labels and annotations for the pods."""

    annotations: dict[str, str] | None = Field(None, description="Annotations.")
    labels: dict[str, str] | None = Field(None, description="Labels.")


class Multinode(Model):
    """A service whose every replica spans several nodes: one leader, the others workers."""

    node_count: int = Field(
        2, ge=2, le=2**31 - 1, description="Nodes of one replica.", json_schema_extra={"format": "int32"}
    )


class ScalingAdapter(Model):
    """Whether replicas are set through a scaling adapter."""

    enabled: bool = Field(False, description="The adapter owns replicas.")


class EppConfig(Model):
    """Configuration of the endpoint picker."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra=rules(
            cel("has(self.configMapRef) != has(self.config)", "eppConfig needs configMapRef or config, not both")
        )
    )

    config_map_ref: Open | None = Field(None, description="A ConfigMap key.")
    config: Open | None = Field(None, description="The configuration itself.")


class Checkpoint(Model):
    """Start from a GPU checkpoint."""

    enabled: bool = Field(False, description="Whether to use one.")
    mode: Literal["Auto", "Manual"] | None = Field(None, description="Who makes it.")
    checkpoint_ref: str | None = Field(None, description="An existing one.")
    identity: Open | None = Field(None, description="What it has to match.")


class GpuMemoryService(Model):
    """Weights kept in GPU memory by a process of their own."""

    enabled: bool = Field(False, description="Whether to use it.")
    mode: Literal["intraPod", "interPod"] | None = Field(None, description="In the same pod, or in a pod of its own.")
    device_class_name: str = Field("gpu.nvidia.com", description="DRA device class of the GPUs.")


class Failover(Model):
    """A standby engine."""

    enabled: bool = Field(False, description="Whether to keep one.")
    mode: Literal["intraPod", "interPod"] | None = Field(None, description="Same as gpuMemoryService.mode.")
    num_shadows: int | None = Field(None, ge=1, le=1, description="Standby engines.")


class ServiceTopologyConstraint(Model):
    """Where one replica of the service must fit."""

    pack_domain: Domain = Field(description="Level of the graph's topology.")


class DynamoService(Model):
    """One component of the graph."""

    annotations: dict[str, str] | None = Field(None, description="Annotations for the pods.")
    labels: dict[str, str] | None = Field(None, description="Labels for the pods.")
    service_name: str | None = Field(None, description="Name of the service; the key in services when absent.")
    component_type: str | None = Field(
        None, description="frontend, worker, prefill, decode, planner, epp, default, or any other word."
    )
    sub_component_type: str | None = Field(None, description="prefill or decode, for workers.")
    dynamo_namespace: str | None = Field(None, description="Deprecated.")
    global_dynamo_namespace: bool | None = Field(None, description="Share the namespace `dynamo` with other graphs.")
    resources: Resources | None = Field(None, description="Resources of the main container.")
    autoscaling: Open | None = Field(None, description="Deprecated and ignored.")
    envs: list[EnvVar] | None = Field(None, description="Environment of the main container.", json_schema_extra=ATOMIC)
    env_from_secret: str | None = Field(None, description="Secret whose keys become environment variables.")
    volume_mounts: list[VolumeMount] | None = Field(None, description="Volume claims.", json_schema_extra=ATOMIC)
    ingress: Ingress | None = Field(None, description="Access from outside.")
    model_ref: ModelRef | None = Field(None, description="Model for discovery.")
    shared_memory: SharedMemory | None = Field(None, description="The shared-memory volume.")
    extra_pod_metadata: ExtraPodMetadata | None = Field(None, description="More labels and annotations.")
    extra_pod_spec: ExtraPodSpec | None = Field(
        None, description="Pod spec to merge in, as in core/v1, with the main container under mainContainer."
    )
    liveness_probe: Probe | None = Field(None, description="Replaces the default probe.")
    readiness_probe: Probe | None = Field(None, description="Replaces the default probe.")
    replicas: Int32 | None = Field(None, ge=0, description="Copies; 1 when absent.", json_schema_extra={"minimum": 0})
    multinode: Multinode | None = Field(None, description="Replicas that span nodes.")
    scaling_adapter: ScalingAdapter | None = Field(None, description="Scaling through an adapter.")
    epp_config: EppConfig | None = Field(None, description="Configuration of an endpoint picker.")
    checkpoint: Checkpoint | None = Field(None, description="GPU checkpoint.")
    frontend_sidecar: Open | None = Field(None, description="Frontend container to add to the pods.")
    gpu_memory_service: GpuMemoryService | None = Field(None, description="GPU memory service.")
    failover: Failover | None = Field(None, description="Standby engine.")
    topology_constraint: ServiceTopologyConstraint | None = Field(None, description="Packing of one replica.")


class ComponentGroup(Model):
    """Components that scale together."""

    name: str = Field(description="Name of the group.")
    replicas: Int32 | None = Field(None, ge=1, description="Copies.", json_schema_extra={"minimum": 1})
    scaling_adapter: ScalingAdapter | None = Field(None, description="Scaling through an adapter.")
    components: list[Open] | None = Field(None, description="Its components.", json_schema_extra=ATOMIC)


class Experimental(Model):
    """Fields that may still change."""

    kv_transfer_policy: Open | None = Field(None, description="Locality of KV cache transfers.")
    component_groups: list[ComponentGroup] | None = Field(
        None, max_length=16, description="Components that scale together.", json_schema_extra=list_map("name")
    )
