"""The scheduler as a process, killed again and again while it binds: what must hold in the end."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter

from grove_operator.api.kinds import POD, POD_GANG, Json
from grove_operator.kube.client import HttpKubeApi
from tests.support.placing import EVERYTHING, Plane, each, gang_of, gpu_node, gpu_pod, put, until, wipe

NODES, PODS = 100, 4


async def killed_while_binding(plane: Plane, api: HttpKubeApi, gangs: int, kills: int, seed: int) -> dict[str, float]:
    """`gangs` gangs of 4 x 1 GPU, a rack each, on exactly enough nodes; SIGKILL at random moments, always restarted.

    AssertionError when a gang stays partial, a node is over-allocated, a rack is left or a pod is bound twice.
    """
    rng = random.Random(seed)
    await _prepare(api, gangs)
    watcher = asyncio.create_task(_bindings(api))
    moves: Counter[str] = Counter()
    for _ in range(kills):
        process = plane.start_scheduler(binds_in_flight=rng.choice((4, 16)))
        before = await _bound(api)
        await until(lambda before=before: _progress(api, before, gangs), plane.said)  # type: ignore[misc]
        await asyncio.sleep(rng.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.wait()
        moves["kills"] += 1
        moves["kills_amid_binding"] += await _is_amid(api)
    plane.start_scheduler()
    await until(lambda: _all_bound(api, gangs), plane.said)
    await _judge(api, gangs)
    watcher.cancel()
    found = await asyncio.gather(watcher, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError), found
    for process in plane.processes:
        process.kill()
        process.wait()
    return {"gangs": gangs, **moves}


async def _prepare(api: HttpKubeApi, gangs: int) -> None:
    await wipe(api, EVERYTHING)
    levels = {"spec": {"levels": [{"domain": "rack", "key": "rack"}]}}
    binding = {"apiVersion": "grove.io/v1alpha1", "kind": "ClusterTopologyBinding", "metadata": {"name": "default"}}
    hosts = -(-gangs * PODS // 8)
    await put(
        api, [{**binding, **levels}, *(gpu_node(f"n{i:03}", labels={"rack": f"r{i // 2}"}) for i in range(hosts))]
    )
    for first in range(0, gangs, 50):
        made: list[Json] = []
        for g in range(first, min(first + 50, gangs)):
            pods = [f"g{g}-{i}" for i in range(PODS)]
            made += [gpu_pod(p, f"g{g}") for p in pods] + [gang_of(f"g{g}", pods, required="rack")]
        await put(api, made)


async def _bindings(api: HttpKubeApi) -> None:
    """Raises when a pod changes its node."""
    nodes: dict[str, str] = {}
    position = (await api.list(POD)).resource_version
    while True:
        async for event in api.watch(POD, position):
            position = event.object["metadata"]["resourceVersion"]
            node = (event.object.get("spec") or {}).get("nodeName")
            if node:
                name = event.object["metadata"]["name"]
                assert nodes.setdefault(name, node) == node, f"{name} was bound twice"


async def _pods(api: HttpKubeApi) -> list[Json]:
    return (await api.list(POD, namespace="ns")).items


async def _bound(api: HttpKubeApi) -> int:
    return sum(bool(p["spec"].get("nodeName")) for p in await _pods(api))


async def _progress(api: HttpKubeApi, before: int, gangs: int) -> bool:
    now = await _bound(api)
    return now > before or now == gangs * PODS


async def _is_amid(api: HttpKubeApi) -> bool:
    """Is a gang bound in part right now?"""
    return any(0 < n < PODS for n in _per_gang(await _pods(api)).values())


def _per_gang(pods: list[Json]) -> Counter[str]:
    return Counter(p["metadata"]["labels"]["grove.io/podgang"] for p in pods if p["spec"].get("nodeName"))


async def _all_bound(api: HttpKubeApi, gangs: int) -> bool:
    return await _bound(api) == gangs * PODS


async def _judge(api: HttpKubeApi, gangs: int) -> None:
    pods = await _pods(api)
    assert set(_per_gang(pods).values()) == {PODS}, "a gang is bound in part"
    per_node = Counter(p["spec"]["nodeName"] for p in pods)
    assert max(per_node.values()) <= 8, f"over-allocated: {per_node.most_common(3)}"
    racks: dict[str, set[int]] = {}
    for pod in pods:
        racks.setdefault(pod["metadata"]["labels"]["grove.io/podgang"], set()).add(
            int(pod["spec"]["nodeName"][1:]) // 2
        )
    assert all(len(found) == 1 for found in racks.values()), "a rack is left"

    async def all_told() -> bool:
        listed = (await api.list(POD_GANG, namespace="ns")).items
        conditions = [c for g in listed for c in g["status"]["conditions"] if c["type"] == "Scheduled"]
        return len(conditions) == gangs and all(c["status"] == "True" for c in conditions)

    await until(all_told, "every gang says that it is scheduled")


async def two_at_once(plane: Plane, api: HttpKubeApi, gangs: int, seed: int) -> dict[str, float]:
    """Two schedulers with one Lease; the leader is killed in the middle, frozen and thawed, and the other goes on."""
    rng = random.Random(seed)
    await _prepare(api, gangs)
    first, second = plane.start_scheduler(lease=True), plane.start_scheduler(lease=True)
    await until(lambda: _progress(api, 0, gangs), plane.said)
    await asyncio.sleep(rng.uniform(0, 0.1))
    first.send_signal(signal.SIGSTOP)  # whoever leads: it comes back and believes for a moment that it still does
    await asyncio.sleep(4.0)
    first.send_signal(signal.SIGCONT)
    await asyncio.sleep(rng.uniform(0, 0.2))
    ended = first.poll()
    third = plane.start_scheduler(lease=True)
    await until(lambda: _all_bound(api, gangs), plane.said)
    await _judge(api, gangs)
    await each([])
    for process in (first, second, third):
        process.kill()
        process.wait()
    return {"gangs": gangs, "ended_after_the_freeze": float(ended is not None)}
