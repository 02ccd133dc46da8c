"""Random workloads as Grove's own operator leaves them, taken over by operators that die after random writes."""

from __future__ import annotations

import asyncio
import random

from grove_operator.api.kinds import POD, POD_CLIQUE, POD_CLIQUE_SET, POD_GANG, SCALING_GROUP, Json
from grove_operator.sim.apiserver import Request
from tests.prove.proof import Figures, Progress
from tests.sim.shapes import clique, group, podcliqueset
from tests.sim.world import World, world
from tests.support.grove_elsewhere import Elsewhere, defaulted

KEPT = (POD, POD_CLIQUE, SCALING_GROUP, POD_GANG)
HASH = "grove.io/pod-template-hash"
LONG_AGO: Json = {"generation": 1, "creationTimestamp": "2026-01-01T08:00:00Z"}
ORDERS = ("CliqueStartupTypeAnyOrder", "CliqueStartupTypeInOrder")


def take_overs(seed: int, count: int, progress: Progress) -> Figures:
    """Each case is one workload; no object of it is replaced, all are relabelled, and then nobody writes."""
    pods = deaths = 0
    for number in range(seed, seed + count):
        seen = asyncio.run(_one(random.Random(number)), debug=False)
        pods, deaths = pods + seen[0], deaths + seen[1]
        progress(1)
    return {"workloads": count, "pods_kept": pods, "operators_killed": deaths}


def random_set(rng: random.Random) -> Json:
    """One to four roles, some of them in groups, with what pod specs commonly hold."""
    cliques, groups = [], []
    for n in range(rng.randint(1, 4)):
        replicas = rng.randint(1, 3)
        entry = clique(f"c{n}", replicas, rng.randint(1, replicas), podSpec=_pod_spec(rng))
        if rng.random() < 0.3:
            entry["labels"] = {"tier": rng.choice("ab")}
        if rng.random() < 0.3:
            entry["annotations"] = {"example.com/note": "x"}
        cliques.append(entry)
    if len(cliques) > 1 and rng.random() < 0.6:
        replicas = rng.randint(1, 3)
        members = [entry["name"] for entry in rng.sample(cliques, rng.randint(1, len(cliques) - 1))]
        groups.append(group("g", sorted(members), replicas, rng.randint(1, replicas)))
    return podcliqueset(cliques, groups, replicas=rng.randint(1, 2), cliqueStartupType=rng.choice(ORDERS))


def _pod_spec(rng: random.Random) -> Json:
    container: Json = {"name": "main", "image": rng.choice("xyz")}
    if rng.random() < 0.5:
        container["resources"] = {"limits": {"cpu": rng.choice([1, "1", "500m"]), "nvidia.com/gpu": rng.randint(1, 8)}}
    if rng.random() < 0.5:
        container["env"] = [{"name": "A", "value": "$(GROVE_PCS_NAME)"}, {"name": "B", "value": ""}]
    if rng.random() < 0.3:
        container["ports"] = [{"containerPort": 80, "name": "http"}]
        container["readinessProbe"] = {"httpGet": {"path": "/", "port": 80}, "initialDelaySeconds": 0}
    spec: Json = {"containers": [container]}
    if rng.random() < 0.3:
        spec |= {"hostNetwork": False, "volumes": [{"name": "v", "emptyDir": {}}]}
    if rng.random() < 0.3:
        spec["schedulerName"] = "default-scheduler"
    return spec


async def _one(rng: random.Random) -> tuple[int, int]:
    async with world() as w:
        await w.stop_operator()

        async def put(obj: Json) -> Json:
            return w.api.seed({**obj, "metadata": {**LONG_AGO, **obj["metadata"]}})[0]

        await Elsewhere(put, sidecar=rng.random() < 0.5).leave(defaulted(random_set(rng)))
        before = _uids(w)
        deaths = await _with_deaths(w, [rng.randint(1, 25) for _ in range(rng.randint(0, 3))])
        await w.rest(60)
        assert _uids(w) == before, "something was replaced"
        for kind in (POD, POD_CLIQUE):
            for obj in w.api.objects(kind):
                assert obj["metadata"]["labels"][HASH].startswith("v1-"), f"{obj['metadata']['name']} is not relabelled"
        for kind in (POD_CLIQUE_SET, SCALING_GROUP, POD_CLIQUE):
            assert not any(o["metadata"].get("finalizers") for o in w.api.objects(kind)), "a finalizer is left"
        written = w.writes_of("operator")
        await w.rest(60)
        assert w.writes_of("operator") == written, "written at rest"
        return len(w.names(POD)), deaths


async def _with_deaths(w: World, after: list[int]) -> int:
    """Start operators of which each but the last dies after so many writes, if it makes as many."""
    deaths = 0
    for writes in after:
        seen = 0

        def die(request: Request, writes: int = writes) -> None:
            nonlocal seen, deaths
            seen += request.user == "operator" and request.is_write
            if seen == writes and "operator" in w._tasks:
                deaths += 1
                w.kill_operator()

        w.api.before_request(die)
        w.start_operator_if_dead()
        await w.rest(2)
    w.api.before_request(None)
    w.start_operator_if_dead()
    return deaths


def _uids(w: World) -> set[str]:
    return {obj["metadata"]["uid"] for kind in KEPT for obj in w.api.objects(kind)}
