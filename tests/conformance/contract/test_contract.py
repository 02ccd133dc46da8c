"""The real API server passes the cases that the simulated one is built on (tests/sim/test_contract)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from grove_operator.api.crds import all_crds
from grove_operator.api.kinds import CRD, NAMESPACE, POD, POD_CLIQUE
from grove_operator.engine.ports import NotFound
from grove_operator.kube.client import HttpKubeApi
from grove_operator.localcluster.controlplane_bare import BareControlPlane
from tests.support.contract import CASES, Case, Place
from tests.support.deployed import until

pytestmark = pytest.mark.needs_tools


@pytest.fixture(scope="module")
def served(control_plane: BareControlPlane) -> BareControlPlane:
    """With the CRD of PodCliques."""
    asyncio.run(_serve(control_plane))
    return control_plane


async def _serve(plane: BareControlPlane) -> None:
    async with HttpKubeApi.from_kubeconfig(plane.kubeconfig) as api:
        (crd,) = (c for c in all_crds() if c["spec"]["names"]["kind"] == POD_CLIQUE.kind)
        try:
            await api.get(CRD, None, crd["metadata"]["name"])
        except NotFound:
            await api.create(CRD, None, crd)

        async def is_served() -> bool:
            try:
                await api.list(POD_CLIQUE)
            except NotFound:
                return False
            return True

        await until(is_served, 30)


@pytest.fixture
async def place(served: BareControlPlane) -> AsyncIterator[Place]:
    async with HttpKubeApi.from_kubeconfig(served.kubeconfig) as api:
        namespace = f"contract-{uuid.uuid4().hex[:8]}"
        await api.create(NAMESPACE, None, {"metadata": {"name": namespace}})
        yield Place(api, namespace)
        for pod in (await api.list(POD, namespace=namespace)).items:  # a bound one goes when its node says so: nobody
            await api.delete(POD, namespace, pod["metadata"]["name"], grace_s=0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_the_real_server_keeps_the_contract(place: Place, case: Case) -> None:
    await case(place)
