"""NATS, etcd and KAI's queues as plain manifests, under the names that NVIDIA's chart gives them.

dynamo-platform-nats-0    Service dynamo-platform-nats, port 4222
dynamo-platform-etcd-0    Service dynamo-platform-etcd, port 2379
"""

from __future__ import annotations

from collections.abc import Sequence

from grove_components.manifests import annotated, namespace, waiting_for
from grove_components.platform_config import PlatformConfig
from grove_operator.api.kinds import Json

RELEASE = "dynamo-platform"
SKIP_AWAIT = "pulumi.com/skipAwait"
NATS_IMAGE, ETCD_IMAGE = "docker.io/library/nats:2.12-alpine", "docker.io/bitnamilegacy/etcd:3.5.18"
NATS_PORT, NATS_MONITOR_PORT, ETCD_PORT = 4222, 8222, 2379
KAI_API = "scheduling.run.ai/v2"
RESOURCES = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
UNLIMITED = {"quota": -1, "limit": -1, "overQuotaWeight": 1}


def platform_manifests(config: PlatformConfig) -> list[Json]:
    """Everything in apply order; nothing unless `install` is manifests."""
    if config.install != "manifests":
        return []
    out = [namespace(config.namespace)]
    if config.nats:
        out += _server(config.namespace, "nats", NATS_IMAGE, ["nats-server", *_nats_args()], NATS_PORT, _NATS_READY)
    if config.etcd:
        out += _server(config.namespace, "etcd", ETCD_IMAGE, ["etcd", *_etcd_args()], ETCD_PORT, _ETCD_READY)
    return [*out, *(kai_queues() if config.kai_queues else ())]


def nats_address(config: PlatformConfig) -> str:
    """What the operator tells every container; "" where the stack has no NATS."""
    has_one = config.install != "none" and config.nats
    return f"nats://{RELEASE}-nats.{config.namespace}.svc.cluster.local:{NATS_PORT}" if has_one else ""


def etcd_address(config: PlatformConfig) -> str:
    has_one = config.install != "none" and config.etcd
    return f"http://{RELEASE}-etcd.{config.namespace}.svc.cluster.local:{ETCD_PORT}" if has_one else ""


def kai_queues() -> list[Json]:
    """The queue `dynamo` that graphs wait in by default, below `dynamo-default`; both without limits."""
    resources = {name: dict(UNLIMITED) for name in ("cpu", "gpu", "memory")}

    def queue(name: str, weight: int, parent: str = "") -> Json:
        spec: Json = {"priority": weight, "resources": resources} | ({"parentQueue": parent} if parent else {})
        return {"apiVersion": KAI_API, "kind": "Queue", "metadata": {"name": name}, "spec": spec}

    return [queue("dynamo-default", 100), queue("dynamo", 101, "dynamo-default")]


_NATS_READY: Json = {"httpGet": {"path": "/healthz", "port": NATS_MONITOR_PORT}, "periodSeconds": 2}
_ETCD_READY: Json = {"tcpSocket": {"port": ETCD_PORT}, "periodSeconds": 5}


def _nats_args() -> list[str]:
    return ["-p", str(NATS_PORT), "-m", str(NATS_MONITOR_PORT)]


def _etcd_args() -> list[str]:
    urls = f"http://0.0.0.0:{ETCD_PORT}"
    return ["--listen-client-urls", urls, "--advertise-client-urls", urls, "--data-dir", "/tmp/etcd"]  # noqa: S108


def _server(where: str, name: str, image: str, argv: Sequence[str], port: int, ready: Json) -> list[Json]:
    """A Service and a StatefulSet of one pod. State is kept in the pod: a restart loses registrations, not models."""
    full = f"{RELEASE}-{name}"
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": RELEASE}
    metadata = {"name": full, "namespace": where, "labels": labels}
    container: Json = {
        "name": name,
        "image": image,
        "command": [argv[0]],
        "args": list(argv[1:]),
        "ports": [{"name": "client", "containerPort": port, "protocol": "TCP"}],
        "readinessProbe": ready,
        "resources": RESOURCES,
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"serviceName": full, "replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    ports = [{"name": "client", "port": port, "targetPort": port, "protocol": "TCP"}]
    # Pulumi would wait for endpoints, which pods with loopback addresses (the local cluster's) never get.
    service = annotated({"apiVersion": "v1", "kind": "Service", "metadata": metadata}, {SKIP_AWAIT: "true"})
    stateful: Json = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}
    return [
        {**service, "spec": {"selector": labels, "ports": ports}},
        waiting_for(stateful, "jsonpath={.status.readyReplicas}=1"),
    ]
