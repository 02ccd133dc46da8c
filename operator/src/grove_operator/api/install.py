"""Every object that an installation needs beside the CRDs, as plain manifests in the order to apply them.

    Namespace, ServiceAccounts, RBAC, ConfigMap, certificate Secret, Service, Deployments, webhook configurations

The webhook configurations come last: with `failurePolicy: Fail` nothing can be admitted before the operator serves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from grove_operator.api import kinds, webhooks
from grove_operator.api.config import ConfigError, OperatorConfiguration, config_json, parse_config
from grove_operator.api.constants import (
    ANNOTATION_FORCE_DELETION,
    APP_NAME,
    COMPONENT,
    CONVERSION_NAME,
    INIT_CONTAINER,
    OPERATOR_NAME,
    OPERATOR_NAMESPACE,
    PART_OF,
)
from grove_operator.api.constants import SCHEDULER_NAME as SCHEDULER
from grove_operator.api.install_conversion import CONVERSION_SECRET, DEFAULT_PORT, conversion_pod
from grove_operator.api.kinds import Json, Kind
from grove_operator.api.rbac import OPERATOR_LEASE_RULES, SCHEDULER_LEASE_RULES, operator_rules, scheduler_rules

CONFIG_MAP = "grove-operator-cm"
CONFIG_KEY = "config.yaml"
CONFIG_HASH = "grove.io/config-hash"
CONFIG_DIR = "/etc/grove-operator/config"
DEFAULT_IMAGE = "ghcr.io/grove-py/grove-operator:0.1.0"
DEFAULT_RESOURCES: Mapping[str, Mapping[str, str]] = {
    "requests": {"cpu": "50m", "memory": "128Mi"},
    "limits": {"memory": "1Gi"},
}


NAMES = (OPERATOR_NAME, SCHEDULER, CONVERSION_NAME)
"""The Deployments, each under a ServiceAccount of its own."""


@dataclass(frozen=True, slots=True)
class InstallOptions:
    """What may differ between installations. Ports are host-wide where pods share the host, hence all adjustable."""

    namespace: str = OPERATOR_NAMESPACE
    image: str = DEFAULT_IMAGE
    image_pull_policy: str = "IfNotPresent"
    operator_replicas: int = 1
    scheduler_replicas: int = 1
    webhook_port: int = 9443
    health_port: int = 9444
    metrics_port: int = 9445
    scheduler_health_port: int = 9446
    scheduler_metrics_port: int = 9447
    conversion_port: int = DEFAULT_PORT
    service_external_name: str | None = None
    """Make the Services an ExternalName, for API servers that reach the operator on their own host."""
    webhook_ca_bundle: str = ""
    """Base64 of the PEM bundle that signed the certificates, for `certProvisionMode: manual` only."""
    webhook_annotations: Mapping[str, str] = field(default_factory=dict)
    """For the webhook configurations, as a certificate injector wants them."""
    force: bool = False
    """Allow the operator to be deleted while PodCliqueSets exist."""
    config: Mapping[str, object] = field(default_factory=dict)
    """Deep-merged over the generated OperatorConfiguration."""
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: DEFAULT_RESOURCES)


def operator_configuration(options: InstallOptions) -> OperatorConfiguration:
    """The configuration that the ConfigMap will hold. Raises ConfigError when the overrides are wrong."""
    base: Json = {
        "leaderElection": {"enabled": True, "resourceNamespace": options.namespace},
        "server": {
            "webhooks": {"port": options.webhook_port},
            "healthProbes": {"port": options.health_port},
            "metrics": {"port": options.metrics_port},
        },
        "gangScheduler": {"healthPort": options.scheduler_health_port, "metricsPort": options.scheduler_metrics_port},
        "dynamo": {"conversionPort": options.conversion_port},
    }
    return parse_config(_merged(base, options.config))


def install_manifests(options: InstallOptions | None = None) -> list[Json]:
    """Everything but the CRDs, in apply order. Raises ConfigError when `options.config` is wrong."""
    options = options or InstallOptions()
    config = operator_configuration(options)
    return [
        _deletable(options, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": options.namespace}}),
        *(_object(options, kinds.SERVICE_ACCOUNT, name, name) for name in NAMES),
        *_rbac(options),
        *_configuration(options, config),
        _service(options, OPERATOR_NAME, webhooks=options.webhook_port, metrics=options.metrics_port),
        _service(options, CONVERSION_NAME, conversion=options.conversion_port),
        _conversion(options, config),
        _deployment(options, OPERATOR_NAME, "manager", options.operator_replicas, _operator_ports(options)),
        _deployment(options, SCHEDULER, "scheduler", options.scheduler_replicas, _scheduler_ports(options)),
        *webhook_configurations(options),
    ]


def webhook_configurations(options: InstallOptions | None = None) -> list[Json]:
    """The webhook configurations alone; the authorizer's only when the configuration enables it."""
    options = options or InstallOptions()
    config = operator_configuration(options)
    is_manual = config.server.webhooks.cert_provision_mode == "manual"
    if options.webhook_ca_bundle and not is_manual:
        raise ConfigError("webhook_ca_bundle needs server.webhooks.certProvisionMode: manual; the operator has its own")
    return webhooks.webhook_configurations(
        namespace=options.namespace,
        service=OPERATOR_NAME,
        port=options.webhook_port,
        authorizer=config.authorizer.enabled,
        labels=_labels(OPERATOR_NAME),
        annotations=options.webhook_annotations,
        ca_bundle=options.webhook_ca_bundle,
    )


