"""Just etcd and kube-apiserver, as children of this process: for tests and benchmarks that need nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from grove_operator.localcluster.controlplane import choose_ports, etcd, kube_apiserver
from grove_operator.localcluster.pki import USERS, ensure_pki, write_kubeconfig
from grove_operator.localcluster.supervisor_children import Children
from grove_operator.localcluster.tools import locate


@dataclass(frozen=True)
class BareControlPlane:
    """An API server without controllers: nothing is collected, scheduled or made ready; pods need no ServiceAccount."""

    root: Path
    server: str
    ca: Path
    kubeconfig: Path
    token: str = field(repr=False)
    etcd: str = ""
    """Where etcd itself listens, for those who want to see what is stored."""


@contextmanager
def bare_control_plane(root: Path, *, name: str = "bare", apiserver: Path | None = None) -> Iterator[BareControlPlane]:
    """Ready on entry, really gone on exit; all its files are below `root`. Raises LocalClusterError.

    `apiserver` is the program to run where another than the pinned one is wanted.
    """
    programs = [locate("etcd"), apiserver or locate("kube-apiserver")]
    pki = ensure_pki(root / "pki")
    ports = choose_ports()
    kubeconfig = root / "kubeconfig"
    token = pki.token("admin")
    write_kubeconfig(kubeconfig, cluster=name, server=ports.server, ca=pki.ca, user=USERS["admin"][0], token=token)
    children = Children(root, root / "logs")
    try:
        for component in (
            etcd(programs[0], ports, root / "etcd"),
            kube_apiserver(programs[1], ports, pki, has_controllers=False),
        ):
            children.wait_until_well(children.start(component))
        yield BareControlPlane(root, ports.server, pki.ca, kubeconfig, token, f"http://127.0.0.1:{ports.etcd}")
    finally:
        children.stop()
