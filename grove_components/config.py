"""The typed form of a stack file: every key, its type and its default. One error lists everything that is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, Self

import pulumi
from pulumi.runtime import config as runtime_config
from pydantic import Field, PrivateAttr, SecretStr, ValidationError, model_validator

from grove_components.checks import InvalidInputError
from grove_components.platform_config import PlatformConfig
from grove_components.topology_presets import Preset, preset_levels
from grove_components.workload_config import GraphConfig, PodCliqueSetConfig, Section, TenantConfig, WorkloadConfig
from grove_operator.api.constants import DEFAULT_TOPOLOGY, OPERATOR_NAMESPACE
from grove_operator.api.kinds import Json

SECRET_KEYS = frozenset({"hfToken", "kubeconfig"})
"""Keys that may be secret; anywhere else a secret would end up in the open, so it is refused."""

TEXT_KEYS = SECRET_KEYS | {"clusterIdentifier", "platformStack"}
LOCAL_STACK = "local"


class Level(Section):
    domain: str
    key: str


class TopologyConfig(Section):
    """The one ClusterTopologyBinding of the stack: a preset, or levels of your own, broadest first."""

    name: str = DEFAULT_TOPOLOGY
    preset: Preset | None = None
    nvlink: bool = Field(False, description="add the NVLink domain (nvidia.com/gpu.clique) above the host")
    levels: list[Level] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.preset is None) == (self.levels is None):
            raise ValueError("needs exactly one of preset and levels")
        if self.levels is not None and self.nvlink:
            raise ValueError("nvlink goes with a preset; add the level to levels instead")
        return self

    @property
    def pairs(self) -> list[tuple[str, str]]:
        if self.preset:
            return preset_levels(self.preset, nvlink=self.nvlink)
        return [(level.domain, level.key) for level in self.levels or ()]


class OperatorConfig(Section):
    """How operator and scheduler are installed. Ports matter only where several clusters share one host."""

    install: Literal["ours", "existing"] = Field(
        "ours", description="existing: CRDs and operator of the cluster are left as they are"
    )
    namespace: str = OPERATOR_NAMESPACE
    image: str = "ghcr.io/grove-py/grove-operator:0.1.0"
    replicas: int = Field(1, ge=1)
    scheduler_replicas: int = Field(1, ge=1)
    webhook_port: int = Field(9443, ge=1, le=65535)
    health_port: int = Field(9444, ge=1, le=65535)
    metrics_port: int = Field(9445, ge=1, le=65535)
    scheduler_health_port: int = Field(9446, ge=1, le=65535)
    scheduler_metrics_port: int = Field(9447, ge=1, le=65535)
    conversion_port: int = Field(9448, ge=1, le=65535)
    service_external_name: str | None = Field(None, description="host behind the webhook Service; unset: the pods")
    force: bool = Field(False, description="let the operator be deleted while PodCliqueSets exist")
    config: Json = Field({}, description="merged over the generated OperatorConfiguration")


class StackConfig(Section):
    """Everything a stack file may say below `grove:`.

    `part` splits an environment into two stacks: `platform` (CRDs, operator, topology, tenants) and `workloads`, which
    names the other as `platformStack`. The preview of workloads is then judged by admission of a running operator.
    """

    _stack_file: str = PrivateAttr("stack config")
    _stack: str = PrivateAttr(LOCAL_STACK)
    part: Literal["all", "platform", "workloads"] = "all"
    platform_stack: str | None = Field(None, description="stack that made the platform, e.g. organization/grove/h100")
    delete_crds: bool = Field(False, description="delete the CRDs, and so every Grove object, with the stack")
    adopt_crds: bool = Field(False, description="take over CRDs that the cluster has already, whoever made them")
    kubeconfig: SecretStr | None = Field(
        None, description="path or content; unset: $KUBECONFIG, else the local cluster"
    )
    cluster_identifier: str | None = Field(
        None, description="names the cluster, so that a new kubeconfig isn't a new one"
    )
    hf_token: SecretStr | None = None
    operator: OperatorConfig = OperatorConfig()
    platform: PlatformConfig = PlatformConfig()
    topology: TopologyConfig | None = None
    graph: GraphConfig | None = None
    pod_clique_sets: list[PodCliqueSetConfig] = Field(default_factory=list)
    workloads: list[WorkloadConfig] = Field(default_factory=list)
    tenants: list[TenantConfig] = Field(default_factory=list)

    @classmethod
    def load(cls) -> Self:
        """Read the running program's config. Raises InvalidInputError with all faults and the stack file's name."""
        project = pulumi.get_project()
        values = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
        mine = {key.split(":", 1)[1]: value for key, value in values.items() if key.startswith(f"{project}:")}
        secret = {key for key in mine if runtime_config.is_config_secret(f"{project}:{key}")}
        stack = pulumi.get_stack()
        return cls.parse(mine, secret, f"stacks/Pulumi.{stack}.yaml", project, stack)

    @classmethod
    def parse(
        cls,
        values: Mapping[str, Any],
        secret: frozenset[str] | set[str] = frozenset(),
        stack_file: str = "stack config",
        project: str = "grove",
        stack: str = LOCAL_STACK,
    ) -> Self:
        """Parse config values as the engine hands them over: strings, structured ones as JSON text."""
        misplaced = [
            f"{project}:{key}: holds a secret, which would be written to the cluster and the state in the open; "
            f"only {', '.join(sorted(SECRET_KEYS))} may be secret: refer to a Kubernetes Secret by name instead"
            for key in sorted(secret - SECRET_KEYS)
        ]
        parsed = {key: value if key in TEXT_KEYS else decoded(value) for key, value in values.items()}
        try:
            config = cls.model_validate(parsed)
        except ValidationError as error:
            raise InvalidInputError(stack_file, misplaced + [in_words(project, e) for e in error.errors()]) from None
        if misplaced:
            raise InvalidInputError(stack_file, misplaced)
        config._stack_file, config._stack = stack_file, stack
        return config

    @property
    def is_local(self) -> bool:
        """Whether this is the stack of the local cluster, where nothing comes from a registry."""
        return self._stack == LOCAL_STACK

    @property
    def makes_platform(self) -> bool:
        return self.part != "workloads"

    @property
    def makes_workloads(self) -> bool:
        return self.part != "platform"

    @property
    def sets(self) -> list[PodCliqueSetConfig]:
        """Every PodCliqueSet, as specs: those written out, then those of a shape."""
        return [*self.pod_clique_sets, *(workload.as_set() for workload in self.workloads)]

    def queue_of(self, namespace: str) -> str | None:
        """The scheduling queue of the tenant that has the namespace."""
        return next((tenant.queue for tenant in self.tenants if tenant.namespace == namespace), None)

    @property
    def stack_file(self) -> str:
        """Where the values came from, for messages."""
        return self._stack_file


def decoded(value: Any) -> Any:
    """Config values come as text; what reads as a JSON object, list, boolean or number is one."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def in_words(project: str, error: Mapping[str, Any]) -> str:
    """One pydantic error as `grove:graph.services: ...`; never shows the value of a secret."""
    keys = [str(part) for part in error["loc"]]
    path = "".join(f"[{key}]" if key.isdigit() else f".{key}" for key in keys).lstrip(".")
    if error["type"] == "extra_forbidden":
        return f"{project}:{path}: unknown key; remove it or correct its spelling"
    if error["type"] == "missing":
        return f"{project}:{path}: is missing; set it"
    shown = "" if keys[0] in SECRET_KEYS or isinstance(error["input"], dict | list) else f", not {error['input']!r}"
    return f"{project}:{path}: {error['msg'][0].lower()}{error['msg'][1:]}{shown}"
