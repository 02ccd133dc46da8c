"""The scheduler end to end: gangs made by hand on a bare API server, the scheduler as the process that users get.

    .venv/bin/python -m tests.bench.binding [--pods 1000] [--latencies 60]

fill      one-pod gangs of 1 GPU (kai-fill)               from the first gang that is initialised
one gang  a single gang of 512 pods (kai-512)             to the last pod that is bound
fours     gangs of 4 pods, rack required (k8s-tas)
latency   one gang of 4 at a time on an idle cluster: last pod ungated to last pod bound
null      the same bindings sent by a bare client, 64 in flight, to the same server
floor     a null scheduler: sees a gang initialised, binds its pods to the next nodes, and says nothing

The CPU times are those of scheduler, bench (which starts the gangs and watches the pods), API server and etcd.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Coroutine, Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import psutil

from grove_operator.api.kinds import POD, POD_GANG, Json
from grove_operator.kube.client import HttpKubeApi
from tests.support.placing import Plane, gang_of, gpu_node, gpu_pod, placing_plane, put, until, wipe

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


async def bound(
    api: HttpKubeApi, name: str, count: int, pods: int, required: str = "", nodes: Sequence[str] = ()
) -> tuple[float, float]:
    """(seconds, pods per second) from the first gang that may be placed to the last pod that is bound.

    With `nodes` a null scheduler binds.
    """
    made = await gangs(api, name, count, pods, required)
    null = asyncio.create_task(null_scheduler(api, nodes)) if nodes else None
    seen = Bindings(api)
    watch = asyncio.create_task(seen.run())
    await asyncio.sleep(0.5)
    began = time.perf_counter()
    await all_at_once(initialized(api, gang) for gang in made)

    async def all_bound() -> bool:
        return len(seen.at) >= count * pods

    await until(all_bound, lambda: f"{name}: {len(seen.at)} of {count * pods} bound", 300)
    watch.cancel()
    if null is not None:
        null.cancel()
    took = max(seen.at.values()) - began
    return took, count * pods / took


async def initialized(api: HttpKubeApi, gang: Json) -> None:
    await api.patch(POD_GANG, "ns", gang["metadata"]["name"], {"status": gang["status"]}, subresource="status")


async def all_at_once(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    gate = asyncio.Semaphore(64)

    async def one(part: Coroutine[Any, Any, None]) -> None:
        async with gate:
            await part

    await asyncio.gather(*(one(part) for part in work))


async def bind(api: HttpKubeApi, pod: str, node: str) -> None:
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
    await api.create(POD, "ns", body, subresource_of=f"{pod}/binding")


async def null(api: HttpKubeApi, pods: int, nodes: Sequence[str]) -> tuple[float, float]:
    await put(api, [gpu_pod(f"null-{i}", None, scheduler="null") for i in range(pods)])
    began = time.perf_counter()
    await all_at_once(bind(api, f"null-{i}", nodes[i % len(nodes)]) for i in range(pods))
    took = time.perf_counter() - began
    return took, pods / took


async def null_scheduler(api: HttpKubeApi, nodes: Sequence[str]) -> None:
    """Binds the pods of every gang that becomes initialised, 64 in flight."""
    gate, following, started = asyncio.Semaphore(64), cycle(nodes), set[str]()
    position = (await api.list(POD_GANG)).resource_version

    async def one(pod: str, node: str) -> None:
        async with gate:
            await bind(api, pod, node)

    async with asyncio.TaskGroup() as tasks:
        async for event in api.watch(POD_GANG, position):
            gang = event.object
            name = gang["metadata"]["name"]
            if (gang.get("status") or {}).get("conditions") and name not in started:
                started.add(name)
                for group in gang["spec"]["podgroups"]:
                    for reference in group["podReferences"]:
                        tasks.create_task(one(reference["name"], next(following)))


class Cpu:
    """CPU seconds of everybody who takes part, since it was made."""

    def __init__(self, scheduler: psutil.Process | None = None) -> None:
        servers = [p for p in psutil.process_iter(["name", "ppid"]) if p.info["name"] in ("kube-apiserver", "etcd")]
        mine = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
        self.processes = {str(p.info["name"]): p for p in servers if p.pid in mine}
        self.processes |= {"bench": psutil.Process(), **({"scheduler": scheduler} if scheduler else {})}
        self.before = self._now()

    def _now(self) -> dict[str, float]:
        return {name: (t := p.cpu_times()).user + t.system for name, p in self.processes.items()}

    def __str__(self) -> str:
        spent = {name: at - self.before[name] for name, at in sorted(self._now().items())}
        return ", ".join(f"{name} {s:.2f} s" for name, s in spent.items()) + f", together {sum(spent.values()):.2f} s"


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
        print("| workload | seconds | pods/s | CPU |\n|---|---|---|---|")
        cpu = Cpu()
        print(f"{row('null client', await null(api, pods, names))} {cpu} |", flush=True)
        await wipe(api, (POD,))
        for name, per_gang in (("floor of fill", 1), ("floor of fours", 4)):
            cpu = Cpu()
            figures = await bound(api, name.replace(" ", "-"), pods // per_gang, per_gang, nodes=names)
            print(f"{row(name, figures)} {cpu} |", flush=True)
            await wipe(api, (POD_GANG, POD))
        process = psutil.Process(plane.start_scheduler().pid)
        await bound(api, "warm", 8, 4)
        await wipe(api, (POD_GANG, POD))
        for name, shape in (("fill", (pods, 1)), ("one gang", (1, 512)), ("fours", (pods // 4, 4, "rack"))):
            cpu = Cpu(process)
            figures = await bound(api, name.replace(" ", "-"), *shape)
            print(f"{row(name, figures)} {cpu} |", flush=True)
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
