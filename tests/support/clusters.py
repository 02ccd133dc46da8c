"""Fixtures with real control planes. `control_plane` is quick and bare; `cluster` is all that `grove up` brings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grove_operator.localcluster.controlplane_bare import BareControlPlane, bare_control_plane


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareControlPlane]:
    """etcd and kube-apiserver only, one per test process; keep tests apart by namespaces and names."""
    with bare_control_plane(tmp_path_factory.mktemp("control-plane")) as running:
        yield running
