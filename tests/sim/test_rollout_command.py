"""What `grove rollout status` says at each stage of an update that really runs."""

from __future__ import annotations

import json

import pytest

from grove_operator.api.kinds import POD_CLIQUE_SET
from grove_operator.cli.rollout import _follow
from grove_operator.views.rollout import rollout_state
from tests.sim.shapes import clique, podcliqueset
from tests.sim.test_updates import change_image
from tests.sim.world import World, world

PAUSE = {"metadata": {"annotations": {"grove.io/rollout-paused": "true"}}}
RESUME = {"metadata": {"annotations": {"grove.io/rollout-paused": None}}}


def said(w: World) -> str:
    return rollout_state(w.api.objects(POD_CLIQUE_SET)[0]).sentence


async def test_status_tells_the_stages_of_an_update_and_of_a_pause() -> None:
    async with world(start_s=5.0) as w:
        await w.apply(podcliqueset([clique("a", 2)], replicas=2))
        await w.rest()
        assert said(w) == "podcliqueset web: rolled out; 2 of 2 replicas are updated, 2 available"
        await change_image(w)
        assert "has not seen the change" in said(w)
        await w.rest(1)
        assert said(w).startswith("podcliqueset web: replica 0 is being updated; 0 of 2 replicas are updated")
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", PAUSE)
        await w.rest()
        assert said(w).startswith("podcliqueset web: paused")
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", RESUME)
        await w.rest(60)
        assert said(w).startswith("podcliqueset web: rolled out")


async def test_waiting_for_a_rollout_ends_with_it() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 2)]))
        await w.rest()
        state, _ = await _follow(w.api, "ml", "web", wait=True, say=True)
        assert state.is_done


async def test_as_json_it_is_told_once_how_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    async with world(start_s=5.0) as w:
        await w.apply(podcliqueset([clique("a", 2)], replicas=2))
        await w.rest()
        await change_image(w)
        await w.rest(1)
        state, pcs = await _follow(w.api, "ml", "web", wait=False, say=False)
        told = state.to_json(pcs)
        assert {name: told[name] for name in ("name", "namespace", "isDone", "isStuck", "isPaused")} == {
            "name": "web", "namespace": "ml", "isDone": False, "isStuck": False, "isPaused": False,
        }  # fmt: skip
        assert [one["replicaIndex"] for one in told["updateProgress"]["currentlyUpdating"]] == [0]
        assert json.loads(json.dumps(told)) == told
        assert capsys.readouterr().out == ""


async def test_a_rollout_that_makes_no_progress_within_its_deadline_is_stuck() -> None:
    async with world(is_healthy=lambda p: p["spec"]["containers"][0]["image"] != "bad") as w:
        entry = {**clique("a", 2), "rollingUpdate": {"progressDeadline": "60s"}}
        await w.apply(podcliqueset([entry]))
        await w.rest()
        await change_image(w, image="bad")
        await w.rest(120)
        state, _ = await _follow(w.api, "ml", "web", wait=True, say=True)
        assert state.is_stuck
