"""Random scalings of a PodCliqueSet on a real API server, and what must hold of where they end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from grove_operator.api.kinds import (
    HPA,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    SCALING_GROUP,
    SERVICE,
    Json,
    Kind,
)
from grove_operator.engine.ports import ApiError
from tests.sim.shapes import clique, group, podcliqueset
from tests.support.operated import Namespace, Operated

STEPS = 6
GRAPH = (SERVICE, POD_CLIQUE, SCALING_GROUP, POD_GANG, HPA)


def story(replicas: int = 1) -> Json:
    # Its autoscaler has no metrics; with a higher minimum it would raise what the dice scaled in.
    a = clique("a", 2, 1, autoScalingConfig={"minReplicas": 1, "maxReplicas": 9})
    cliques = [a, clique("b", 1), clique("l", 1), clique("w", 2)]
    return podcliqueset(cliques, [group("g", ["l", "w"], 2, 1)], replicas=replicas)


async def graph(here: Namespace) -> dict[str, object]:
    """Names of all objects, members of all gangs, pods of each clique by their indices' number."""
    found: dict[str, object] = {}
    for kind in GRAPH:
        found[kind.kind] = sorted(o["metadata"]["name"] for o in await here.all(kind))
    for gang in await here.all(POD_GANG):
        groups = {g["name"]: (g["minReplicas"], len(g["podReferences"])) for g in gang["spec"]["podgroups"]}
        found[f"gang {gang['metadata']['name']}"] = groups
    pods = [p for p in await here.all(POD) if "deletionTimestamp" not in p["metadata"]]
    assert len({p["spec"]["hostname"] for p in pods}) == len(pods), "two pods at one index"
    found["pods"] = Counter(p["metadata"]["labels"]["grove.io/podclique"] for p in pods)
    return found


async def sizes(here: Namespace, kind: Kind) -> dict[str, int]:
    return {o["metadata"]["name"]: o["spec"]["replicas"] for o in await here.all(kind)}


async def rest(operated: Operated, seconds: float) -> dict[str, int]:
    """The writes in that time, without those of Kubernetes' own autoscaler; empty at rest."""
    before = await asyncio.to_thread(operated.project.writes)
    await asyncio.sleep(seconds)
    after = await asyncio.to_thread(operated.project.writes)
    return {
        what: n - before.get(what, 0)
        for what, n in after.items()
        if n != before.get(what, 0) and what != "PUT horizontalpodautoscalers/status"
    }


async def settle(here: Namespace) -> None:
    """Also all that belonged to what is gone has been collected: until then it isn't marked as going.

    Counted first: what goes between the two looks shows in the second one.
    """

    async def whole() -> bool:
        if not await here.is_settled("web"):
            return False
        owners = {o["metadata"]["uid"] for o in await here.all(POD_CLIQUE_SET)}
        for kind in (SCALING_GROUP, POD_CLIQUE, POD):
            found = [o["metadata"] for o in await here.all(kind)]
            if any("deletionTimestamp" in o or o["ownerReferences"][0]["uid"] not in owners for o in found):
                return False
            owners |= {o["uid"] for o in found}
        return True

    await here.eventually(whole)


async def scale_like(here: Namespace, groups: dict[str, int], cliques: dict[str, int]) -> None:
    for kind, wanted in ((SCALING_GROUP, groups), (POD_CLIQUE, cliques)):
        for name, replicas in wanted.items():
            await here.scale(kind, name, replicas)
        await settle(here)


@dataclass
class Walk:
    """Seeded scalings at all levels, often before the last one has come to rest.

    `least` is the smallest size that each PodClique was given; so many of its first pods have to be there at the end.
    """

    here: Namespace
    dice: random.Random
    first: dict[str, tuple[str, set[str]]] = field(default_factory=dict)
    least: dict[str, int] = field(default_factory=dict)

    async def begin(self) -> None:
        self.first = await self._pods()
        self.least = {name: len(uids) for name, (_, uids) in self.first.items()}

    async def run(self, steps: int = STEPS) -> None:
        await self.begin()
        for _ in range(steps):
            await self._step()
            await asyncio.sleep(self.dice.choice([0.0, 0.1, 0.5]))
        await settle(self.here)

    async def replaced(self) -> list[str]:
        """PodCliques of which more first pods are gone than the scalings took; those made anew don't count."""
        now = await self._pods()
        return [
            f"{name}: {len(uids & now[name][1])} of {len(uids)} pods are left, the least size was {self.least[name]}"
            for name, (uid, uids) in self.first.items()
            if name in now and now[name][0] == uid and len(uids & now[name][1]) < self.least[name]
        ]

    async def _step(self) -> None:
        kind = self.dice.choices([POD_CLIQUE, SCALING_GROUP, POD_CLIQUE_SET], [4, 3, 2])[0]
        objects = await self.here.all(kind)
        if not objects:
            kind, objects = POD_CLIQUE_SET, await self.here.all(POD_CLIQUE_SET)
        chosen = self.dice.choice(objects)
        name, minimum = chosen["metadata"]["name"], chosen["spec"].get("minAvailable", 1)
        replicas = self.dice.choice([*range(3)] if kind is POD_CLIQUE_SET else [0, *range(minimum, 5)])
        if kind is POD_CLIQUE:
            self.least[name] = min(self.least.get(name, replicas), replicas)
        try:
            await self.here.scale(kind, name, replicas)
        except ApiError:
            return  # it went away meanwhile

    async def _pods(self) -> dict[str, tuple[str, set[str]]]:
        """UID of each PodClique, and of its pods."""
        cliques = {o["metadata"]["uid"]: o["metadata"]["name"] for o in await self.here.all(POD_CLIQUE)}
        found: dict[str, tuple[str, set[str]]] = {name: (uid, set()) for uid, name in cliques.items()}
        for pod in await self.here.all(POD):
            owner = pod["metadata"]["ownerReferences"][0]["uid"]
            if owner in cliques and "deletionTimestamp" not in pod["metadata"]:
                found[cliques[owner]][1].add(pod["metadata"]["uid"])
        return found


async def sequence(operated: Operated, here: Namespace, fresh: Namespace, seed: int, rest_s: float) -> None:
    """One random sequence from a new set to its deletion. AssertionError where it ends otherwise than a fresh apply."""
    await here.apply(story())
    walk = Walk(here, random.Random(seed))
    if walk.dice.random() < 0.7:
        await settle(here)
    await walk.run()
    assert await walk.replaced() == [], f"seed {seed}"
    await fresh.apply(story((await here.all(POD_CLIQUE_SET))[0]["spec"]["replicas"]))
    await settle(fresh)
    await scale_like(fresh, await sizes(here, SCALING_GROUP), await sizes(here, POD_CLIQUE))
    assert await graph(here) == await graph(fresh), f"seed {seed}"
    if rest_s:
        assert await rest(operated, rest_s) == {}, f"seed {seed}"
    for place in (here, fresh):
        await place.api.delete(POD_CLIQUE_SET, place.name, "web")
    for place in (here, fresh):
        await place.eventually(place.has_no_pods)
