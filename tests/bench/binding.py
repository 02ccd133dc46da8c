"""The scheduler end to end: gangs made by hand on a bare API server, the scheduler as the process that users get.

    .venv/bin/python -m tests.bench.binding [--pods 1000] [--latencies 60]

fill      one-pod gangs of 1 GPU (kai-fill)               from the first gang that is initialised
one gang  a single gang of 512 pods (kai-512)             to the last pod that is bound
fours     gangs of 4 pods, rack required (k8s-tas)
latency   one gang of 4 at a time on an idle cluster: last pod ungated to last pod bound
null      the same bindings sent by a bare client, 64 in flight, to the same server: the floor
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from grove_operator.api.kinds import POD, POD_GANG, Json
from grove_operator.kube.client import HttpKubeApi
from tests.support.placing import Plane, each, gang_of, gpu_node, gpu_pod, placing_plane, put, until, wipe

GATE = {"name": "grove.io/podgang-pending-creation"}
TOPOLOGY: Json = {
    "apiVersion": "grove.io/v1alpha1",
    "kind": "ClusterTopologyBinding",
    "metadata": {"name": "default"},
    "spec": {"levels": [{"domain": "rack", "key": "rack"}]},
}


class Bindings:
    """When each pod was seen bound, by one watch."""

    def __init__(self, api: HttpKubeApi) -> None:
        self.api = api
        self.at: dict[str, float] = {}

    async def run(self) -> None:
        position = (await self.api.list(POD)).resource_version
        while True:
            async for event in self.api.watch(POD, position):
                position = event.object["metadata"]["resourceVersion"]
                if event.type == "MODIFIED" and event.object["spec"].get("nodeName"):
                    self.at.setdefault(event.object["metadata"]["name"], time.perf_counter())


async def gangs(api: HttpKubeApi, name: str, count: int, pods: int, required: str = "") -> list[Json]:
    """Everything but the gangs' statuses, which start the clock."""
    names = [[f"{name}-{g}-{i}" for i in range(pods)] for g in range(count)]
    made = [gang_of(f"{name}-{g}", pods_of, required=required) for g, pods_of in enumerate(names)]
    await put(api, [gpu_pod(p, f"{name}-{g}") for g, pods_of in enumerate(names) for p in pods_of])
    await put(api, [{k: v for k, v in gang.items() if k != "status"} for gang in made])
    return made


async def bound(api: HttpKubeApi, name: str, count: int, pods: int, required: str = "") -> tuple[float, float]:
    """(seconds, pods per second) from the first gang that may be placed to the last pod that is bound."""
    made = await gangs(api, name, count, pods, required)
    seen = Bindings(api)
    watch = asyncio.create_task(seen.run())
    await asyncio.sleep(0.5)
    began = time.perf_counter()
    await each(
        api.patch(POD_GANG, "ns", g["metadata"]["name"], {"status": g["status"]}, subresource="status") for g in made
    )

    async def all_bound() -> bool:
        return len(seen.at) >= count * pods

    await until(all_bound, lambda: f"{name}: {len(seen.at)} of {count * pods} bound", 300)
    watch.cancel()
    took = max(seen.at.values()) - began
    return took, count * pods / took


async def null(api: HttpKubeApi, pods: int, nodes: Sequence[str]) -> tuple[float, float]:
    await put(api, [gpu_pod(f"null-{i}", None, scheduler="null") for i in range(pods)])
    gate = asyncio.Semaphore(64)

    async def one(i: int) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": nodes[i % len(nodes)]}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": f"null-{i}"}, "target": target}
        async with gate:
            await api.create(POD, "ns", body, subresource_of=f"null-{i}/binding")

    began = time.perf_counter()
    await asyncio.gather(*(one(i) for i in range(pods)))
    took = time.perf_counter() - began
    return took, pods / took


async def latencies(api: HttpKubeApi, count: int) -> list[float]:
    found = []
    for n in range(count):
        names = [f"late-{n}-{i}" for i in range(4)]
        gated = [gpu_pod(p, f"late-{n}") for p in names]
        for pod in gated:
            pod["spec"]["schedulingGates"] = [GATE]
        await put(api, [*gated, gang_of(f"late-{n}", names, required="rack")])
        seen = Bindings(api)
        watch = asyncio.create_task(seen.run())
        await asyncio.sleep(0.1)
        for name in names:
            await api.patch(POD, "ns", name, {"spec": {"schedulingGates": None}})
        began = time.perf_counter()

        async def all_bound(seen: Bindings = seen) -> bool:
            return len(seen.at) >= 4

        await until(all_bound, f"late-{n}", 30)
        watch.cancel()
        found.append(max(seen.at.values()) - began)
    return found


async def measure(plane: Plane, pods: int, count: int) -> None:
    names = [f"n{i:03}" for i in range(500)]
    async with plane.client() as api:
        await put(api, [TOPOLOGY, *(gpu_node(n, labels={"rack": f"r{i // 10}"}) for i, n in enumerate(names))])
        process = psutil.Process(plane.start_scheduler().pid)
        await asyncio.sleep(3)
        print(f"| workload | seconds | pods/s |\n|---|---|---|\n{row('null client', await null(api, pods, names))}")
        await wipe(api, (POD,))
        for name, shape in (("fill", (pods, 1)), ("one gang", (1, 512)), ("fours", (pods // 4, 4, "rack"))):
            before = process.cpu_times()
            figures = await bound(api, name.replace(" ", "-"), *shape)
            after = process.cpu_times()
            cpu = 1000 * (after.user + after.system - before.user - before.system) / (shape[0] * shape[1])
            print(f"{row(name, figures)} scheduler: {cpu:.2f} ms CPU per pod", flush=True)
            await wipe(api, (POD_GANG, POD))
        found = sorted(await latencies(api, count))
        p50, p99 = statistics.median(found), found[int(0.99 * (len(found) - 1))]
        print(f"latency of {count} gangs of 4: p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms")
        print(f"scheduler: {process.memory_info().rss / 2**20:.0f} MB")


def row(name: str, figures: tuple[float, float]) -> str:
    return f"| {name} | {figures[0]:.2f} | {figures[1]:,.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--latencies", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, placing_plane(Path(folder)) as plane:
        asyncio.run(measure(plane, arguments.pods, arguments.latencies))


if __name__ == "__main__":
    main()
