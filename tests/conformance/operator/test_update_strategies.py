"""All three update strategies on the local cluster, counted pod by pod (grove-behaviour 7)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from grove_operator.api.kinds import POD, POD_CLIQUE, POD_CLIQUE_SET, SCALING_GROUP, Json
from grove_operator.engine.informer import Informer
from grove_operator.kube.clock import RealClock
from tests.sim.shapes import clique, group, podcliqueset
from tests.support.killable import Killable
from tests.support.operated import Namespace, is_ready
from tests.support.scaling import settle

pytestmark = pytest.mark.needs_tools
NEW = "y"
CLIQUE = "grove.io/podclique"


@dataclass(frozen=True)
class Row:
    """`kept`: how many of each PodClique's first pods are there at the end. `fewest`: how many of a PodClique's pods
    (whole replicas of a group) were Ready at the worst moment. `turns`: the replicas of the set in their order.
    `surge`: how many replicas are made beside these; they count as whole replicas of the set, too."""

    cliques: Sequence[Json]
    changed: Sequence[str]
    kept: Mapping[str, int]
    fewest: Mapping[str, int]
    groups: Sequence[Json] = ()
    replicas: int = 1
    strategy: str = "RollingRecreate"
    turns: Sequence[int] = (0,)
    surge: int = 0


ROWS = {
    "standalone cliques: one Ready pod each, minimal and full minAvailable, one replica of the set after another": Row(
        [clique("a", 3, 1), clique("b", 3, 3), clique("c", 2)],
        changed=["a", "b"],
        kept={"web-0-a": 0, "web-0-b": 0, "web-0-c": 2, "web-1-a": 0, "web-1-b": 0, "web-1-c": 2},
        fewest={"web-0-a": 2, "web-0-b": 2, "web-0-c": 2, "web-1-a": 2, "web-1-b": 2, "web-1-c": 2},
        replicas=2,
        turns=[0, 1],
    ),
    "a group of minimal minAvailable: one replica with all its cliques": Row(
        [clique("f", 1), clique("l", 1), clique("w", 2)],
        groups=[group("g", ["l", "w"], 3, 1)],
        changed=["w"],
        kept={"web-0-f": 1} | {f"web-0-g-{j}-{c}": 0 for j in range(3) for c in "lw"},
        fewest={"web-0-f": 1, "web-0-g": 2},
    ),
    "a group of full minAvailable: one replica with all its cliques": Row(
        [clique("f", 1), clique("l", 1), clique("w", 2)],
        groups=[group("g", ["l", "w"], 3, 3)],
        changed=["w"],
        kept={"web-0-f": 1} | {f"web-0-g-{j}-{c}": 0 for j in range(3) for c in "lw"},
        fewest={"web-0-f": 1, "web-0-g": 2},
    ),
    "whole replicas of the set: the parts of one at once, the others untouched": Row(
        [clique("a", 1), clique("w", 2)],
        groups=[group("g", ["w"], 1)],
        changed=["a", "w"],
        kept={f"web-{i}-{c}": 0 for i in range(3) for c in ("a", "g-0-w")},
        fewest={"web": 2},
        replicas=3,
        turns=[0, 1, 2],
    ),
    "a further replica first: as many serve at every moment as the set has": Row(
        [clique("a", 1), clique("w", 2)],
        groups=[group("g", ["w"], 1)],
        changed=["a", "w"],
        kept={f"web-{i}-{c}": 0 for i in range(2) for c in ("a", "g-0-w")},
        fewest={"web": 2},
        replicas=2,
        turns=[2, 0, 1],
        surge=1,
    ),
    "as many at once as maxUnavailable says": Row(
        [{**clique("a", 6, 1), "rollingUpdate": {"maxUnavailable": 3}}, clique("w", 1)],
        groups=[group("g", ["w"], 4, 1, rollingUpdate={"maxUnavailable": 2})],
        changed=["a", "w"],
        kept={"web-0-a": 0} | {f"web-0-g-{j}-w": 0 for j in range(4)},
        fewest={"web-0-a": 3, "web-0-g": 2},
    ),
    "OnDelete: nothing is replaced": Row(
        [clique("a", 2), clique("w", 2)],
        groups=[group("g", ["w"], 2, 1)],
        changed=["a", "w"],
        kept={"web-0-a": 2, "web-0-g-0-w": 2, "web-0-g-1-w": 2},
        fewest={"web-0-a": 2, "web-0-g": 2},
        strategy="OnDelete",
        turns=[],
    ),
    "Coherent: minAvailable of each part at once": Row(
        [clique("p", 4, 2), clique("d", 2)],
        groups=[group("g", ["d"], 8, 4)],
        changed=["p", "d"],
        kept={"web-0-p": 0} | {f"web-0-g-{j}-d": 0 for j in range(8)},
        fewest={"web-0-p": 2, "web-0-g": 4},
        strategy="Coherent",
    ),
    "Coherent: full minAvailable is one step": Row(
        [clique("p", 2, 2), clique("d", 1), clique("c", 1)],
        groups=[group("g", ["d"], 2, 2)],
        changed=["p", "d"],
        kept={"web-0-p": 0, "web-0-g-0-d": 0, "web-0-g-1-d": 0, "web-0-c": 1},
        fewest={"web-0-p": 0, "web-0-g": 0, "web-0-c": 1},
        strategy="Coherent",
    ),
}


@dataclass
class Watched:
    """Looks after every event of a pod, in the order in which the API server tells of them."""

    first: int
    """How many pods there are at the beginning."""
    sizes: Mapping[str, int]
    parts: Mapping[str, Mapping[str, set[str]]]
    """PodCliques of each replica of each group, and of each replica of the set."""
    pods: dict[str, Json] = field(default_factory=dict)
    fewest: dict[str, int] = field(default_factory=dict)
    turns: list[int] = field(default_factory=list)
    renewed: list[dict[str, int]] = field(default_factory=list)
    """How much of everything was new and Ready, one entry for each change."""

    @classmethod
    def of(cls, pods: Sequence[Json], row: Row) -> Watched:
        """What is there when all is Ready is what should be there; further replicas are like the first."""
        parts: dict[str, dict[str, set[str]]] = {}
        for labels in (pod["metadata"]["labels"] for pod in pods):
            owners = {"web": labels["grove.io/podcliqueset-replica-index"]}
            if owner := labels.get("grove.io/podcliquescalinggroup"):
                owners[owner] = labels["grove.io/podcliquescalinggroup-replica-index"]
            for owner, index in owners.items():
                parts.setdefault(owner, {}).setdefault(index, set()).add(labels[CLIQUE])
        sizes = Counter(pod["metadata"]["labels"][CLIQUE] for pod in pods)
        for i in range(row.replicas, row.replicas + row.surge):
            like = {name.replace("web-0-", f"web-{i}-"): sizes[name] for name in parts["web"]["0"]}
            parts["web"][str(i)], sizes = set(like), sizes | Counter(like)
        return cls(len(pods), sizes, parts)

    def told_of_pod(self, old: Json | None, new: Json | None) -> None:
        uid = (new or old or {})["metadata"]["uid"]
        if new is None:
            self.pods.pop(uid, None)
        else:
            self.pods[uid] = new
        if self.first > len(self.pods) and not self.fewest:
            return  # the first list is still being told
        ready = [p for p in self.pods.values() if is_ready(p) and "deletionTimestamp" not in p["metadata"]]
        for name, count in self._counts(ready).items():
            self.fewest[name] = min(self.fewest.get(name, count), count)
        new_ones = self._counts([p for p in ready if p["spec"]["containers"][0]["image"] == NEW])
        if self.renewed[-1:] != [new_ones]:
            self.renewed.append(new_ones)

    def told_of_set(self, _: Json | None, new: Json | None) -> None:
        progress = ((new or {}).get("status") or {}).get("updateProgress") or {}
        current = [one["replicaIndex"] for one in progress.get("currentlyUpdating") or ()]
        if current and self.turns[-1:] != current:
            self.turns += current

    def _counts(self, pods: Sequence[Json]) -> dict[str, int]:
        """Pods of each PodClique, whole replicas of each group and of the set."""
        found = Counter(pod["metadata"]["labels"][CLIQUE] for pod in pods)
        whole = {
            owner: sum(all(found[c] >= self.sizes[c] for c in cliques) for cliques in replicas.values())
            for owner, replicas in self.parts.items()
        }
        return {name: found[name] for name in self.sizes} | whole


@dataclass(frozen=True)
class Played:
    before: Mapping[str, set[str]]
    after: Mapping[str, set[str]]
    images: Mapping[str, set[str]]
    seen: Watched
    status: Json


@pytest.fixture(scope="module")
def played(killable: Killable) -> dict[str, Played]:
    asyncio.run(killable.ensure_running())
    return asyncio.run(_play(killable))


async def _play(killable: Killable) -> dict[str, Played]:
    await killable.operated.collector_knows_our_kinds()  # else pods outlive their PodClique and are counted, too
    async with asyncio.TaskGroup() as tasks:
        playing = {
            name: tasks.create_task(_row(killable, row, f"update-{n}")) for n, (name, row) in enumerate(ROWS.items())
        }
    return {name: task.result() for name, task in playing.items()}


@pytest.mark.parametrize("name", ROWS)
def test_which_pods_are_replaced_and_which_are_kept(played: dict[str, Played], name: str) -> None:
    row, found = ROWS[name], played[name]
    assert {c: len(uids & found.after[c]) for c, uids in found.before.items()} == dict(row.kept)
    assert {c: len(uids) for c, uids in found.after.items()} == {c: len(uids) for c, uids in found.before.items()}
    for name_of_clique, images in found.images.items():
        is_new = name_of_clique.rpartition("-")[2] in row.changed and row.strategy != "OnDelete"
        assert images == ({NEW} if is_new else {"x"}), name_of_clique


@pytest.mark.parametrize("name", ROWS)
def test_how_many_were_ready_at_the_worst_moment_and_whose_turn_it_was(played: dict[str, Played], name: str) -> None:
    row, found = ROWS[name], played[name].seen
    assert {unit: found.fewest[unit] for unit in row.fewest} == dict(row.fewest)
    assert found.turns == list(row.turns)


@pytest.mark.parametrize("name", ROWS)
def test_progress_counts_what_is_updated(played: dict[str, Played], name: str) -> None:
    row, status = ROWS[name], played[name].status
    progress = status["updateProgress"]
    assert "updateEndedAt" in progress
    assert "currentlyUpdating" not in progress
    is_through = row.strategy != "OnDelete"
    assert status["updatedReplicas"] == (row.replicas if is_through else 0)
    for what in ("PodCliques", "PodCliqueScalingGroups"):
        updated, total = progress[f"updated{what}Count"], progress[f"total{what}Count"]
        assert updated == (total if is_through else 0), what


def test_coherent_keeps_prefill_and_decode_in_ratio(played: dict[str, Played]) -> None:
    """4 of minimum 2 beside 8 of minimum 4: first 2 + 4, then the rest."""
    seen = [(e["web-0-p"], e["web-0-g"]) for e in played["Coherent: minAvailable of each part at once"].seen.renewed]
    first_step_over = seen.index((2, 4))
    assert all(p <= 2 and g <= 4 for p, g in seen[:first_step_over])
    assert seen[-1] == (4, 8)


async def test_on_delete_what_the_user_deletes_comes_back_new_and_scaling_in_takes_the_old(running: Killable) -> None:
    async with running.operated.namespace("on-delete") as here:
        obj = podcliqueset([clique("a", 3), clique("w", 2)], [group("g", ["w"], 1)])
        obj["spec"]["updateStrategy"] = {"type": "OnDelete"}
        await here.apply(obj)
        await settle(here)
        await _change_image(here, ["a", "w"])
        await here.eventually(lambda: _is_ended(here))
        for name in ("web-0-a", "web-0-g-0-w"):
            await here.api.delete(POD, here.name, (await here.pods(name))[0]["metadata"]["name"], grace_s=0)
        await here.eventually(lambda: _shows(here, {"web-0-a": ["x", "x", NEW], "web-0-g-0-w": ["x", NEW]}))
        await settle(here)
        await here.scale(POD_CLIQUE, "web-0-a", 1)
        await here.eventually(lambda: _shows(here, {"web-0-a": [NEW], "web-0-g-0-w": ["x", NEW]}))
        await here.scale(SCALING_GROUP, "web-0-g", 2)
        wanted = {"web-0-a": [NEW], "web-0-g-0-w": ["x", NEW], "web-0-g-1-w": [NEW, NEW]}
        await here.eventually(lambda: _shows(here, wanted))


async def _row(killable: Killable, row: Row, namespace: str) -> Played:
    async with killable.operated.namespace(namespace) as here:
        obj = podcliqueset(list(row.cliques), list(row.groups), replicas=row.replicas)
        obj["spec"]["updateStrategy"] = {"type": row.strategy}
        await here.apply(obj)
        if row.surge:
            asked: Json = {"metadata": {"annotations": {"grove.io/rollout-max-surge": str(row.surge)}}}
            await here.api.patch(POD_CLIQUE_SET, here.name, "web", asked)
        await settle(here)
        before, seen = await _uids(here), Watched.of(await here.all(POD), row)
        async with _watching(here, seen):
            await _change_image(here, row.changed)
            await here.eventually(lambda: _is_ended(here))
            await settle(here)
            await here.eventually(lambda: _has_caught_up(here, seen))
        pods = await here.all(POD)
        images: dict[str, set[str]] = {}
        for pod in pods:
            images.setdefault(pod["metadata"]["labels"][CLIQUE], set()).add(pod["spec"]["containers"][0]["image"])
        status = (await here.all(POD_CLIQUE_SET))[0]["status"]
        return Played(before, await _uids(here), images, seen, status)


@asynccontextmanager
async def _watching(here: Namespace, seen: Watched) -> AsyncIterator[None]:
    clock = RealClock()
    informers = [
        Informer(here.api, clock, POD, seen.told_of_pod, namespace=here.name),
        Informer(here.api, clock, POD_CLIQUE_SET, seen.told_of_set, namespace=here.name),
    ]
    tasks = [asyncio.create_task(informer.run()) for informer in informers]
    try:
        for informer in informers:
            await informer.synced.wait()
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _has_caught_up(here: Namespace, seen: Watched) -> bool:
    def versions(pods: Iterable[Json]) -> set[str]:
        return {pod["metadata"]["resourceVersion"] for pod in pods}

    return versions(await here.all(POD)) == versions(seen.pods.values())


async def _change_image(here: Namespace, names: Sequence[str]) -> None:
    cliques = (await here.all(POD_CLIQUE_SET))[0]["spec"]["template"]["cliques"]
    for entry in cliques:
        if entry["name"] in names:
            entry["spec"]["podSpec"]["containers"][0]["image"] = NEW
    await here.api.patch(POD_CLIQUE_SET, here.name, "web", {"spec": {"template": {"cliques": cliques}}})


async def _is_ended(here: Namespace) -> bool:
    status = (await here.all(POD_CLIQUE_SET))[0]["status"]
    return bool((status.get("updateProgress") or {}).get("updateEndedAt"))


async def _shows(here: Namespace, wanted: Mapping[str, Sequence[str]]) -> bool:
    """The images of all pods that stay, by PodClique."""
    found: dict[str, list[str]] = {}
    for pod in await here.all(POD):
        if "deletionTimestamp" not in pod["metadata"]:
            found.setdefault(pod["metadata"]["labels"][CLIQUE], []).append(pod["spec"]["containers"][0]["image"])
    return {name: sorted(images) for name, images in found.items()} == dict(wanted)


async def _uids(here: Namespace) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for pod in await here.all(POD):
        found.setdefault(pod["metadata"]["labels"][CLIQUE], set()).add(pod["metadata"]["uid"])
    return found
