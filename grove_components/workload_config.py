"""The workload sections of a stack file: graphs, PodCliqueSets, common shapes of them, and tenants. No Pulumi here."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from grove_components import shapes
from grove_components.immutability import OnImmutableChange
from grove_components.manifests import Wait
from grove_operator.api.constants import DEFAULT_TOPOLOGY
from grove_operator.api.kinds import Json


class Section(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class PlacementConfig(Section):
    required: str | None = None
    preferred: str | None = None


class GraphConfig(Section):
    """A Dynamo graph deployment; `services` are Dynamo's own v1alpha1 service specs.

    A service without `dynamoNamespace` gets the graph's namespace, a main container without image `<image>:<release>`.
    """

    name: str
    namespace: str
    release: str
    image: str = "nvcr.io/nvidia/ai-dynamo/vllm-runtime"
    token_secret: str = Field("hf-token-secret", description="Secret made from grove:hfToken, key HF_TOKEN")
    placement: PlacementConfig = PlacementConfig()
    services: dict[str, Json] = Field(min_length=1)

    def spec(self) -> Json:
        """The DynamoGraphDeployment's spec, services in the order of the file."""
        return {"services": {name: self._service(service) for name, service in self.services.items()}}

    def _service(self, service: Json) -> Json:
        pod = service.get("extraPodSpec", {})
        if not isinstance(pod, dict) or not isinstance(pod.get("mainContainer", {}), dict):
            return service  # of the wrong shape: admission's rules say so in their own words
        container = {"image": f"{self.image}:{self.release}", **pod.get("mainContainer", {})}
        return {
            "dynamoNamespace": self.namespace,
            **service,
            "extraPodSpec": {**pod, "mainContainer": container},
        }


class PodCliqueSetConfig(Section):
    """A PodCliqueSet as it is: `spec` is Grove's own."""

    name: str
    namespace: str
    spec: Json
    wait: Wait = "available"
    timeout: str | None = Field(None, description="how long up waits, such as 30m; 10 minutes when absent")
    on_immutable_change: OnImmutableChange = "fail"
    autoscaled: bool = Field(False, description="an autoscaler owns spec.replicas")


class RoleConfig(Section):
    """Equal pods with one container; `gpus` is per pod."""

    image: str
    replicas: int = Field(1, ge=1)
    gpus: int = Field(0, ge=0)
    command: list[str] = []
    args: list[str] = []
    env: dict[str, str] = {}
    cpu: str = "1"
    memory: str = "1Gi"
    min_available: int | None = Field(None, ge=1)

    def role(self) -> shapes.Role:
        return shapes.Role(**self.model_dump())


class InstancesConfig(Section):
    """Copies of one leader with its workers; each fits whole into one `pack` domain."""

    leader: RoleConfig
    workers: RoleConfig
    count: int = Field(1, ge=1)
    pack: str | None = None

    def instances(self) -> shapes.Instances:
        return shapes.Instances(self.leader.role(), self.workers.role(), self.count, self.pack)


class PackingConfig(PlacementConfig):
    topology: str = DEFAULT_TOPOLOGY


ROLES_OF = {
    "aggregated": {"worker"},
    "disaggregated": {"frontend", "prefill", "decode"},
    "leaderWorker": {"model"},
    "pipeline": {"frontend"},
}
"""Roles that a shape can't do without."""
OPTIONAL_ROLES_OF = {"aggregated": {"frontend"}, "leaderWorker": {"frontend"}}


class WorkloadConfig(Section):
    """A PodCliqueSet of a common shape.

    `roles` by name: aggregated [frontend] worker; disaggregated frontend prefill decode; leaderWorker [frontend] model;
    pipeline frontend and one for each model, started in the order of the file. A model may be a role or instances.
    """

    name: str
    namespace: str
    shape: Literal["aggregated", "disaggregated", "leaderWorker", "pipeline"]
    roles: dict[str, RoleConfig | InstancesConfig]
    replicas: int = Field(1, ge=0)
    placement: PackingConfig = PackingConfig()
    wait: Wait = "available"
    timeout: str | None = None
    on_immutable_change: OnImmutableChange = "fail"
    autoscaled: bool = False

    @model_validator(mode="after")
    def _roles_of_the_shape(self) -> Self:
        needed, given = ROLES_OF[self.shape], set(self.roles)
        if missing := needed - given:
            raise ValueError(f"{self.shape} lacks the role {', '.join(sorted(missing))}")
        known = needed | OPTIONAL_ROLES_OF.get(self.shape, set())
        if self.shape == "pipeline":
            if given == known:
                raise ValueError("pipeline has no model; add a role for each")
        elif unknown := given - known:
            raise ValueError(
                f"{self.shape} has no role {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}"
            )
        for name, role in self.roles.items():
            grouped = isinstance(role, InstancesConfig)
            may_group = self.shape == "pipeline" and name != "frontend"
            if grouped != (self.shape == "leaderWorker" and name == "model") and not may_group:
                raise ValueError(f"role {name} must be {'one role' if grouped else 'leader and workers'}")
        return self

    def spec(self) -> Json:
        """The PodCliqueSet's spec."""
        placement = self.placement
        packing = shapes.Packing(placement.required, placement.preferred, placement.topology)
        roles = {name: role.role() for name, role in self.roles.items() if isinstance(role, RoleConfig)}
        groups = {name: role.instances() for name, role in self.roles.items() if isinstance(role, InstancesConfig)}
        frontend = roles.get("frontend")
        if self.shape == "aggregated":
            return shapes.aggregated(roles["worker"], frontend=frontend, replicas=self.replicas, packing=packing)
        if self.shape == "leaderWorker":
            return shapes.leader_worker(groups["model"], frontend=frontend, replicas=self.replicas, packing=packing)
        if self.shape == "disaggregated":
            prefill, decode = roles["prefill"], roles["decode"]
            return shapes.disaggregated(
                frontend=roles["frontend"], prefill=prefill, decode=decode, replicas=self.replicas, packing=packing
            )
        stages = {name: roles.get(name) or groups[name] for name in self.roles if name != "frontend"}
        return shapes.pipeline(stages, frontend=roles["frontend"], replicas=self.replicas, packing=packing)

    def as_set(self) -> PodCliqueSetConfig:
        return PodCliqueSetConfig(
            name=self.name,
            namespace=self.namespace,
            spec=self.spec(),
            wait=self.wait,
            timeout=self.timeout,
            on_immutable_change=self.on_immutable_change,
            autoscaled=self.autoscaled,
        )


class TenantConfig(Section):
    """A team's namespace: what it may use (`quota`, a ResourceQuota's `hard`), and the queue that its gangs wait in.

    The queue is written where KAI looks for it (`kai.scheduler/queue`); this project's scheduler has no queues.
    """

    namespace: str
    quota: dict[str, str] = {}
    queue: str | None = None
    labels: dict[str, str] = {}
