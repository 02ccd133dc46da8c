"""The operator's configuration file: `operator.config.grove.io/v1alpha1`, kind `OperatorConfiguration`.

Decoding is lenient as in Grove: unknown keys are ignored, so that a file for another release still loads. Values of
known keys are checked, and all problems are reported together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from grove_operator.api.constants import (
    DEFAULT_TERMINATION_DELAY,
    OPERATOR_LEASE,
    SCHEDULER_LEASE,
    SCHEDULER_NAME,
)
from grove_operator.api.duration import duration_s
from grove_operator.api.kinds import Json

API_VERSION: Literal["operator.config.grove.io/v1alpha1"] = "operator.config.grove.io/v1alpha1"
KIND: Literal["OperatorConfiguration"] = "OperatorConfiguration"
BACKENDS = (SCHEDULER_NAME, "kai-scheduler", "default-scheduler", "volcano", "lpx-scheduler")
"""Scheduler backends a profile may name."""
TOPOLOGY_AWARE_BACKENDS = (SCHEDULER_NAME, "kai-scheduler")


class ConfigError(ValueError):
    """The configuration cannot be used; the message has one line for each problem."""


class _Section(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class RuntimeClientConnection(_Section):
    qps: float = Field(100, ge=0)
    burst: int = Field(120, ge=0)
    content_type: str = ""
    accept_content_types: str = ""


class LeaderElection(_Section):
    enabled: bool = False
    lease_duration: str = "15s"
    renew_deadline: str = "10s"
    retry_period: str = "2s"
    resource_lock: Literal["leases"] = "leases"
    resource_name: str = Field(OPERATOR_LEASE, min_length=1)
    resource_namespace: str = ""
    scheduler_resource_name: str = Field(SCHEDULER_LEASE, min_length=1)

    @field_validator("lease_duration", "renew_deadline", "retry_period")
    @classmethod
    def _is_a_duration(cls, text: str) -> str:
        duration_s(text)
        return text

    @model_validator(mode="after")
    def _lease_outlives_renewal(self) -> Self:
        """Only where there are elections: a file that switches them off may say what it likes."""
        for name in ("lease_duration", "renew_deadline", "retry_period") if self.enabled else ():
            if duration_s(getattr(self, name)) <= 0:
                raise ValueError(f"{to_camel(name)} must be longer than 0")
        if self.enabled and duration_s(self.lease_duration) <= duration_s(self.renew_deadline):
            raise ValueError(f"leaseDuration {self.lease_duration} must exceed renewDeadline {self.renew_deadline}")
        return self


class _Listener(_Section):
    bind_address: str = ""
    port: int = Field(0, ge=0, le=65535)


class WebhookServer(_Listener):
    port: int = Field(2750, ge=0, le=65535)
    server_cert_dir: str = "/etc/grove-operator/webhook-certs"
    secret_name: str = "grove-webhook-server-cert"  # noqa: S105 - a name, not a secret
    cert_provision_mode: Literal["auto", "manual"] = "auto"


class HealthProbes(_Listener):
    port: int = Field(2751, ge=0, le=65535)


class Metrics(_Listener):
    port: int = Field(2752, ge=0, le=65535)


class Server(_Section):
    webhooks: WebhookServer = WebhookServer()
    health_probes: HealthProbes = HealthProbes()
    metrics: Metrics = Metrics()


class Debugging(_Section):
    enable_profiling: bool | None = None
    pprof_bind_host: str = "127.0.0.1"
    pprof_bind_port: int = 2753


class ConcurrentSyncs(_Section):
    concurrent_syncs: int = Field(10, gt=0)


class Controllers(_Section):
    """Kept for compatibility: this operator has one loop, in which a sync of one object never waits for another's."""

    pod_clique_set: ConcurrentSyncs = ConcurrentSyncs()
    pod_clique: ConcurrentSyncs = ConcurrentSyncs()
    pod_clique_scaling_group: ConcurrentSyncs = ConcurrentSyncs(concurrent_syncs=5)
    pod_gang: ConcurrentSyncs = ConcurrentSyncs(concurrent_syncs=5)


EXEMPT_USERS = (
    "system:kube-controller-manager",
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:horizontal-pod-autoscaler",
    "system:serviceaccount:kube-system:namespace-controller",
    "system:serviceaccount:kai-scheduler:pod-grouper",
    "system:serviceaccount:kai-scheduler:binder",
)
"""Parts of a cluster that have to change generated objects: they fill tokens in, collect, empty namespaces, bind."""


class Authorizer(_Section):
    """Protection of generated objects. The operator's own account and our scheduler's are always exempt."""

    enabled: bool = False
    exempt_service_account_user_names: list[str] = list(EXEMPT_USERS)


