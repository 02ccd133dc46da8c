"""Scaling at three levels and repair by watches alone, on the real API server with operator and scheduler running."""

from __future__ import annotations

import asyncio
import random

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
from tests.support.scaling import Walk, graph, rest, scale_like, sequence, settle, sizes

pytestmark = pytest.mark.needs_tools
SEQUENCES = 10


async def test_random_mixtures_of_scalings_end_as_a_fresh_apply_and_then_nothing_is_written(operated: Operated) -> None:
    """`make prove ISSUE=6` runs a hundred of them."""
    async with operated.namespace("mixed") as here, operated.namespace("mixed-fresh") as fresh:
        for seed in range(SEQUENCES):
            await sequence(operated, here, fresh, seed, 5.0 if seed in (0, SEQUENCES - 1) else 0.0)


async def test_each_level_scaled_out_and_in_ends_as_a_fresh_apply_and_replaces_no_pod(operated: Operated) -> None:
    steps = (
        (SCALING_GROUP, "web-0-g", 4),
        (SCALING_GROUP, "web-0-g", 2),
        (POD_CLIQUE, "web-0-a", 6),
        (POD_CLIQUE, "web-0-a", 1),
        (POD_CLIQUE_SET, "web", 3),
        (POD_CLIQUE_SET, "web", 0),
    )
    async with operated.namespace("levels") as here, operated.namespace("levels-fresh") as fresh:
        await here.apply(three_levels(1))
        await settle(here)
        for kind, name, replicas in steps:
            walk = Walk(here, random.Random(0))
            await walk.begin()
            if kind is POD_CLIQUE:
                walk.least[name] = min(walk.least[name], replicas)
            await here.scale(kind, name, replicas)
            await here.eventually(lambda kind=kind, name=name, n=replicas: counts(here, kind, name, n))
            await settle(here)
            assert await walk.replaced() == [], f"{name} to {replicas}"
            assert await rest(operated, 5) == {}, f"{name} to {replicas}"
            await fresh.apply(three_levels((await sizes(here, POD_CLIQUE_SET))["web"]))
            await settle(fresh)
            await scale_like(fresh, await sizes(here, SCALING_GROUP), await sizes(here, POD_CLIQUE))
            assert await graph(here) == await graph(fresh), f"{name} to {replicas}"
            await fresh.api.delete(POD_CLIQUE_SET, fresh.name, "web")
            await fresh.eventually(fresh.has_no_pods)


def three_levels(replicas: int) -> Json:
    cliques = [clique("a", 2, 1), clique("l", 1), clique("w", 2)]
    return podcliqueset(cliques, [group("g", ["l", "w"], 1, 1)], replicas=replicas)


async def counts(here: Namespace, kind: Kind, name: str, replicas: int) -> bool:
    """Its status has heard of the new size: before that, what was settled still is."""
    return bool((await here.api.get(kind, here.name, name))["status"].get("replicas", 0) == replicas)


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
