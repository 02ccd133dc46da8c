"""A control plane for these tests alone: CRDs and namespaces that other tests left would decide what happens here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grove_operator.localcluster.controlplane_bare import BareControlPlane, bare_control_plane


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareControlPlane]:
    with bare_control_plane(tmp_path_factory.mktemp("standin-control-plane")) as running:
        yield running