class TopologyAwareScheduling(_Section):
    enabled: bool = True


class Network(_Section):
    auto_mnnvl_enabled: bool = Field(False, alias="autoMNNVLEnabled")


class SchedulerProfile(_Section):
    name: str
    config: dict[str, Any] | None = None

    @field_validator("name")
    @classmethod
    def _is_a_backend(cls, name: str) -> str:
        if name not in BACKENDS:
            raise ValueError(f"unknown scheduler profile {name!r}; known are {', '.join(BACKENDS)}")
        return name


class Scheduler(_Section):
    profiles: list[SchedulerProfile] = [SchedulerProfile(name=name) for name in BACKENDS[:3]]
    default_profile_name: str = SCHEDULER_NAME

    @model_validator(mode="after")
    def _default_is_a_profile(self) -> Self:
        names = [profile.name for profile in self.profiles]
        if len(set(names)) < len(names):
            raise ValueError(
                f"profiles are listed twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}"
            )
        if "default-scheduler" not in names:
            self.profiles.append(SchedulerProfile(name="default-scheduler"))
            names.append("default-scheduler")
        if self.default_profile_name not in names:
            raise ValueError(
                f"defaultProfileName {self.default_profile_name!r} is not among the profiles {', '.join(names)}; add it"
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(profile.name for profile in self.profiles)


class GangScheduler(_Section):
    """Our own gang scheduler, which reads the same file."""

    bind_address: str = ""
    health_port: int = Field(2754, ge=0, le=65535)
    metrics_port: int = Field(2755, ge=0, le=65535)
    binds_in_flight: int = Field(64, gt=0)
    scheduler_names: list[str] = Field(
        default_factory=list,
        description="further names that it answers to, for clusters where nobody else does: kai-scheduler, "
        "default-scheduler; events say the name that the pod asked for",
    )


class Dynamo(_Section):
    """For DynamoGraphDeployments: addresses that every container finds in its environment, and defaults."""

    nats: str = ""
    etcd: str = ""
    model_express: str = ""
    prometheus: str = ""
    discovery: Literal["kubernetes", "etcd"] = "kubernetes"
    termination_delay: str = DEFAULT_TERMINATION_DELAY
    ingress_class: str = ""
    ingress_suffix: str = "local"
    mpi_secret: str = "mpi-run-ssh-secret"  # noqa: S105 - a name, not a secret
    reconcile: Literal["auto", "always", "never"] = Field(
        "auto", description="auto: unless NVIDIA's own operator is in the cluster"
    )
    serve_v1beta1: bool = Field(
        True,
        alias="serveV1beta1",
        description="serve v1beta1 and store graphs in it, as soon as the conversion server answers",
    )
    conversion_port: int = Field(9448, ge=1, le=65535, description="of the conversion server's Service")

    @field_validator("termination_delay")
    @classmethod
    def _is_positive(cls, text: str) -> str:
        if duration_s(text) <= 0:
            raise ValueError("must be longer than 0")
        return text


class OperatorConfiguration(_Section):
    """The whole file; every default is Grove's except topology-aware scheduling (on) and the default profile (ours)."""

    api_version: Literal["operator.config.grove.io/v1alpha1"] = API_VERSION
    kind: Literal["OperatorConfiguration"] = KIND
    runtime_client_connection: RuntimeClientConnection = RuntimeClientConnection()
    leader_election: LeaderElection = LeaderElection()
    server: Server = Server()
    debugging: Debugging = Debugging()
    controllers: Controllers = Controllers()
    log_level: Literal["debug", "info", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    authorizer: Authorizer = Authorizer()
    topology_aware_scheduling: TopologyAwareScheduling = TopologyAwareScheduling()
    network: Network = Network()
    scheduler: Scheduler = Scheduler()
    gang_scheduler: GangScheduler = GangScheduler()
    dynamo: Dynamo = Dynamo()


def parse_config(data: Mapping[str, Any]) -> OperatorConfiguration:
    """Check a decoded file. Raises ConfigError with one line for each problem."""
    try:
        return OperatorConfiguration.model_validate(data)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"]) or "configuration"
            lines.append(f"{where}: {problem['msg'].removeprefix('Value error, ')}")
        raise ConfigError("\n".join(lines)) from None


def load_config(text: str) -> OperatorConfiguration:
    """Parse a configuration file's text (YAML or JSON). Raises ConfigError."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"not YAML: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"expected a mapping with apiVersion {API_VERSION} and kind {KIND}")
    return parse_config(data)


def config_json(config: OperatorConfiguration) -> Json:
    """The complete file as plain JSON."""
    return config.model_dump(mode="json", by_alias=True, exclude_none=True)