def _labels(component: str) -> dict[str, str]:
    # Not the managed-by label: clients wait for its absence when they clean up workloads.
    return {APP_NAME: component, PART_OF: "grove", COMPONENT: component}


def _object(options: InstallOptions, kind: Kind, name: str, component: str, **body: object) -> Json:
    metadata: Json = {"name": name, "labels": _labels(component)}
    if kind.namespaced:
        metadata["namespace"] = options.namespace
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **body}


def _rbac(options: InstallOptions) -> list[Json]:
    schedulers = operator_configuration(options).scheduler.names
    rules = operator_rules(webhooks.MUTATING_NAMES, webhooks.VALIDATING_NAMES, schedulers)
    grants = (
        (OPERATOR_NAME, rules, OPERATOR_LEASE_RULES),
        (SCHEDULER, scheduler_rules(), SCHEDULER_LEASE_RULES),
    )
    out: list[Json] = []
    for name, cluster_rules, lease_rules in grants:
        full, local = f"grove:system:{name}", f"grove:system:{name}-lease"
        subjects = [{"kind": "ServiceAccount", "name": name, "namespace": options.namespace}]
        group = kinds.ROLE.group
        out += [
            _object(options, kinds.CLUSTER_ROLE, full, name, rules=cluster_rules),
            _object(
                options,
                kinds.CLUSTER_ROLE_BINDING,
                full,
                name,
                roleRef={"apiGroup": group, "kind": "ClusterRole", "name": full},
                subjects=subjects,
            ),
            _object(options, kinds.ROLE, local, name, rules=lease_rules),
            _object(
                options,
                kinds.ROLE_BINDING,
                local,
                name,
                roleRef={"apiGroup": group, "kind": "Role", "name": local},
                subjects=subjects,
            ),
        ]
    return out


def _configuration(options: InstallOptions, config: OperatorConfiguration) -> list[Json]:
    text = yaml.safe_dump(config_json(config), sort_keys=False)
    out = [_object(options, kinds.CONFIG_MAP, CONFIG_MAP, OPERATOR_NAME, data={CONFIG_KEY: text})]
    if config.server.webhooks.cert_provision_mode == "auto":
        out.append(_object(options, kinds.SECRET, config.server.webhooks.secret_name, OPERATOR_NAME, type="Opaque"))
        out.append(_object(options, kinds.SECRET, CONVERSION_SECRET, CONVERSION_NAME, type="Opaque"))
    return out


def _service(options: InstallOptions, name: str, **named: int) -> Json:
    ports = [{"name": k, "port": port, "targetPort": port, "protocol": "TCP"} for k, port in named.items()]
    spec: Json = {"ports": ports}
    if options.service_external_name:
        spec |= {"type": "ExternalName", "externalName": options.service_external_name}
    else:
        spec |= {"type": "ClusterIP", "selector": {APP_NAME: name}}
    return _object(options, kinds.SERVICE, name, name, spec=spec)


def _operator_ports(options: InstallOptions) -> dict[str, int]:
    return {"webhooks": options.webhook_port, "health": options.health_port, "metrics": options.metrics_port}


def _scheduler_ports(options: InstallOptions) -> dict[str, int]:
    return {"health": options.scheduler_health_port, "metrics": options.scheduler_metrics_port}


