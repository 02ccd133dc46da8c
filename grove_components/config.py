"""The typed form of a stack file: every key, its type and its default. One error lists everything that is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

import pulumi
from pulumi.runtime import config as runtime_config
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError
from pydantic.alias_generators import to_camel

from grove_components.checks import InvalidInputError
from grove_components.manifests import Wait
from grove_operator.api.constants import DEFAULT_TOPOLOGY, OPERATOR_NAMESPACE
from grove_operator.api.kinds import Json

SECRET_KEYS = frozenset({"hfToken", "kubeconfig"})
"""Keys that may be secret; anywhere else a secret would end up in the open, so it is refused."""

TEXT_KEYS = SECRET_KEYS | {"clusterIdentifier"}


class Section(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Level(Section):
    domain: str
    key: str


class TopologyConfig(Section):
    """The one ClusterTopologyBinding of the stack; levels broadest first."""

    name: str = DEFAULT_TOPOLOGY
    levels: list[Level] = Field(min_length=1)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return [(level.domain, level.key) for level in self.levels]


class OperatorConfig(Section):
    """How operator and scheduler are installed. Ports matter only where several clusters share one host."""

    namespace: str = OPERATOR_NAMESPACE
    image: str = "ghcr.io/grove-py/grove-operator:0.1.0"
    replicas: int = Field(1, ge=1)
    scheduler_replicas: int = Field(1, ge=1)
    webhook_port: int = Field(9443, ge=1, le=65535)
    health_port: int = Field(9444, ge=1, le=65535)
    metrics_port: int = Field(9445, ge=1, le=65535)
    scheduler_health_port: int = Field(9446, ge=1, le=65535)
    scheduler_metrics_port: int = Field(9447, ge=1, le=65535)
    service_external_name: str | None = Field(None, description="host behind the webhook Service; unset: the pods")
    config: Json = Field({}, description="merged over the generated OperatorConfiguration")


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


class StackConfig(Section):
    """Everything a stack file may say below `grove:`."""

    _stack_file: str = PrivateAttr("stack config")
    delete_crds: bool = Field(False, description="delete the CRDs, and so every Grove object, with the stack")
    kubeconfig: SecretStr | None = Field(
        None, description="path or content; unset: $KUBECONFIG, else the local cluster"
    )
    cluster_identifier: str | None = Field(
        None, description="names the cluster, so that a new kubeconfig isn't a new one"
    )
    hf_token: SecretStr | None = None
    operator: OperatorConfig = OperatorConfig()
    topology: TopologyConfig | None = None
    graph: GraphConfig | None = None
    pod_clique_sets: list[PodCliqueSetConfig] = []

    @classmethod
    def load(cls) -> Self:
        """Read the running program's config. Raises InvalidInputError with all faults and the stack file's name."""
        project = pulumi.get_project()
        values = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
        mine = {key.split(":", 1)[1]: value for key, value in values.items() if key.startswith(f"{project}:")}
        secret = {key for key in mine if runtime_config.is_config_secret(f"{project}:{key}")}
        return cls.parse(mine, secret, f"stacks/Pulumi.{pulumi.get_stack()}.yaml", project)

    @classmethod
    def parse(
        cls,
        values: Mapping[str, Any],
        secret: frozenset[str] | set[str] = frozenset(),
        stack_file: str = "stack config",
        project: str = "grove",
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
        config._stack_file = stack_file
        return config

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
