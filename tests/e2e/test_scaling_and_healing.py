"""Scaling at three levels and repair by watches alone, on the real API server with operator and scheduler running."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from grove_operator.api.kinds import (
    HPA,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    ROLE,
    SCALING_GROUP,
    SECRET,
    SERVICE,
    Json,
    Kind,
)
from grove_operator.engine.ports import ApiError
from tests.sim.shapes import clique, group, podcliqueset
from tests.support.operated import Namespace, Operated

pytestmark = pytest.mark.needs_tools
SEQUENCES, STEPS = 10, 6
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
    """Also every pod of a clique that is gone has been collected: until then it isn't marked as going."""

    async def whole() -> bool:
        cliques = {o["metadata"]["uid"] for o in await here.all(POD_CLIQUE)}
        pods = [p["metadata"] for p in await here.all(POD)]
        if any("deletionTimestamp" in p or p["ownerReferences"][0]["uid"] not in cliques for p in pods):
            return False
        return await here.is_settled("web")

    await here.eventually(whole)


async def one_step(here: Namespace, dice: random.Random) -> None:
    kind = dice.choices([POD_CLIQUE, SCALING_GROUP, POD_CLIQUE_SET], [4, 3, 2])[0]
    objects = await here.all(kind) or await here.all(POD_CLIQUE_SET)
    chosen = dice.choice(objects)
    kind = {k.kind: k for k in (POD_CLIQUE, SCALING_GROUP, POD_CLIQUE_SET)}[chosen.get("kind", kind.kind)]
    least = chosen["spec"].get("minAvailable", 1)
    counts = range(3) if kind is POD_CLIQUE_SET else [0, *range(least, 5)]
    try:
        await here.scale(kind, chosen["metadata"]["name"], dice.choice(counts))
    except ApiError:
        return  # it went away meanwhile


async def scale_like(here: Namespace, groups: dict[str, int], cliques: dict[str, int]) -> None:
    for kind, wanted in ((SCALING_GROUP, groups), (POD_CLIQUE, cliques)):
        for name, replicas in wanted.items():
            await here.scale(kind, name, replicas)
        await settle(here)


async def test_random_mixtures_of_scalings_end_as_a_fresh_apply_and_then_nothing_is_written(operated: Operated) -> None:
    async with operated.namespace("mixed") as here, operated.namespace("mixed-fresh") as fresh:
        for seed in range(SEQUENCES):
            dice = random.Random(seed)
            await here.apply(story())
            for _ in range(STEPS):
                await one_step(here, dice)
                await asyncio.sleep(dice.choice([0.0, 0.1, 0.5]))
            await settle(here)
            await fresh.apply(story((await here.all(POD_CLIQUE_SET))[0]["spec"]["replicas"]))
            await settle(fresh)
            await scale_like(fresh, await sizes(here, SCALING_GROUP), await sizes(here, POD_CLIQUE))
            assert await graph(here) == await graph(fresh), f"seed {seed}"
            if seed == SEQUENCES - 1:
                assert await rest(operated, 5) == {}
            for place in (here, fresh):
                await place.api.delete(POD_CLIQUE_SET, place.name, "web")
                await place.eventually(place.has_no_pods)


async def test_what_is_deleted_or_changed_by_hand_comes_back_within_seconds(operated: Operated) -> None:
    async with operated.namespace("healing") as here:
        await here.apply(podcliqueset(**ordered()))
        await settle(here)
        before = await graph(here)
        for kind, name in (
            (SERVICE, "web-0"),
            (HPA, "web-0-a"),
            (POD_GANG, "web-0"),
            (POD_GANG, "web-0-g-0"),
            (ROLE, "grove.io:pcs:web"),
            (SECRET, "web-ic-sat"),
            (POD, (await here.pods("web-0-a"))[0]["metadata"]["name"]),
        ):
            uid = (await here.api.get(kind, here.name, name))["metadata"]["uid"]
            await here.api.delete(kind, here.name, name, uid=uid)
            await here.eventually(lambda kind=kind, name=name, uid=uid: is_new(here, kind, name, uid))
        await settle(here)
        assert await graph(here) == before
        for kind, name, change, says in (
            (SERVICE, "web-0", {"spec": {"selector": {"stray": "yes"}}}, ("spec", "selector")),
            (
                SERVICE,
                "web-0",
                {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}},
                ("metadata", "labels"),
            ),
            (HPA, "web-0-a", {"spec": {"maxReplicas": 77}}, ("spec", "maxReplicas")),
            (POD_GANG, "web-0", {"spec": {"podgroups": []}}, ("spec", "podgroups")),
            (SECRET, "web-ic-sat", {"metadata": {"labels": {"app.kubernetes.io/name": "x"}}}, ("metadata", "labels")),
        ):
            right = (await here.api.get(kind, here.name, name))[says[0]][says[1]]
            await here.api.patch(kind, here.name, name, change)
            await here.eventually(lambda k=kind, n=name, s=says, r=right: says_again(here, k, n, s, r))
        await settle(here)
        assert await graph(here) == before
        assert await rest(operated, 3) == {}


def ordered() -> Json:
    a = clique("a", 2, 1, autoScalingConfig={"maxReplicas": 9})
    cliques = [a, clique("l", 1), clique("w", 2)]
    return {"cliques": cliques, "groups": [group("g", ["l", "w"], 2)], "cliqueStartupType": "CliqueStartupTypeInOrder"}


async def is_new(here: Namespace, kind: Kind, name: str, uid: str) -> bool:
    """Another object bears the name; another pod of the same clique is there."""
    if kind is POD:
        pods = await here.pods("web-0-a")
        return len(pods) == 2 and uid not in {p["metadata"]["uid"] for p in pods}
    try:
        return bool((await here.api.get(kind, here.name, name))["metadata"]["uid"] != uid)
    except ApiError:
        return False


async def says_again(here: Namespace, kind: Kind, name: str, path: tuple[str, str], right: object) -> bool:
    return bool((await here.api.get(kind, here.name, name))[path[0]].get(path[1]) == right)


async def test_fifty_replicas_of_two_pods_cost_at_most_seven_writes_a_pod(operated: Operated) -> None:
    async with operated.namespace("writes") as here:
        before = await asyncio.to_thread(operated.project.writes)
        await here.apply(podcliqueset([clique("a", 2)], replicas=50))
        await settle(here)
        after = await asyncio.to_thread(operated.project.writes)
        spent = {what: n - before.get(what, 0) for what, n in after.items()}
        agents = spent.pop("PATCH pods/status", 0)
        assert agents >= 100
        assert sum(spent.values()) / 100 <= 7.0, {what: n for what, n in spent.items() if n}
