"""A PodCliqueSet with a surge in virtual time, on nodes with room for so many replicas, and how one looks at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from grove_operator.api import conditions
from grove_operator.api.kinds import HPA, POD, POD_CLIQUE, POD_CLIQUE_SET, POD_GANG, SERVICE, Json
from grove_operator.sim.cluster import SimCluster
from grove_operator.sim.kubelets import Fleet
from tests.sim.shapes import clique, group, podcliqueset

STARTS_S = (4.0, 6.0)
GPUS_OF_A_REPLICA = 4
PODS_OF_A_REPLICA = 4


class Stage:
    """`ml/web`: PodClique a with 2 pods, group g with 1 replica of 2 pods, each pod with one GPU."""

    def __init__(self, cluster: SimCluster) -> None:
        self.cluster, self.api = cluster, cluster.api

    @property
    def pcs(self) -> Json:
        return self.api.objects(POD_CLIQUE_SET)[0]

    @property
    def surge(self) -> Json:
        return conditions.find(self.pcs, "Surge") or {}

    @property
    def selected(self) -> list[int]:
        progress = self.pcs["status"].get("updateProgress") or {}
        return [one["replicaIndex"] for one in progress.get("currentlyUpdating") or ()]

    @property
    def is_ended(self) -> bool:
        return bool((self.pcs["status"].get("updateProgress") or {}).get("updateEndedAt"))

    def replicas(self) -> list[int]:
        """Indices of which anything exists but what is terminating."""
        kinds = (POD_CLIQUE, POD, POD_GANG, SERVICE, HPA)
        found = [o for kind in kinds for o in self.api.objects(kind) if "deletionTimestamp" not in o["metadata"]]
        return sorted({int(o["metadata"]["labels"]["grove.io/podcliqueset-replica-index"]) for o in found})

    def pods(self, replica: int | None = None, *, image: str | None = None) -> list[Json]:
        active = [p for p in self.api.objects(POD) if "deletionTimestamp" not in p["metadata"]]
        named = [p for p in active if replica is None or p["metadata"]["name"].startswith(f"web-{replica}-")]
        return [p for p in named if image in (None, p["spec"]["containers"][0]["image"])]

    def uids(self, replica: int) -> set[str]:
        return {p["metadata"]["uid"] for p in self.pods(replica)}

    def serving(self) -> int:
        """Replicas, further ones included, in which each part has the pods that it needs, counted from the pods."""
        ready = [p["metadata"]["name"] for p in self.pods() if conditions.is_true(p, "Ready")]

        def serves(i: int) -> bool:
            a, g = (sum(name.startswith(f"web-{i}-{part}-") for name in ready) for part in ("a", "g"))
            return a >= 1 and g == 2

        return sum(serves(i) for i in range(6))

    async def change_image(self, image: str) -> None:
        cliques = self.pcs["spec"]["template"]["cliques"]
        for entry in cliques:
            entry["spec"]["podSpec"]["containers"][0]["image"] = image
        await self.patch({"spec": {"template": {"cliques": cliques}}})

    async def annotate(self, name: str, value: str | None) -> None:
        await self.patch({"metadata": {"annotations": {f"grove.io/{name}": value}}})

    async def scale(self, replicas: int) -> None:
        await self.patch({"spec": {"replicas": replicas}})

    async def patch(self, body: Json) -> None:
        await self.api.patch(POD_CLIQUE_SET, "ml", "web", body)

    async def rest(self, seconds: float = 30.0) -> None:
        await self.cluster.clock.advance(seconds)

    async def until(self, claim: Callable[[], bool]) -> None:
        await self.cluster.clock.run_until(claim)


def web(replicas: int = 2, surge: str | None = "1", **spec: object) -> Json:
    gpu: Json = {"requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}}
    pods: Json = {"containers": [{"name": "main", "image": "x", "resources": gpu}]}
    obj = podcliqueset(
        [clique("a", 2, 1, podSpec=pods), clique("w", 2, 2, podSpec=pods)],
        [group("g", ["w"], 1, scaleConfig={"maxReplicas": 2})],
        replicas=replicas,
    )
    if surge is not None:
        obj["metadata"]["annotations"] = {"grove.io/rollout-max-surge": surge}
    obj["spec"] |= spec
    return obj


@asynccontextmanager
async def stage(obj: Json, room_for: int = 4) -> AsyncIterator[Stage]:
    """At rest, on nodes with GPUs for so many replicas; images with the tag bad never become Ready."""
    fleet = Fleet(blocks=1, racks=1, hosts=room_for, gpus=GPUS_OF_A_REPLICA)
    cluster = SimCluster(1, fleet, STARTS_S)
    await cluster.start()
    try:
        await cluster.api.create(POD_CLIQUE_SET, "ml", obj)
        await cluster.clock.advance(30)
        yield Stage(cluster)
    finally:
        await cluster.stop()
