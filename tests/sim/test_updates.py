"""Rolling updates in virtual time (grove-behaviour 7), counted pod by pod."""

from __future__ import annotations

import pytest

from grove_operator.api import conditions
from grove_operator.api.kinds import EVENT, POD, POD_CLIQUE, POD_CLIQUE_SET, SCALING_GROUP, Json
from grove_operator.sim.apiserver import Request
from tests.sim.shapes import clique, group, podcliqueset
from tests.sim.world import World, world

STARTS_S = 5.0


async def change_image(w: World, *names: str, image: str = "y") -> None:
    """Of the named cliques; of all when none is named."""
    pcs = w.api.objects(POD_CLIQUE_SET)[0]
    cliques = pcs["spec"]["template"]["cliques"]
    for entry in cliques:
        if not names or entry["name"] in names:
            entry["spec"]["podSpec"]["containers"][0]["image"] = image
    await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"spec": {"template": {"cliques": cliques}}})


def status(w: World) -> Json:
    found: Json = w.api.objects(POD_CLIQUE_SET)[0]["status"]
    return found


def progress(w: World) -> Json:
    found: Json = status(w).get("updateProgress") or {}
    return found


def is_ended(w: World) -> bool:
    return bool(progress(w).get("updateEndedAt"))


def images(w: World) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pod in w.api.objects(POD):
        if "deletionTimestamp" not in pod["metadata"]:
            name = pod["metadata"]["labels"]["grove.io/podclique"]
            found.setdefault(name, []).append(pod["spec"]["containers"][0]["image"])
    return {name: sorted(found[name]) for name in sorted(found)}


def uids(w: World) -> set[str]:
    return {pod["metadata"]["uid"] for pod in w.api.objects(POD)}


def ready(w: World, clique_name: str) -> int:
    pods = [p for p in w.pods(clique_name) if "deletionTimestamp" not in p["metadata"]]
    return sum(conditions.is_true(pod, "Ready") for pod in pods)


class Low:
    """The fewest Ready pods of each clique seen at any moment."""

    def __init__(self, w: World) -> None:
        self.w = w
        self.fewest: dict[str, int] = {}

    def look(self) -> None:
        for obj in self.w.api.objects(POD_CLIQUE):
            name = obj["metadata"]["name"]
            self.fewest[name] = min(self.fewest.get(name, 99), ready(self.w, name))

    def until_ended(self) -> bool:
        self.look()
        return is_ended(self.w)


async def test_one_replica_after_another_and_in_each_one_ready_pod_of_a_clique_at_a_time() -> None:
    async with world(start_s=STARTS_S) as w:
        await w.apply(podcliqueset([clique("a", 3, 1), clique("b", 2, 2)], replicas=2))
        await w.rest()
        before, low, seen = uids(w), Low(w), []
        await change_image(w)

        def ended() -> bool:
            current = [one["replicaIndex"] for one in progress(w).get("currentlyUpdating") or ()]
            assert len(current) <= 1
            if current and seen[-1:] != current:
                seen.extend(current)
            return low.until_ended()

        await w.clock.run_until(ended)
        await w.rest()
        assert seen == [0, 1]
        assert low.fewest == {"web-0-a": 2, "web-0-b": 1, "web-1-a": 2, "web-1-b": 1}
        assert not before & uids(w)
        assert {image for found in images(w).values() for image in found} == {"y"}
        counts = {k: v for k, v in progress(w).items() if k.endswith("Count")}
        assert counts["updatedPodCliquesCount"] == counts["totalPodCliquesCount"] == 4
        assert status(w)["updatedReplicas"] == status(w)["availableReplicas"] == 2


async def test_a_clique_that_did_not_change_keeps_its_pods() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 2), clique("b", 2)], [group("g", ["b"], 2, 1)]))
        await w.rest()
        before = {p["metadata"]["uid"] for p in w.pods("web-0-a")}
        await change_image(w, "b")
        await w.clock.run_until(lambda: is_ended(w))
        assert {p["metadata"]["uid"] for p in w.pods("web-0-a")} == before
        assert images(w)["web-0-g-1-b"] == ["y", "y"]


