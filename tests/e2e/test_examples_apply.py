"""Manifests written for Grove need no change: `kubectl apply --server-side` of every example, admission included."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from grove_operator.api.kinds import CLUSTER_TOPOLOGY_BINDING, POD, POD_CLIQUE_SET, POD_GANG, Json
from grove_operator.kube.client import HttpKubeApi
from tests.support.operated import Namespace, Operated
from tests.support.project import ROOT

pytestmark = pytest.mark.needs_tools
MANIFESTS = sorted((ROOT / "examples").rglob("*.yaml"))
LEVELS: Json = [{"domain": d, "key": f"topology.kubernetes.io/{d}"} for d in ("zone", "block", "rack")]
LEVELS.append({"domain": "nvlink", "key": "nvidia.com/gpu.clique"})


def sets(path: Path) -> list[Json]:
    documents = [d for d in yaml.safe_load_all(path.read_text()) if d]
    return [d for d in documents if d.get("kind") == POD_CLIQUE_SET.kind]


async def test_every_example_is_applied_as_it_is_and_becomes_whole_gangs(operated: Operated) -> None:
    """The nodes here have no GPUs: that the gangs find a place is not claimed."""
    applied = [path for path in MANIFESTS if sets(path)]
    assert len(applied) >= 5
    async with HttpKubeApi.from_kubeconfig(operated.kubeconfig) as api:
        here = Namespace(api, "default")
        kind = CLUSTER_TOPOLOGY_BINDING
        binding: Json = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "default"}}
        binding["spec"] = {"levels": LEVELS}
        await api.create(CLUSTER_TOPOLOGY_BINDING, None, binding)
        for path in applied:
            await asyncio.to_thread(operated.project.kubectl, "apply", "--server-side", "-f", str(path))
            for pcs in sets(path):
                name, replicas = pcs["metadata"]["name"], pcs["spec"].get("replicas", 0)
                for i in range(replicas):
                    await here.eventually(lambda gang=f"{name}-{i}": is_whole(here, gang))
                await api.delete(POD_CLIQUE_SET, "default", name)
            await here.eventually(lambda: is_empty(here))  # two examples share a name: gangs of the first are whole
        await api.delete(CLUSTER_TOPOLOGY_BINDING, None, "default")


async def is_whole(here: Namespace, name: str) -> bool:
    for gang in await here.all(POD_GANG):
        if gang["metadata"]["name"] == name:
            said = {c["type"]: c["status"] for c in gang.get("status", {}).get("conditions", ())}
            return said.get("Initialized") == "True"
    return False


async def is_empty(here: Namespace) -> bool:
    pods = [p for p in await here.all(POD) if "grove.io/podclique" in (p["metadata"].get("labels") or {})]
    return not pods and not await here.all(POD_GANG)
