"""Updates with a replica beside the set's own, to which something else is done before they end."""

from __future__ import annotations

from grove_operator.api.kinds import SERVICE
from grove_operator.views.rollout import rollout_state
from tests.sim.surging import PODS_OF_A_REPLICA, stage, web


async def test_a_broken_template_stops_at_the_surge_and_undoing_it_finds_every_old_pod_in_place() -> None:
    async with stage(web()) as s:
        old = {i: s.uids(i) for i in (0, 1)}
        await s.change_image("x:bad")
        await s.rest(900)
        assert {i: s.uids(i) for i in (0, 1)} == old
        assert s.replicas() == [0, 1, 2]
        assert s.selected == [2]
        assert s.surge["reason"] == "SurgePending"
        assert rollout_state(s.pcs).is_stuck
        await s.change_image("x")
        await s.until(lambda: s.is_ended)
        await s.rest()
        assert {i: s.uids(i) for i in (0, 1)} == old
        assert s.replicas() == [0, 1]
        assert s.surge == {}


async def test_a_third_template_in_mid_update_is_tried_on_the_surge_that_is_there() -> None:
    async with stage(web()) as s:
        await s.change_image("y")
        await s.until(lambda: s.selected == [0] and len(s.pods(0, image="y")) > 0)
        service = s.api.find(SERVICE, "ml", "web-2")
        await s.change_image("z")
        await s.rest(2)
        assert s.selected == [2]
        touched = s.uids(0) | s.uids(1)
        fewest = 9

        def ended() -> bool:
            nonlocal fewest
            fewest = min(fewest, s.serving())
            if s.surge.get("status") == "Unknown":
                assert not s.pods(0, image="z") + s.pods(1, image="z")
            return s.is_ended

        assert s.api.find(SERVICE, "ml", "web-2")["metadata"]["uid"] == service["metadata"]["uid"]
        await s.until(ended)
        assert not touched & (s.uids(0) | s.uids(1))
        await s.rest(5)
        assert s.replicas() == [0, 1]
        assert len(s.pods(image="z")) == 2 * PODS_OF_A_REPLICA


async def test_scaling_out_in_mid_update_keeps_the_surge_as_an_ordinary_replica_and_makes_another() -> None:
    async with stage(web()) as s:
        await s.change_image("y")
        await s.until(lambda: s.surge.get("status") == "True")
        before = s.uids(2)
        await s.scale(3)
        await s.until(lambda: s.is_ended)
        await s.rest()
        assert s.uids(2) == before, "nothing of it is made anew"
        assert s.replicas() == [0, 1, 2]
        assert len(s.pods(image="y")) == 3 * PODS_OF_A_REPLICA


async def test_scaling_in_in_mid_update_leaves_as_many_as_are_wanted() -> None:
    async with stage(web(3)) as s:
        await s.change_image("y")
        await s.until(lambda: s.surge.get("status") == "True")
        await s.scale(1)
        await s.rest(5)
        assert set(s.replicas()) <= {0, 1}, "the surge is the replica after the last"
        await s.until(lambda: s.is_ended)
        await s.rest()
        assert s.replicas() == [0]
        assert len(s.pods(image="y")) == PODS_OF_A_REPLICA


async def test_a_set_scaled_to_nothing_in_mid_update_has_no_surge() -> None:
    async with stage(web()) as s:
        await s.change_image("y")
        await s.until(lambda: s.surge.get("status") == "True")
        await s.scale(0)
        await s.until(lambda: s.is_ended)
        await s.rest()
        assert s.replicas() == []
        assert s.surge == {}


async def test_a_paused_update_begins_no_surge_and_keeps_the_one_it_has() -> None:
    async with stage(web()) as s:
        await s.annotate("rollout-paused", "true")
        await s.change_image("y")
        await s.rest(60)
        assert s.replicas() == [0, 1]
        await s.annotate("rollout-paused", None)
        await s.until(lambda: s.surge.get("status") == "Unknown")
        await s.annotate("rollout-paused", "true")
        await s.rest(60)
        assert s.replicas() == [0, 1, 2]
        assert s.surge["status"] == "True"
        assert len(s.pods(image="x")) == 2 * PODS_OF_A_REPLICA
        await s.annotate("rollout-paused", None)
        await s.until(lambda: s.is_ended)
        await s.rest()
        assert s.replicas() == [0, 1]


async def test_who_removes_the_annotation_in_mid_update_goes_on_without_a_surge() -> None:
    async with stage(web()) as s:
        await s.change_image("x:bad")
        await s.until(lambda: len(s.pods(2)) > 0)
        await s.annotate("rollout-max-surge", None)
        await s.rest(20)
        assert s.replicas() == [0, 1]
        assert s.surge == {}
        assert s.selected == [0]
