"""Updates with a replica beside the set's own, in virtual time: the real scheduler, nodes with or without room."""

from __future__ import annotations

import pytest

from grove_operator.api.kinds import EVENT, POD, SERVICE, Json
from grove_operator.engine.ports import Invalid
from grove_operator.sim.apiserver import Request
from grove_operator.views.rollout import rollout_state
from tests.sim.surging import PODS_OF_A_REPLICA, stage, web


@pytest.mark.parametrize("how", ["RollingRecreate", "Coherent"])
@pytest.mark.parametrize("surge", [1, 2])
async def test_as_many_replicas_serve_at_every_moment_of_an_update_as_the_set_has(how: str, surge: int) -> None:
    async with stage(web(2, str(surge), updateStrategy={"type": how})) as s:
        old, fewest, most, order = {i: s.uids(i) for i in (0, 1)}, 9, 0, []
        await s.change_image("y")

        def ended() -> bool:
            nonlocal fewest, most
            fewest, most = min(fewest, s.serving()), max(most, len(s.replicas()))
            if s.selected and s.selected != order[-1:]:
                order.extend(s.selected)
            if s.surge.get("status") == "Unknown":
                assert {i: s.uids(i) for i in (0, 1)} == old, "nothing old goes before the surge is there"
            counts = [s.pcs["status"][f"{name}eplicas"] for name in ("r", "availableR", "updatedR")]
            assert max(counts) <= 2, "a further replica is not counted"
            return s.is_ended

        await s.until(ended)
        assert (fewest, most) == (2, 2 + surge)
        assert order[0] == 2, "the first that is not there yet"
        assert [i for i in order if i < 2] == order[-2:] == [0, 1]
        assert s.surge == {}
        await s.rest()
        assert s.replicas() == [0, 1]
        assert len(s.pods(image="y")) == len(s.pods()) == 2 * PODS_OF_A_REPLICA


async def test_without_the_annotation_fewer_serve_meanwhile() -> None:
    async with stage(web(surge=None)) as s:
        fewest = 9
        await s.change_image("y")

        def ended() -> bool:
            nonlocal fewest
            fewest = min(fewest, s.serving())
            return s.is_ended

        await s.until(ended)
        assert fewest < 2
        assert s.surge == {}


async def test_without_room_the_update_goes_without_a_surge_and_says_why_until_the_next_one_begins() -> None:
    async with stage(web(), room_for=2) as s:
        await s.change_image("y")
        await s.rest(5)
        assert s.surge["reason"] == "SurgePending"
        seen: list[str] = []

        def ended() -> bool:
            if s.surge["reason"] != (seen or [""])[-1]:
                seen.append(s.surge["reason"])
            return s.is_ended

        await s.until(ended)
        assert seen == ["SurgePending", "NoRoom"], "it is tried once"
        await s.rest()
        assert s.replicas() == [0, 1]
        assert len(s.pods(image="y")) == 2 * PODS_OF_A_REPLICA
        assert s.surge["status"] == "False"
        assert "podgang web-2 needs" in s.surge["message"], "the scheduler's own words"
        assert "no place for pod web-2-" in s.surge["message"]
        events = [e for e in s.api.objects(EVENT) if e["reason"] == "SurgeGivenUp"]
        assert [e["type"] for e in events] == ["Warning"]
        state = rollout_state(s.pcs)
        assert state.is_done
        assert state.surge.startswith("surge: none, no place for pod web-2-")
        await s.change_image("z")
        await s.rest(3)
        assert s.surge["reason"] == "SurgePending"


async def test_the_next_update_has_its_surge_where_the_last_one_is_still_on_its_way_out() -> None:
    async with stage(web(), room_for=3) as s:
        await s.change_image("y")
        await s.until(lambda: s.is_ended)
        assert any(p["metadata"]["name"].startswith("web-2-") for p in s.api.objects(POD))
        await s.change_image("z")
        seen: list[str] = []

        def ended() -> bool:
            if (reason := s.surge.get("reason")) and reason not in seen:
                seen.append(reason)
            return s.is_ended and len(s.pods(image="z")) == 2 * PODS_OF_A_REPLICA

        await s.until(ended)
        assert seen == ["SurgePending", "SurgeAvailable"]