@pytest.mark.parametrize("least", [1, 3])
async def test_a_group_is_updated_one_replica_at_a_time_with_all_its_cliques(least: int) -> None:
    async with world(start_s=STARTS_S) as w:
        await w.apply(podcliqueset([clique("l", 1), clique("w", 2)], [group("g", ["l", "w"], 3, least)]))
        await w.rest()
        before = uids(w)
        await change_image(w, "w")
        fewest = 3

        def whole() -> int:
            return sum(ready(w, f"web-0-g-{j}-l") == 1 and ready(w, f"web-0-g-{j}-w") == 2 for j in range(3))

        def ended() -> bool:
            nonlocal fewest
            fewest = min(fewest, whole())
            return is_ended(w)

        await w.clock.run_until(ended)
        await w.rest()
        assert fewest == 2
        assert not before & uids(w), "the leader goes with its workers"
        live = w.api.objects(SCALING_GROUP)[0]["status"]
        assert live["updatedReplicas"] == 3
        assert live["updateProgress"]["updatedPodCliquesCount"] == live["updateProgress"]["totalPodCliquesCount"] == 6
        assert live["currentPodCliqueSetGenerationHash"] == status(w)["currentGenerationHash"]


async def test_max_unavailable_lets_as_many_go_at_once() -> None:
    async with world(start_s=STARTS_S) as w:
        entry = {**clique("a", 6, 1), "rollingUpdate": {"maxUnavailable": 3}}
        await w.apply(podcliqueset([entry]))
        await w.rest()
        low = Low(w)
        await change_image(w)
        took_s = await w.clock.run_until(low.until_ended)
        assert low.fewest == {"web-0-a": 3}
        assert took_s < 2 * (STARTS_S + 3)


async def test_nothing_but_the_template_of_pods_starts_an_update() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 2)]))
        await w.rest()
        before = uids(w)
        await w.api.patch(
            POD_CLIQUE_SET, "ml", "web", {"spec": {"template": {"terminationDelay": "1h"}, "replicas": 2}}
        )
        await w.rest()
        assert before < uids(w)
        assert "updateProgress" not in status(w)


async def test_a_second_change_in_mid_update_ends_with_only_the_newest() -> None:
    async with world(start_s=STARTS_S) as w:
        await w.apply(podcliqueset([clique("a", 3, 1), clique("w", 1)], [group("g", ["w"], 3, 1)]))
        await w.rest()
        await change_image(w)
        await w.rest(7)
        assert "y" in {image for found in images(w).values() for image in found}
        low = Low(w)
        await change_image(w, image="z")
        await w.clock.run_until(low.until_ended)
        assert {image for found in images(w).values() for image in found} == {"z"}
        assert low.fewest["web-0-a"] == 2


async def test_a_broken_template_costs_one_pod_and_mending_it_goes_on_at_once() -> None:
    async with world(start_s=STARTS_S, is_healthy=lambda p: p["spec"]["containers"][0]["image"] != "bad") as w:
        await w.apply(podcliqueset([clique("a", 4, 2)]))
        await w.rest()
        await change_image(w, image="bad")
        await w.rest(300)
        assert images(w)["web-0-a"] == ["bad", "x", "x", "x"]
        assert ready(w, "web-0-a") == 3
        await change_image(w, image="good")
        await w.clock.run_until(lambda: is_ended(w))
        assert images(w)["web-0-a"] == ["good"] * 4


async def test_scaling_in_mid_update_starts_new_pods_on_the_new_template_and_removes_old_ones_first() -> None:
    async with world(start_s=STARTS_S) as w:
        await w.apply(podcliqueset([clique("a", 4, 1)]))
        await w.rest()
        await change_image(w)
        await w.rest(2)
        await w.api.patch(POD_CLIQUE, "ml", "web-0-a", {"spec": {"replicas": 6}})
        await w.rest(2)
        assert images(w)["web-0-a"].count("y") == 3
        await w.api.patch(POD_CLIQUE, "ml", "web-0-a", {"spec": {"replicas": 2}})
        await w.clock.run_until(lambda: is_ended(w))
        await w.rest()
        assert images(w)["web-0-a"] == ["y", "y"]


