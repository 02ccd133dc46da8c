"""The components of a local cluster as data: which program, which arguments, how one asks whether it is well.

```
etcd  <-  kube-apiserver  <-  kube-controller-manager, kube-scheduler, node-agent [, kwok]
```
Pure but for `free_ports`. All listen on 127.0.0.1; nothing is reachable from another machine.
"""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from grove_operator.localcluster.pki import Pki
from grove_operator.localcluster.state import LocalClusterError

LOOPBACK = "127.0.0.1"
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "persistentvolume-binder-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "resourceclaim-controller",
    "statefulset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "service-cidr-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "taint-eviction-controller",
    "ttl-after-finished-controller",
    "validatingadmissionpolicy-status-controller",
)
_PORT_RANGE = range(15000, 32000)  # below Linux' ephemeral ports, so that no outgoing connection takes one meanwhile


@dataclass(frozen=True)
class Probe:
    """GET https (http without `ca`) on loopback; well means status 200."""

    port: int
    path: str
    ca: Path | None = None
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Component:
    """One child process. Without a probe it is well while it lives."""

    name: str
    argv: tuple[str, ...]
    probe: Probe | None = None
    grace_s: float = 15.0


@dataclass(frozen=True)
class Ports:
    etcd: int
    etcd_peer: int
    apiserver: int
    controller_manager: int
    scheduler: int
    kwok: int

    @property
    def server(self) -> str:
        return f"https://{LOOPBACK}:{self.apiserver}"


def free_ports(count: int) -> list[int]:
    """So many distinct loopback ports that nobody listens on just now."""
    with ExitStack() as held:
        found: list[int] = []
        for port in random.sample(_PORT_RANGE, len(_PORT_RANGE)):
            if len(found) == count:
                return found
            claim = held.enter_context(socket.socket())
            try:
                claim.bind((LOOPBACK, port))
            except OSError:
                continue
            found.append(port)
    raise LocalClusterError(f"no {count} free ports on {LOOPBACK} between {_PORT_RANGE.start} and {_PORT_RANGE.stop}")


def is_port_free(port: int) -> bool:
    """Whether a server could listen there now: closing connections don't count, listeners on any address do."""
    with socket.socket() as claim:
        claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            claim.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose_ports(apiserver: int | None = None) -> Ports:
    etcd, etcd_peer, server, controller_manager, scheduler, kwok = free_ports(6)
    return Ports(etcd, etcd_peer, apiserver or server, controller_manager, scheduler, kwok)


def etcd(program: Path, ports: Ports, data: Path) -> Component:
    client, peer = (f"http://{LOOPBACK}:{port}" for port in (ports.etcd, ports.etcd_peer))
    argv = (
        str(program),
        "--unsafe-no-fsync",
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--quota-backend-bytes=8589934592",
        "--auto-compaction-retention=0",  # the API server compacts
        "--log-level=warn",
    )
    return Component("etcd", argv, Probe(ports.etcd, "/health"))


def kube_apiserver(program: Path, ports: Ports, pki: Pki, *, has_controllers: bool = True) -> Component:
    """`has_controllers=False`: nobody makes ServiceAccounts, so pods may be created without one."""
    argv = [
        str(program),
        f"--etcd-servers=http://{LOOPBACK}:{ports.etcd}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={ports.apiserver}",
        f"--tls-cert-file={pki.serving_cert}",
        f"--tls-private-key-file={pki.serving_key}",
        f"--client-ca-file={pki.ca}",
        f"--token-auth-file={pki.tokens}",
        f"--service-account-key-file={pki.service_account_public_key}",
        f"--service-account-signing-key-file={pki.service_account_key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=RBAC,Node",
        "--service-cluster-ip-range=10.0.0.0/16",
        "--endpoint-reconciler-type=none",
        "--max-requests-inflight=3000",
        "--max-mutating-requests-inflight=1000",
        "--allow-privileged=true",
        "--profiling=false",
    ]
    if not has_controllers:
        argv.append("--disable-admission-plugins=ServiceAccount")
    return Component("kube-apiserver", tuple(argv), Probe(ports.apiserver, "/readyz", pki.ca), grace_s=70.0)


QUICK_AUTOSCALER = (
    "--horizontal-pod-autoscaler-sync-period=2s",
    "--horizontal-pod-autoscaler-downscale-stabilization=5s",
    "--horizontal-pod-autoscaler-cpu-initialization-period=1s",
    "--horizontal-pod-autoscaler-initial-readiness-delay=1s",
)


def kube_controller_manager(program: Path, ports: Ports, pki: Pki, *, quick_autoscaler: bool = False) -> Component:
    """`quick_autoscaler`: scaling by load within seconds instead of minutes."""
    kubeconfig = pki.kubeconfig("kube-controller-manager")
    argv = (
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={ports.controller_manager}",
        f"--tls-cert-file={pki.serving_cert}",
        f"--tls-private-key-file={pki.serving_key}",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki.service_account_key}",
        f"--root-ca-file={pki.ca}",
        f"--controllers={','.join(CONTROLLERS)}",
        "--kube-api-qps=1000",
        "--kube-api-burst=2000",
        "--concurrent-gc-syncs=50",
        "--concurrent-deployment-syncs=20",
        "--concurrent-replicaset-syncs=20",
        "--concurrent-namespace-syncs=20",
        "--profiling=false",
        *(QUICK_AUTOSCALER if quick_autoscaler else ()),
    )
    return Component("kube-controller-manager", argv, Probe(ports.controller_manager, "/healthz", pki.ca))


def kube_scheduler(program: Path, ports: Ports, pki: Pki, config: Path) -> Component:
    kubeconfig = pki.kubeconfig("kube-scheduler")
    argv = (
        str(program),
        f"--config={config}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={ports.scheduler}",
        f"--tls-cert-file={pki.serving_cert}",
        f"--tls-private-key-file={pki.serving_key}",
    )
    return Component("kube-scheduler", argv, Probe(ports.scheduler, "/healthz", pki.ca))


def kube_scheduler_config(pki: Pki) -> Mapping[str, object]:
    """KubeSchedulerConfiguration; JSON is YAML, so it is written as JSON."""
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(pki.kubeconfig("kube-scheduler")), "qps": 1000, "burst": 2000},
        "leaderElection": {"leaderElect": False},
        "enableProfiling": False,
    }


def node_agent(ports: Ports, pki: Pki, fleet: Path, state_dir: Path) -> Component:
    argv = (
        sys.executable,
        "-m",
        "grove_operator.localcluster.agent",
        f"--kubeconfig={pki.kubeconfig('node-agent')}",
        f"--fleet={fleet}",
        f"--state-dir={state_dir}",
        f"--apiserver={ports.server}",
    )
    return Component("node-agent", argv, grace_s=45.0)
