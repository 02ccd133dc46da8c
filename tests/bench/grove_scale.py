"""grove-scale: one PodCliqueSet of N replicas, each a clique of two pods, end to end on a local cluster of its own.

    .venv/bin/python -m tests.bench.grove_scale --replicas 500

Measured: apply to all pods created, to all Ready, to all gone after the delete; mutating requests by resource (as
the API server counts them, no heartbeats, no Events); CPU and memory of operator and scheduler. Then the null client
sends the writes that nobody can avoid (Service, PodClique, PodGang with status, pods created, ungated and bound) to the
same API server, 64 in flight: the floor.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import yaml

from grove_operator.api import kinds
from grove_operator.api.kinds import Json
from grove_operator.engine.ports import ApiError, NotFound
from grove_operator.kube.client import HttpKubeApi
from grove_operator.localcluster.fleet import default_fleet_path
from tests.bench.null_client import null_client
from tests.support.deployed import install, until
from tests.support.grove import Grove
from tests.support.project import Project

NAMESPACE, NAME = "scale", "scale"
PODS_PER_REPLICA = 2


def fleet(folder: Path, nodes: int) -> Path:
    """`nodes` hosts of 64 CPU, 512 Gi and 110 pods, and the images of the local fleet."""
    local = yaml.safe_load(default_fleet_path().read_text())
    capacity = {"cpu": 64, "memory": "512Gi", "pods": 110}
    path = folder / "fleet.yaml"
    pools = [{"name": "node", "count": nodes, "capacity": capacity}]
    path.write_text(yaml.safe_dump({"pools": pools, "images": local["images"], "play": local["play"]}))
    return path


def workload(replicas: int) -> Json:
    container = {"name": "main", "image": "registry.example/pause:1", "resources": {"requests": {"cpu": "1m"}}}
    spec = {"roleName": "w", "replicas": 2, "minAvailable": 2, "podSpec": {"containers": [container]}}
    return {
        "apiVersion": kinds.POD_CLIQUE_SET.api_version,
        "kind": kinds.POD_CLIQUE_SET.kind,
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"replicas": replicas, "template": {"cliques": [{"name": "w", "spec": spec}]}},
    }


class Counter:
    """Follows the pods of the namespace by one watch, as a user's client would."""

    def __init__(self, api: HttpKubeApi) -> None:
        self._api = api
        self.ready: dict[str, bool] = {}

    async def run(self) -> None:
        position = (await self._api.list(kinds.POD, namespace=NAMESPACE)).resource_version
        while True:
            async for event in self._api.watch(kinds.POD, position, namespace=NAMESPACE):
                meta = event.object["metadata"]
                position = meta["resourceVersion"]
                if event.type == "DELETED":
                    self.ready.pop(meta["name"], None)
                elif event.type != "BOOKMARK":
                    conditions = event.object.get("status", {}).get("conditions", ())
                    self.ready[meta["name"]] = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def processes() -> dict[str, psutil.Process]:
    """Operator and scheduler: the youngest of each on this machine."""
    found: dict[str, psutil.Process] = {}
    for process in sorted(psutil.process_iter(["cmdline", "create_time"]), key=lambda p: p.info["create_time"]):
        line = " ".join(process.info["cmdline"] or ())
        for name in ("operator_main", "scheduler_main"):
            if f"kube.{name}" in line:
                found[name.removesuffix("_main")] = process
    return found


async def measure(api: HttpKubeApi, project: Project, replicas: int) -> dict[str, Any]:
    pods = replicas * PODS_PER_REPLICA
    counter = Counter(api)
    watch = asyncio.create_task(counter.run())
    await asyncio.sleep(1)
    ours = processes()
    cpu = {name: p.cpu_times() for name, p in ours.items()}
    before = project.writes()
    began = time.perf_counter()
    await api.create(kinds.POD_CLIQUE_SET, NAMESPACE, workload(replicas))
    created = await until(settled(lambda: len(counter.ready) >= pods), 600)
    await until(settled(lambda: sum(counter.ready.values()) >= pods), 600)
    ready = time.perf_counter() - began
    await until(lambda: is_available(api, replicas), 60)
    converged = time.perf_counter() - began
    await asyncio.sleep(2)
    after = project.writes()
    figures: dict[str, Any] = {
        "pods": pods,
        "created_s": round(created, 2),
        "ready_s": round(ready, 2),
        "status_converged_s": round(converged, 2),
        "writes": {k: v - before.get(k, 0) for k, v in sorted(after.items()) if v != before.get(k, 0)},
    }
    for name, process in ours.items():
        now, then = process.cpu_times(), cpu[name]
        figures[f"{name}_cpu_ms_per_pod"] = round(1000 * (now.user + now.system - then.user - then.system) / pods, 2)
        figures[f"{name}_rss_mb"] = round(process.memory_info().rss / 2**20)
    began = time.perf_counter()
    await api.delete(kinds.POD_CLIQUE_SET, NAMESPACE, NAME)
    figures["delete_answered_s"] = round(time.perf_counter() - began, 2)
    await until(settled(lambda: not counter.ready), 600)
    figures["pods_gone_s"] = round(time.perf_counter() - began, 2)
    watch.cancel()
    return figures


def settled(claim: Callable[[], bool]) -> Callable[[], Coroutine[Any, Any, bool]]:
    async def ask() -> bool:
        return claim()

    return ask


async def is_available(api: HttpKubeApi, replicas: int) -> bool:
    try:
        live = await api.get(kinds.POD_CLIQUE_SET, NAMESPACE, NAME)
    except NotFound:
        return False
    return bool(live.get("status", {}).get("availableReplicas") == replicas)


AGENTS_OWN = {"PATCH pods/status", "PUT pods/status", "DELETE pods/", "POST pods/status"}


def per_pod(figures: dict[str, Any]) -> float:
    """Writes per pod by operator and scheduler: all but the node agent's pod statuses."""
    ours = sum(n for what, n in figures["writes"].items() if what not in AGENTS_OWN)
    return round(ours / figures["pods"], 2)


async def run(project: Project, kubeconfig: Path, replicas: int) -> dict[str, Any]:
    api = HttpKubeApi.from_kubeconfig(kubeconfig)
    try:
        await install(api)
        await api.create(kinds.NAMESPACE, None, {"metadata": {"name": NAMESPACE}})
        figures = await measure(api, project, replicas)
        figures["writes_per_pod"] = per_pod(figures)
        figures["null_client_s"] = round(await null_client(api, replicas), 2)
        figures["ratio_to_null_client"] = round(figures["ready_s"] / figures["null_client_s"], 2)
        return figures
    except ApiError as error:
        raise SystemExit(f"grove-scale: {error}") from error
    finally:
        await api.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=500, help="PodCliqueSet replicas of two pods each")
    parser.add_argument("--nodes", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        grove = Grove(Path(root))
        grove("up", "--fleet", str(fleet(Path(root), arguments.nodes)))
        try:
            kubeconfig = Path(grove.status()["kubeconfig"])
            project = Project(Path(root), grove.home, kubeconfig)
            figures = asyncio.run(run(project, kubeconfig, arguments.replicas))
            print(json.dumps(figures, indent=2))
        finally:
            grove("down", "--delete")


if __name__ == "__main__":
    main()
