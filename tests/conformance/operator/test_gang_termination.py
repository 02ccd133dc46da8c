"""Gang termination on the local cluster, counted pod by pod (grove-behaviour 6.6).

All nodes are cordoned, some pods are lost, and what comes after them finds no place until the delay has passed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from grove_operator.api.kinds import NODE, POD, POD_GANG, SCALING_GROUP, SERVICE, Json, Kind
from grove_operator.kube.client import HttpKubeApi
from tests.sim.shapes import clique, group, podcliqueset
from tests.support.killable import Killable
from tests.support.operated import Namespace
from tests.support.scaling import settle

pytestmark = pytest.mark.needs_tools
DELAY_S = 5
SURVIVORS = (SCALING_GROUP, POD_GANG, SERVICE)


@dataclass(frozen=True)
class Row:
    """`lost`: how many pods of which PodCliques. `kept`: how many of each one's first pods are there at the end."""

    cliques: Sequence[Json]
    lost: Mapping[str, int]
    kept: Mapping[str, int]
    groups: Sequence[Json] = ()
    replicas: int = 1


ROWS = {
    "a clique at its full minimum takes its replica with it, and no other": Row(
        [clique("a", 2, 2), clique("b", 3, 1)],
        lost={"web-0-a": 1},
        kept={"web-0-a": 0, "web-0-b": 0, "web-1-a": 2, "web-1-b": 3},
        replicas=2,
    ),
    "a clique with one to spare only gets another pod": Row(
        [clique("a", 2, 1), clique("b", 1)],
        lost={"web-0-a": 1},
        kept={"web-0-a": 1, "web-0-b": 1},
    ),
    "a clique that loses all it may not lose takes its replica with it": Row(
        [clique("a", 2, 1), clique("b", 1)],
        lost={"web-0-a": 2},
        kept={"web-0-a": 0, "web-0-b": 0},
    ),
    "a group at its full minimum takes the whole replica with it": Row(
        [clique("f", 1), clique("w", 3, 3)],
        groups=[group("g", ["w"], 2, 2)],
        lost={"web-0-g-1-w": 1},
        kept={"web-0-f": 0, "web-0-g-0-w": 0, "web-0-g-1-w": 0, "web-1-f": 1, "web-1-g-0-w": 3, "web-1-g-1-w": 3},
        replicas=2,
    ),
    "a group replica of which enough are left is recycled alone, with all its cliques": Row(
        [clique("f", 1), clique("l", 1), clique("w", 2, 2)],
        groups=[group("g", ["l", "w"], 2, 1)],
        lost={"web-0-g-0-w": 1},
        kept={"web-0-f": 1, "web-0-g-0-l": 0, "web-0-g-0-w": 0, "web-0-g-1-l": 1, "web-0-g-1-w": 2},
    ),
    "a scaled group replica of which enough are left is recycled alone, too": Row(
        [clique("f", 1), clique("w", 2, 2)],
        groups=[group("g", ["w"], 3, 1)],
        lost={"web-0-g-2-w": 2},
        kept={"web-0-f": 1, "web-0-g-0-w": 2, "web-0-g-1-w": 2, "web-0-g-2-w": 0},
    ),
    "a member clique with one to spare only gets another pod": Row(
        [clique("f", 1), clique("w", 3, 2)],
        groups=[group("g", ["w"], 2, 1)],
        lost={"web-0-g-0-w": 1},
        kept={"web-0-f": 1, "web-0-g-0-w": 2, "web-0-g-1-w": 3},
    ),
    "both group replicas breached take the whole replica with them": Row(
        [clique("f", 1), clique("w", 2, 2)],
        groups=[group("g", ["w"], 2, 1)],
        lost={"web-0-g-0-w": 1, "web-0-g-1-w": 1},
        kept={"web-0-f": 0, "web-0-g-0-w": 0, "web-0-g-1-w": 0},
    ),
}


@dataclass(frozen=True)
class Played:
    """Pods of each PodClique before and after, and the UIDs of what a recycle must spare."""

    before: Mapping[str, set[str]]
    after: Mapping[str, set[str]]
    spared: tuple[set[str], set[str]]


@pytest.fixture(scope="module")
def played(killable: Killable) -> dict[str, Played]:
    """All rows at once: they share the nodes that nobody may use while the delays pass."""
    asyncio.run(killable.ensure_running())
    return asyncio.run(_play(killable))


@pytest.mark.parametrize("name", ROWS)
def test_what_is_recycled_and_what_keeps_running(played: dict[str, Played], name: str) -> None:
    row, found = ROWS[name], played[name]
    assert {c: len(uids & found.after.get(c, set())) for c, uids in found.before.items()} == dict(row.kept)
    assert {c: len(uids) for c, uids in found.after.items()} == {c: len(uids) for c, uids in found.before.items()}


@pytest.mark.parametrize("name", ROWS)
def test_groups_gangs_and_services_survive(played: dict[str, Played], name: str) -> None:
    before, after = played[name].spared
    assert before == after


async def _play(killable: Killable) -> dict[str, Played]:
    async with HttpKubeApi.from_kubeconfig(killable.operated.kubeconfig) as api:
        losing, lost, over = asyncio.Barrier(len(ROWS) + 1), asyncio.Barrier(len(ROWS) + 1), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            playing = {
                name: tasks.create_task(_row(killable, row, f"termination-{n}", losing, lost, over))
                for n, (name, row) in enumerate(ROWS.items())
            }
            await losing.wait()
            await _cordon(api, True)
            await lost.wait()  # first: cordoned; second: what must be recycled is
            await lost.wait()
            await asyncio.sleep(DELAY_S)  # what else would be recycled had the same delay
            await _cordon(api, False)
            over.set()
        return {name: task.result() for name, task in playing.items()}


async def _row(
    killable: Killable, row: Row, namespace: str, losing: asyncio.Barrier, lost: asyncio.Barrier, over: asyncio.Event
) -> Played:
    async with killable.operated.namespace(namespace) as here:
        obj = podcliqueset(list(row.cliques), list(row.groups), replicas=row.replicas, terminationDelay=f"{DELAY_S}s")
        await here.apply(obj)
        await settle(here)
        before, spared = await _pods(here), await _uids(here, SURVIVORS)
        await losing.wait()
        await lost.wait()
        for name, count in row.lost.items():
            for pod in (await here.pods(name))[:count]:
                await here.api.delete(POD, here.name, pod["metadata"]["name"], grace_s=0)

        async def is_recycled() -> bool:
            now = await _pods(here)
            return not any(before[c] & now.get(c, set()) for c, kept in row.kept.items() if not kept)

        await here.eventually(is_recycled)
        await lost.wait()
        await over.wait()
        await settle(here)
        return Played(before, await _pods(here), (spared, await _uids(here, SURVIVORS)))


async def _cordon(api: HttpKubeApi, is_cordoned: bool) -> None:
    for node in (await api.list(NODE)).items:
        await api.patch(NODE, None, node["metadata"]["name"], {"spec": {"unschedulable": is_cordoned or None}})


async def _pods(here: Namespace) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for pod in await here.all(POD):
        found.setdefault(pod["metadata"]["labels"]["grove.io/podclique"], set()).add(pod["metadata"]["uid"])
    return found


async def _uids(here: Namespace, kinds: Sequence[Kind]) -> set[str]:
    return {o["metadata"]["uid"] for kind in kinds for o in await here.all(kind)}