def _deployment(options: InstallOptions, name: str, container: str, replicas: int, ports: Mapping[str, int]) -> Json:
    field_env = {
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
        "POD_IP": "status.podIP",
        "GROVE_OPERATOR_SERVICE_ACCOUNT_NAME": "spec.serviceAccountName",
    }
    env: list[Json] = [{"name": k, "valueFrom": {"fieldRef": {"fieldPath": v}}} for k, v in field_env.items()]
    env.append({"name": "GROVE_INIT_CONTAINER_IMAGE", "value": _init_repository(options.image)})
    pod: Json = {
        "serviceAccountName": name,
        "terminationGracePeriodSeconds": 10,
        "containers": [
            {
                "name": container,
                "image": options.image,
                "imagePullPolicy": options.image_pull_policy,
                "command": [name],
                "args": ["--config", f"{CONFIG_DIR}/{CONFIG_KEY}"],
                "env": env,
                "ports": [{"name": k, "containerPort": v, "protocol": "TCP"} for k, v in ports.items()],
                "livenessProbe": _probe("/healthz", ports["health"], delay_s=15),
                "readinessProbe": _probe("/readyz", ports["health"], delay_s=1),
                "resources": {k: dict(v) for k, v in options.resources.items()},
                "volumeMounts": [{"name": "config", "mountPath": CONFIG_DIR, "readOnly": True}],
            }
        ],
        "volumes": [{"name": "config", "configMap": {"name": CONFIG_MAP}}],
    }
    webhook_server = operator_configuration(options).server.webhooks
    if name == OPERATOR_NAME and webhook_server.cert_provision_mode == "manual":
        mount = {"name": "certificate", "mountPath": webhook_server.server_cert_dir, "readOnly": True}
        pod["containers"][0]["volumeMounts"].append(mount)
        pod["volumes"].append({"name": "certificate", "secret": {"secretName": webhook_server.secret_name}})
    deployment = _replicated(options, name, replicas, pod, {CONFIG_HASH: _config_hash(options)})
    return _deletable(options, deployment) if name == OPERATOR_NAME else deployment


def _conversion(options: InstallOptions, config: OperatorConfiguration) -> Json:
    """As many as there are operators. Certificates provided by hand must cover its Service's name too."""
    is_manual = config.server.webhooks.cert_provision_mode == "manual"
    secret = config.server.webhooks.secret_name if is_manual else CONVERSION_SECRET
    pod = conversion_pod(options.image, options.image_pull_policy, options.conversion_port, secret, options.resources)
    return _replicated(options, CONVERSION_NAME, options.operator_replicas, pod)


def _replicated(
    options: InstallOptions, name: str, replicas: int, pod: Json, annotations: Mapping[str, str] | None = None
) -> Json:
    metadata: Json = {"labels": _labels(name)}
    if annotations:
        metadata["annotations"] = dict(annotations)
    selector = {"matchLabels": {APP_NAME: name}}
    spec = {"replicas": replicas, "selector": selector, "template": {"metadata": metadata, "spec": pod}}
    return _object(options, kinds.DEPLOYMENT, name, name, spec=spec)


def _deletable(options: InstallOptions, manifest: Json) -> Json:
    if options.force:
        manifest["metadata"]["annotations"] = {ANNOTATION_FORCE_DELETION: "true"}
    return manifest


def _config_hash(options: InstallOptions) -> str:
    """Rolls the pods when the configuration changes, which they read once at start."""
    canonical = json.dumps(config_json(operator_configuration(options)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def repository(image: str) -> str:
    """The image without tag and digest; a colon before the last slash belongs to the registry's port."""
    image = image.partition("@")[0]
    path, slash, name = image.rpartition("/")
    return f"{path}{slash}{name.partition(':')[0]}"


def _init_repository(image: str) -> str:
    """Where `grove-initc` lies, without a tag: beside the operator's image, wherever that was mirrored to."""
    return f"{repository(image).rpartition('/')[0]}/{INIT_CONTAINER}".removeprefix("/")


def _probe(path: str, port: int, *, delay_s: int) -> Json:
    return {"httpGet": {"path": path, "port": port}, "initialDelaySeconds": delay_s, "periodSeconds": 2}


def _merged(base: Mapping[str, object], over: Mapping[str, object]) -> Json:
    out: Json = dict(base)
    for key, value in over.items():
        below = out.get(key)
        out[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return out
