"""Updates that count on a pod only once it has been Ready for as long as the set asks, in virtual time, pod by pod."""

from __future__ import annotations

from datetime import datetime

import pytest

from grove_operator.api import conditions
from grove_operator.api.kinds import POD, POD_CLIQUE, POD_CLIQUE_SET, SCALING_GROUP, Json
from tests.sim.shapes import clique, group, podcliqueset
from tests.sim.surging import stage, web
from tests.sim.test_updates import STARTS_S, change_image, is_ended
from tests.sim.world import World, world

ASKED = "grove.io/rollout-min-ready-seconds"
LONG_S = 10.0


def asking(obj: Json, seconds: float = LONG_S) -> Json:
    obj["metadata"].setdefault("annotations", {})[ASKED] = f"{seconds:g}"
    return obj


def is_proven(w: World, pod: Json) -> bool:
    """Ready for so long; Kubernetes tells whole seconds."""
    said = conditions.find(pod, "Ready")
    if said is None or said["status"] != "True" or "deletionTimestamp" in pod["metadata"]:
        return False
    return (w.clock.now() - datetime.fromisoformat(said["lastTransitionTime"])).total_seconds() >= LONG_S


class Proven:
    """The fewest proven pods of each clique, and group replicas with nothing but such, seen at any moment."""

    def __init__(self, w: World) -> None:
        self.w, self.fewest, self.fewest_whole = w, dict[str, int](), 99

    def until_ended(self) -> bool:
        found: dict[str, list[bool]] = {}
        for pod in self.w.api.objects(POD):
            if "deletionTimestamp" not in pod["metadata"]:
                found.setdefault(pod["metadata"]["labels"]["grove.io/podclique"], []).append(is_proven(self.w, pod))
        self.fewest |= {name: min(self.fewest.get(name, 99), sum(pods)) for name, pods in found.items()}
        members = [o["metadata"]["name"] for o in self.w.api.objects(POD_CLIQUE) if "-g-" in o["metadata"]["name"]]
        self.fewest_whole = min(self.fewest_whole, sum(all(found.get(name) or [False]) for name in members))
        return is_ended(self.w)


async def test_the_next_pod_goes_only_when_the_one_before_has_been_ready_for_so_long() -> None:
    async with world(start_s=STARTS_S) as w:
        await w.apply(asking(podcliqueset([clique("a", 3, 1)])))
        await w.rest(60)
        proven = Proven(w)
        await change_image(w)
        took_s = await w.clock.run_until(proven.until_ended)
        assert proven.fewest == {"web-0-a": 2}
        assert 2 * (STARTS_S + LONG_S) - 1 <= took_s <= 2 * (STARTS_S + LONG_S) + 5, (
            "the third one needs nobody after it"
        )


async def test_the_same_holds_for_the_replicas_of_a_group() -> None:
    async with world(start_s=STARTS_S) as w:
        await w.apply(asking(podcliqueset([clique("w", 2, 2)], [group("g", ["w"], 3)])))
        await w.rest(60)
        proven = Proven(w)
        await change_image(w)
        took_s = await w.clock.run_until(proven.until_ended)
        assert proven.fewest_whole == 2
        assert 2 * (STARTS_S + LONG_S) - 1 <= took_s <= 3 * (STARTS_S + LONG_S) + 5


async def test_the_next_replica_of_the_set_is_begun_only_when_the_one_before_has_settled() -> None:
    async with world(start_s=STARTS_S) as w:
        await w.apply(asking(podcliqueset([clique("a", 1), clique("w", 1)], [group("g", ["w"], 1)], replicas=2)))
        await w.rest(60)
        proven = Proven(w)
        await change_image(w)
        await w.clock.run_until(proven.until_ended)
        serving = [sum(all(is_proven(w, p) for p in w.pods(f"web-{i}-{c}")) for c in ("a", "g-0-w")) for i in (0, 1)]
        assert serving == [2, 2]
        assert proven.fewest == {"web-0-a": 0, "web-1-a": 0, "web-0-g-0-w": 0, "web-1-g-0-w": 0}
        assert proven.fewest_whole == 1


async def test_a_further_replica_is_there_only_when_it_has_settled() -> None:
    async with stage(asking(web(surge="1"))) as s:
        before = s.uids(0) | s.uids(1)
        await s.change_image("y")
        await s.until(lambda: len(s.pods(2)) == 4 and all(conditions.is_true(p, "Ready") for p in s.pods(2)))
        ready_s = s.cluster.clock.monotonic()
        await s.until(lambda: not before <= s.uids(0) | s.uids(1))
        assert s.cluster.clock.monotonic() - ready_s >= LONG_S - 1
        await s.until(lambda: s.is_ended)


async def test_taking_the_annotation_away_in_mid_update_goes_on_at_once_and_leaves_nothing() -> None:
    async with world(start_s=STARTS_S) as w:
        await w.apply(asking(podcliqueset([clique("a", 2, 1), clique("w", 1)], [group("g", ["w"], 2)]), 500))
        await w.rest(600)
        await change_image(w)
        await w.rest(60)
        assert not is_ended(w)
        assert _says(w) == {"web-0-a": "True", "web-0-g": "True", "web-0-g-0-w": "True", "web-0-g-1-w": "False"}
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"metadata": {"annotations": {ASKED: None}}})
        assert await w.clock.run_until(lambda: is_ended(w)) < 2 * STARTS_S + 5
        await w.rest()
        assert _says(w) == {}


@pytest.mark.parametrize("strategy", ["RollingRecreate", "OnDelete"])
async def test_at_rest_everything_has_settled_and_nothing_is_written(strategy: str) -> None:
    async with world(start_s=STARTS_S) as w:
        obj = asking(podcliqueset([clique("a", 2, 1), clique("w", 1)], [group("g", ["w"], 2)]))
        obj["spec"]["updateStrategy"] = {"type": strategy}
        await w.apply(obj)
        await w.rest(60)
        assert set(_says(w).values()) == ({"False"} if strategy == "RollingRecreate" else set())
        w.api.writes.clear()
        await w.rest(120)
        assert w.api.writes == []


def _says(w: World) -> dict[str, str]:
    """What PodCliques and scaling groups say of Settling."""
    found = [*w.api.objects(POD_CLIQUE), *w.api.objects(SCALING_GROUP)]
    said = {o["metadata"]["name"]: conditions.find(o, "Settling") for o in found}
    return {name: entry["status"] for name, entry in said.items() if entry}
