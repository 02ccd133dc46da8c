"""A local cluster on which operator and scheduler already run, for stories that need no Pulumi."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from grove_operator.api.kinds import NAMESPACE, POD, POD_CLIQUE, POD_CLIQUE_SET, SCALING_GROUP, Json, Kind
from grove_operator.kube.client import HttpKubeApi
from grove_operator.localcluster.fleet import default_fleet_path
from grove_operator.localcluster.supervisor_control import UpOptions, down, up
from grove_operator.localcluster.tools_report import PlainReport
from tests.sim.shapes import clique, podcliqueset
from tests.support.deployed import install, until
from tests.support.project import Project

PATIENCE_S = 60.0
REAL_PYTHON = "registry.example/python"
"""Containers of this image are processes: Python with the container's arguments."""


@contextmanager
def operated_cluster(home: Path) -> Iterator[Operated]:
    """Eight nodes of 64 CPUs, operator and scheduler from the Deployments that users get."""
    local = yaml.safe_load(default_fleet_path().read_text())
    pools = [{"name": "node", "count": 8, "capacity": {"cpu": 64, "memory": "512Gi", "pods": 110}}]
    images = [*local["images"], {"match": REAL_PYTHON, "run": ["${PYTHON}", "${ARGS}"]}]
    fleet = home / "fleet.yaml"
    fleet.write_text(yaml.safe_dump({"pools": pools, "images": images, "play": local["play"]}))
    state = up(UpOptions("operated", fleet=fleet), PlainReport(), home).state
    try:
        asyncio.run(_install(Path(state.kubeconfig)))
        running = Operated(home, Path(state.kubeconfig))
        asyncio.run(running.collector_knows_our_kinds())
        yield running
    finally:
        down("operated", delete=True, home=home)


async def _install(kubeconfig: Path) -> None:
    async with HttpKubeApi.from_kubeconfig(kubeconfig) as api:
        await install(api)


@dataclass(frozen=True)
class Operated:
    home: Path
    kubeconfig: Path

    @property
    def project(self) -> Project:
        """For its counter of writes, and for the check of every node after each test."""
        return Project(self.home, self.home, self.kubeconfig)

    async def collector_knows_our_kinds(self) -> None:
        """A garbage collector that has just begun learns of new kinds every 30 s: what a test deletes before that stays
        for so long, and which test is the first one depends on how they were dealt out to processes."""
        async with self.namespace("collector") as here:
            await here.apply(podcliqueset([clique("a", 1)]))
            await here.eventually(lambda: here.is_settled("web"))
            (pod,) = await here.pods("web-0-a")
            await here.api.delete(POD_CLIQUE, here.name, "web-0-a")

            async def is_collected() -> bool:
                return pod["metadata"]["uid"] not in {p["metadata"]["uid"] for p in await here.all(POD)}

            await here.eventually(is_collected)

    @asynccontextmanager
    async def namespace(self, name: str) -> AsyncIterator[Namespace]:
        """A new namespace whose PodCliqueSets are gone again afterwards."""
        async with HttpKubeApi.from_kubeconfig(self.kubeconfig) as api:
            await api.create(NAMESPACE, None, {"metadata": {"name": name}})
            here = Namespace(api, name)
            try:
                yield here
            finally:
                for obj in await here.all(POD_CLIQUE_SET):
                    await api.delete(POD_CLIQUE_SET, name, obj["metadata"]["name"])
                await here.eventually(here.has_no_pods)


@dataclass(frozen=True)
class Namespace:
    api: HttpKubeApi
    name: str

    async def apply(self, obj: Json) -> Json:
        return await self.api.create(POD_CLIQUE_SET, self.name, {**obj, "metadata": {"name": obj["metadata"]["name"]}})

    async def all(self, kind: Kind) -> list[Json]:
        return (await self.api.list(kind, namespace=self.name)).items

    async def pods(self, clique: str) -> list[Json]:
        """Those of one PodClique that are not going."""
        found = (await self.api.list(POD, namespace=self.name, label_selector=f"grove.io/podclique={clique}")).items
        return [p for p in found if "deletionTimestamp" not in p["metadata"]]

    async def scale(self, kind: Kind, name: str, replicas: int) -> None:
        """As `kubectl scale` does: through the subresource, past every webhook."""
        await self.api.patch(kind, self.name, name, {"spec": {"replicas": replicas}}, subresource="scale")

    async def eventually(self, claim: Callable[[], Awaitable[Any]]) -> float:
        """Seconds until the claim holds; TimeoutError after a minute."""

        async def holds() -> bool:
            return bool(await claim())

        return await until(holds, PATIENCE_S)

    async def has_no_pods(self) -> bool:
        return not await self.all(POD)

    async def is_settled(self, name: str) -> bool:
        """The set, its groups and cliques count as Ready all that they want, and have seen their last change."""
        for kind, counter in ((POD_CLIQUE_SET, "available"), (SCALING_GROUP, "available"), (POD_CLIQUE, "ready")):
            for obj in await self.all(kind):
                status: Json = obj.get("status") or {}
                if status.get("observedGeneration") != obj["metadata"]["generation"]:
                    return False
                if not status.get(f"{counter}Replicas", 0) == status.get("replicas", 0) == obj["spec"]["replicas"]:
                    return False
        live = await self.api.get(POD_CLIQUE_SET, self.name, name)
        wanted = {POD_CLIQUE_SET: live["spec"]["replicas"]}
        wanted[SCALING_GROUP] = wanted[POD_CLIQUE_SET] * len(
            live["spec"]["template"].get("podCliqueScalingGroups") or ()
        )
        return len(await self.all(SCALING_GROUP)) == wanted[SCALING_GROUP]


def is_ready(pod: Json) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", ()))
