"""kube-scheduler churns one-GPU pods on the nodes that gangs are placed on; a kubelet refuses what is too much.

Two schedulers that don't know of each other's decisions overbook a node now and then. The stand-in for kubelets fails
the pod that came last (`OutOfnvidia.com/gpu`), the stand-in for the operator replaces a gang's failed pod.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter

from grove_operator.api.kinds import POD, POD_GANG, Json
from grove_operator.engine.ports import ApiError, NotFound
from grove_operator.kube.client import HttpKubeApi
from tests.support.placing import EVERYTHING, gang_of, gpu_node, gpu_pod, put, scheduling, until, wipe

NODES, GPUS, PODS = 12, 4, 4


class Cluster:
    """What the stand-ins know: who is bound where, in the order in which it was seen."""

    def __init__(self, api: HttpKubeApi) -> None:
        self.api = api
        self.bound: dict[str, str] = {}
        self.gangs: dict[str, dict[str, bool]] = {}
        self.figures: Counter[str] = Counter()
        self._serial = itertools.count()

    async def kubelets_and_operator(self) -> None:
        position = (await self.api.list(POD)).resource_version
        while True:
            async for event in self.api.watch(POD, position):
                position = event.object["metadata"]["resourceVersion"]
                if event.type == "BOOKMARK":
                    continue
                name, phase = event.object["metadata"]["name"], event.object["status"].get("phase")
                is_alive = event.type != "DELETED" and phase != "Failed"
                node = event.object["spec"].get("nodeName")
                if not is_alive:
                    self.bound.pop(name, None)
                    if event.type == "DELETED" or phase == "Failed":
                        await self._replace(name)
                elif node and name not in self.bound:
                    self.bound[name] = node
                    await self._admit(name, node)

    async def _admit(self, name: str, node: str) -> None:
        if sum(on == node for on in self.bound.values()) > GPUS:
            self.figures["refused_by_kubelets"] += 1
            status = {"status": {"phase": "Failed", "reason": "OutOfnvidia.com/gpu"}}
            await self._quietly(self.api.patch(POD, "ns", name, status, subresource="status"))

    async def _replace(self, name: str) -> None:
        for gang, pods in self.gangs.items():
            if name in pods:
                del pods[name]
                self.figures["replaced"] += 1
                await self._quietly(self.api.delete(POD, "ns", name, grace_s=0))
                new = f"{gang}-x{next(self._serial)}"
                pods[new] = True
                await self.api.create(POD, "ns", gpu_pod(new, gang))
                spec = {"spec": gang_of(gang, sorted(pods))["spec"]}
                await self.api.patch(POD_GANG, "ns", gang, spec)

    async def arrive(self, gang: str) -> None:
        pods = [f"{gang}-{i}" for i in range(PODS)]
        self.gangs[gang] = dict.fromkeys(pods, True)
        await put(self.api, [*(gpu_pod(p, gang) for p in pods), gang_of(gang, pods)])

    @staticmethod
    async def _quietly(work: object) -> None:
        try:
            await work  # type: ignore[misc]
        except ApiError:
            return


async def churn(api: HttpKubeApi, gangs: int, seed: int) -> dict[str, float]:
    """Gangs come while single pods come and go. AssertionError when in the end a gang is bound in part."""
    rng = random.Random(seed)
    await wipe(api, EVERYTHING)
    await put(api, [gpu_node(f"n{i:02}", GPUS) for i in range(NODES)])
    cluster = Cluster(api)
    standin = asyncio.create_task(cluster.kubelets_and_operator())
    singles: list[str] = []
    async with scheduling(api, rollback_grace_s=2.0):
        for g in range(gangs):
            for i in range(3):
                name = f"single-{g}-{i}"
                await api.create(POD, "ns", gpu_pod(name, None, scheduler="default-scheduler"))
                singles.append(name)
            await cluster.arrive(f"g{g}")
            while len(singles) > 20:
                await _end(api, singles.pop(rng.randrange(len(singles))))
        while singles:
            await _end(api, singles.pop())
            await asyncio.sleep(0.02)

        async def is_whole() -> bool:
            pods = (await api.list(POD, namespace="ns")).items
            alive = Counter(
                p["metadata"]["labels"]["grove.io/podgang"]
                for p in pods
                if p["spec"].get("nodeName") and p["status"].get("phase") != "Failed"
            )
            return sorted(alive.values()) == [PODS] * gangs

        await until(is_whole, lambda: f"every gang is whole; {dict(cluster.figures)}")
        nodes = Counter(p["spec"]["nodeName"] for p in await _alive(api))
        assert max(nodes.values()) <= GPUS, nodes
    standin.cancel()
    await asyncio.gather(standin, return_exceptions=True)
    return {"gangs": gangs, **cluster.figures}


async def _alive(api: HttpKubeApi) -> list[Json]:
    return [p for p in (await api.list(POD, namespace="ns")).items if p["status"].get("phase") != "Failed"]


async def _end(api: HttpKubeApi, name: str) -> None:
    try:
        await api.delete(POD, "ns", name, grace_s=0)
    except NotFound:
        return