async def test_the_update_goes_on_when_the_selected_replica_is_scaled_away() -> None:
    async with world(start_s=STARTS_S, is_healthy=lambda p: "web-1" not in p["metadata"]["name"]) as w:
        await w.apply(podcliqueset([clique("a", 2)], replicas=2))
        await w.rest()
        await change_image(w)
        await w.rest(60)
        assert progress(w)["currentlyUpdating"][0]["replicaIndex"] == 1, "the broken one comes first"
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"spec": {"replicas": 1}})
        await w.clock.run_until(lambda: is_ended(w))
        assert images(w) == {"web-0-a": ["y", "y"]}


async def test_on_delete_ends_at_once_and_leaves_it_to_the_user_also_in_groups() -> None:
    async with world() as w:
        obj = podcliqueset([clique("a", 2), clique("w", 2)], [group("g", ["w"], 1)])
        obj["spec"]["updateStrategy"] = {"type": "OnDelete"}
        await w.apply(obj)
        await w.rest()
        before = uids(w)
        await change_image(w)
        await w.rest()
        assert uids(w) == before
        assert is_ended(w)
        assert "currentlyUpdating" not in progress(w)
        assert progress(w)["totalPodCliquesCount"] == progress(w)["totalPodCliqueScalingGroupsCount"] == 1
        assert progress(w)["updatedPodCliquesCount"] == 0
        for name in ("web-0-a", "web-0-g-0-w"):
            await w.api.delete(POD, "ml", w.pods(name)[0]["metadata"]["name"])
        await w.rest()
        assert images(w) == {"web-0-a": ["x", "y"], "web-0-g-0-w": ["x", "y"]}
        await w.api.patch(POD_CLIQUE, "ml", "web-0-a", {"spec": {"replicas": 1}})
        await w.rest()
        assert images(w)["web-0-a"] == ["y"]


async def test_a_paused_rollout_stays_where_it_is_and_goes_on_when_resumed() -> None:
    async with world(start_s=STARTS_S) as w:
        await w.apply(podcliqueset([clique("a", 4, 1)]))
        await w.rest()
        await change_image(w)
        await w.rest(7)
        pause: Json = {"metadata": {"annotations": {"grove.io/rollout-paused": "true"}}}
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", pause)
        await w.rest(60)
        held = images(w)
        assert set(held["web-0-a"]) == {"x", "y"}
        await w.rest(600)
        assert images(w) == held
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"metadata": {"annotations": {"grove.io/rollout-paused": None}}})
        await w.clock.run_until(lambda: is_ended(w))
        assert images(w)["web-0-a"] == ["y"] * 4


async def test_a_coherent_update_keeps_prefill_and_decode_in_ratio() -> None:
    async with world(start_s=STARTS_S) as w:
        obj = podcliqueset([clique("p", 4, 2), clique("d", 2)], [group("g", ["d"], 8, 4)])
        obj["spec"]["updateStrategy"] = {"type": "Coherent"}
        await w.apply(obj)
        await w.rest()
        pairs: list[tuple[int, int]] = []
        await change_image(w)

        def ended() -> bool:
            found = images(w)
            prefill = found.get("web-0-p", []).count("y")
            decode = sum(found.get(f"web-0-g-{j}-d", []).count("y") == 2 for j in range(8))
            if pairs[-1:] != [(prefill, decode)]:
                pairs.append((prefill, decode))
            return is_ended(w)

        await w.clock.run_until(ended)
        assert pairs[-1] == (4, 8)
        assert (2, 4) in pairs
        first_step_over = pairs.index((2, 4))
        assert all(p <= 2 and d <= 4 for p, d in pairs[:first_step_over])


async def test_a_breach_during_an_update_is_unknown_and_recycles_nobody() -> None:
    async with world(start_s=STARTS_S) as w:
        await w.apply(podcliqueset([clique("a", 2, 2), clique("b", 1)], terminationDelay="60s"))
        await w.rest()
        before = {p["metadata"]["uid"] for p in w.pods("web-0-b")}
        await w.stop_scheduler()
        await change_image(w, "a")
        await w.rest(10)
        breach = conditions.find(w.api.find(POD_CLIQUE, "ml", "web-0-a"), "MinAvailableBreached") or {}
        assert (breach["status"], breach["reason"]) == ("Unknown", "UpdateInProgress")
        await w.rest(600)
        assert {p["metadata"]["uid"] for p in w.pods("web-0-b")} == before