async def test_a_set_of_which_a_pod_already_waits_for_room_is_not_given_a_further_replica() -> None:
    async with stage(web(3), room_for=2) as s:
        await s.change_image("y")
        await s.rest(2)
        assert s.surge["reason"] == "NoRoom"
        assert "so there is none for a further replica" in s.surge["message"]
        assert s.replicas() == [0, 1, 2]


async def test_a_set_of_which_nothing_is_available_is_mended_without_a_surge() -> None:
    async with stage(web(1)) as s:
        await s.change_image("x:bad")
        await s.until(lambda: bool(s.pods(1, image="x:bad")))
        await s.annotate("rollout-max-surge", None)
        await s.rest(60)
        await s.patch({"spec": {"template": {"terminationDelay": "1h"}}})
        for name in (p["metadata"]["name"] for p in s.pods(0, image="x")):
            await s.api.delete(POD, "ml", name)
        await s.rest(60)
        assert s.serving() == 0
        await s.annotate("rollout-max-surge", "1")
        await s.change_image("good")
        await s.until(lambda: s.is_ended)
        assert s.surge["reason"] == "NothingToProtect"
        assert s.replicas() == [0]


async def test_on_delete_makes_no_surge() -> None:
    async with stage(web(updateStrategy={"type": "OnDelete"})) as s:
        await s.change_image("y")
        await s.rest()
        assert s.replicas() == [0, 1]
        assert s.surge == {}


async def test_a_quota_that_is_used_up_is_no_room() -> None:
    async with stage(web()) as s:

        def refuse(request: Request) -> None:
            if request.verb == "create" and request.kind == "Pod" and request.name.startswith("web-2-"):
                raise Invalid('pods "web-2-a-x" is forbidden: exceeded quota: gpus, requested: 1, used: 8, limited: 8')

        s.api.before_request(refuse)
        await s.change_image("y")
        await s.until(lambda: s.is_ended)
        assert s.surge["reason"] == "NoRoom"
        assert "exceeded quota: gpus" in s.surge["message"]
        assert len(s.pods(image="y")) == 2 * PODS_OF_A_REPLICA


async def test_a_name_that_somebody_else_has_is_a_reason_to_go_without_a_surge() -> None:
    async with stage(web()) as s:
        theirs: Json = {"metadata": {"name": "web-2", "namespace": "ml"}, "spec": {"ports": [{"port": 80}]}}
        await s.api.create(SERVICE, "ml", theirs)
        await s.change_image("y")
        await s.until(lambda: s.is_ended)
        assert s.surge["reason"] == "NameTaken"
        assert "web-2" in s.surge["message"]
        assert len(s.pods(image="y")) == 2 * PODS_OF_A_REPLICA


async def test_a_surge_gives_its_room_to_a_replica_that_finds_none_for_longer_than_the_progress_deadline() -> None:
    obj = web()
    obj["spec"]["template"]["cliques"][0]["rollingUpdate"] = {"progressDeadline": "60s"}
    async with stage(obj, room_for=3) as s:
        await s.change_image("y")
        await s.until(lambda: s.surge.get("status") == "True")
        homes = {p["spec"]["nodeName"] for p in s.pods(0) if "nodeName" in p["spec"]}
        await s.cluster.kubelets.lose(min(homes))
        await s.rest(45)
        assert s.surge["status"] == "True"
        await s.until(lambda: s.is_ended)
        assert s.surge["reason"] == "NoRoom"
        assert "it gets the room of the surge" in s.surge["message"]
        await s.rest()
        assert s.replicas() == [0, 1]


async def test_an_operator_that_dies_at_any_write_of_an_update_leaves_no_surge_and_serves_all_the_while() -> None:
    for boundary in range(1, 60, 4):
        async with stage(web()) as s:
            fewest = 9
            await s.change_image("y")
            s.cluster.kill_after_writes("operator", boundary)
            for _ in range(200):
                await s.rest(0.5)
                s.cluster.start_process("operator") if not s.cluster.is_running("operator") else None
                fewest = min(fewest, s.serving())
            assert s.is_ended, boundary
            assert fewest == 2, boundary
            assert s.replicas() == [0, 1], boundary
            assert s.surge == {}, boundary
            assert len(s.pods(image="y")) == 2 * PODS_OF_A_REPLICA, boundary
