"""Fixtures with real control planes. `control_plane` is quick and bare; `cluster` is all that `grove up` brings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from grove_operator.localcluster.controlplane_bare import BareControlPlane, bare_control_plane
from grove_operator.localcluster.state import DEFAULT_NAME
from grove_operator.localcluster.supervisor_control import UpOptions, down, up
from grove_operator.localcluster.tools_report import PlainReport


@dataclass(frozen=True)
class LocalCluster:
    """A running local cluster in a home of its own. `environment` makes `grove` and `kubectl` use this one."""

    home: Path
    kubeconfig: Path
    apiserver: str

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"GROVE_HOME": str(self.home), "KUBECONFIG": str(self.kubeconfig)}


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareControlPlane]:
    """etcd and kube-apiserver only, one per test process; keep tests apart by namespaces and names."""
    with bare_control_plane(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """The whole local cluster with the local fleet, one per test process; keep tests apart by namespaces and names."""
    home = tmp_path_factory.mktemp("grove-home")
    state = up(UpOptions(DEFAULT_NAME), PlainReport(), home).state
    try:
        yield LocalCluster(home, Path(state.kubeconfig), state.apiserver)
    finally:
        down(DEFAULT_NAME, delete=True, home=home)