async def test_an_operator_that_dies_at_any_write_of_an_update_finishes_it_within_its_budget() -> None:
    obj = podcliqueset([clique("a", 3, 1), clique("l", 1), clique("w", 2)], [group("g", ["l", "w"], 2, 1)])
    for boundary in range(0, 40, 3):
        async with world(start_s=STARTS_S) as w:
            await w.apply(obj)
            await w.rest()
            low, seen = Low(w), 0

            def crash(request: Request, w: World = w, boundary: int = boundary) -> None:
                nonlocal seen
                if request.user == "operator" and request.is_write and request.kind != EVENT.kind:
                    seen += 1
                    if seen > boundary:
                        w.api.before_request(None)
                        w.kill_operator()

            w.api.before_request(crash)
            await change_image(w, "a", "w")
            for _ in range(120):
                await w.rest(0.5)
                w.start_operator_if_dead()
                low.look()
            assert is_ended(w), boundary
            assert {image for n, found in images(w).items() for image in found if "-l" not in n} == {"y"}, boundary
            assert low.fewest["web-0-a"] >= 2, boundary


@pytest.mark.parametrize("lost", ["a", "g-0-w"])
async def test_undoing_replaces_what_was_made_from_the_broken_template_in_a_replica_that_was_not_selected(
    lost: str,
) -> None:
    """Found by a rehearsal: the part had ended an update to the template that comes back, and took it for done."""
    async with world(start_s=STARTS_S, is_healthy=lambda p: p["spec"]["containers"][0]["image"] != "bad") as w:
        obj = podcliqueset([clique("a", 2, 1), clique("w", 1)], [group("g", ["w"], 1)], replicas=2)
        await w.apply(obj)
        await w.rest()
        await change_image(w, image="good")
        await w.clock.run_until(lambda: is_ended(w))
        await w.rest()
        await change_image(w, image="bad")
        await w.rest(10)
        if lost == "a":
            await w.api.delete(POD, "ml", w.pods("web-1-a")[0]["metadata"]["name"])
        else:
            await w.api.delete(POD_CLIQUE, "ml", "web-1-g-0-w")
        await w.rest(10)
        assert "bad" in images(w)[f"web-1-{lost}"]
        await change_image(w, image="good")
        await w.rest(120)
        assert is_ended(w)
        assert {image for found in images(w).values() for image in found} == {"good"}


@pytest.mark.parametrize("part", ["clique", "group"])
async def test_the_template_of_an_ended_update_comes_back_after_a_pause_in_which_others_were_made(part: str) -> None:
    """Its progress says that it ended; what was made meanwhile from another template is updated all the same."""
    async with world(start_s=STARTS_S) as w:
        await w.apply(podcliqueset([clique("a", 1), clique("b", 1)], [group("g", ["b"], 1)]))
        await w.rest()
        await change_image(w, image="y")
        await w.clock.run_until(lambda: is_ended(w))
        await w.rest()
        await w.api.patch(
            POD_CLIQUE_SET, "ml", "web", {"metadata": {"annotations": {"grove.io/rollout-paused": "true"}}}
        )
        await change_image(w, image="z")
        await w.rest()
        kind, name = (POD_CLIQUE, "web-0-a") if part == "clique" else (SCALING_GROUP, "web-0-g")
        await w.api.patch(kind, "ml", name, {"spec": {"replicas": 2}}, subresource="scale")
        await w.rest()
        assert "z" in {image for found in images(w).values() for image in found}
        await change_image(w, image="y")
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"metadata": {"annotations": {"grove.io/rollout-paused": None}}})
        await w.rest(60)
        assert {image for found in images(w).values() for image in found} == {"y"}
        assert is_ended(w)
        assert status(w)["updatedReplicas"] == 1


async def test_pods_of_a_group_replica_go_with_it_though_the_garbage_collector_is_late() -> None:
    async with world() as w:
        w.api.collect_garbage_late(lambda: 600.0)
        await w.apply(podcliqueset([clique("l", 1), clique("b", 3)], [group("g", ["l", "b"], 2)]))
        await w.rest()
        before = uids(w)
        await change_image(w)
        await w.rest()
        assert is_ended(w)
        assert not before & uids(w)
        await w.api.stop()
