"""When an update makes further replicas, when it gives them up, and what stays to be read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from grove_operator.api.kinds import Json
from grove_operator.core import surge
from grove_operator.core.observed import OWNERSHIP_CONFLICT, SetView, Trouble
from grove_operator.core.template import Template
from tests.sim.shapes import clique, podcliqueset

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STARTED = "2025-12-31T23:59:00Z"


def condition(status: str, reason: str) -> Json:
    return {"type": "Surge", "status": status, "reason": reason, "message": "", "lastTransitionTime": STARTED}


PENDING, THERE = condition("Unknown", "SurgePending"), condition("True", "SurgeAvailable")
NO_ROOM = condition("False", "NoRoom")


def updating(said: Json | None = None, *, max_surge: str = "1", replicas: int = 2, **annotations: str) -> SetView:
    """A set in mid-update, whose status says `said` of a surge."""
    obj = podcliqueset([clique("a", 1)], replicas=replicas)
    obj["metadata"] |= {"uid": "set", "annotations": {"grove.io/rollout-max-surge": max_surge, **annotations}}
    template = Template.of(obj)
    obj["status"] = {
        "currentGenerationHash": template.generation_hash,
        "updateProgress": {"updateStartedAt": STARTED},
        "conditions": [said] if said else [],
    }
    return SetView(template)


def select(view: SetView, replica: int, seconds: float) -> None:
    """`replica` is first in line for so long."""
    since = (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    progress = view.template.obj["status"]["updateProgress"]
    progress["currentlyUpdating"] = [{"replicaIndex": replica, "updateStartedAt": since}]


def reason(found: surge.Surge) -> str | None:
    return found.said["reason"] if found.said else None


def pod(replica: int) -> Json:
    labels = {"grove.io/podcliqueset-replica-index": str(replica)}
    return {"metadata": {"name": f"web-{replica}-a-x", "labels": labels}}


@pytest.mark.parametrize(
    ("text", "count"), [("1", 1), ("12", 12), ("0", 0), ("-1", 0), ("1.5", 0), ("25%", 0), ("٣", 0), ("", 0)]
)
def test_only_a_positive_number_asks_for_a_surge(text: str, count: int) -> None:
    assert surge.max_surge(updating(max_surge=text).template) == count


@pytest.mark.parametrize(("said", "count"), [(None, 2), (PENDING, 3), (THERE, 3), (NO_ROOM, 2)])
def test_further_replicas_exist_while_the_status_says_so(said: Json | None, count: int) -> None:
    view = updating(said)
    assert list(surge.indices(view.template)) == list(range(count))
    view.template.obj["status"]["updateProgress"]["updateEndedAt"] = STARTED
    assert list(surge.indices(view.template)) == [0, 1]


def test_a_surge_is_begun_once_something_is_available_and_old() -> None:
    assert surge.judged(updating(), {0}, set(), NOW).lacking == (2,)
    assert surge.judged(updating(max_surge="2"), {0}, set(), NOW).lacking == (2, 3)
    assert reason(surge.judged(updating(), set(), set(), NOW)) == "NothingToProtect"
    assert surge.judged(updating(), {0, 1}, {0, 1}, NOW) == surge.Surge()


def test_no_surge_is_begun_while_the_rollout_is_paused() -> None:
    assert surge.judged(updating(**{"grove.io/rollout-paused": "true"}), {0, 1}, set(), NOW) == surge.Surge()


def test_no_surge_is_begun_where_a_pod_of_the_set_waits_for_room() -> None:
    view = replace(updating(), refused=(pod(1),), refusals={"web-1-a-x": "nodes are full."})
    found = surge.judged(view, {0}, set(), NOW)
    assert reason(found) == "NoRoom"
    assert found.said is not None
    assert found.said["message"].startswith("no place for pod web-1-a-x: nodes are full, so there is none")


def test_a_surge_is_there_when_it_is_both_available_and_of_the_new_template() -> None:
    for available, updated in (({0, 1, 2}, {1}), ({0, 1}, {2})):
        found = surge.judged(updating(PENDING), available, updated, NOW)
        assert (reason(found), found.lacking, found.is_there) == ("SurgePending", (2,), False)
    found = surge.judged(updating(PENDING), {0, 1, 2}, {2}, NOW)
    assert (reason(found), found.lacking, found.is_there) == ("SurgeAvailable", (), True)


def test_one_that_finds_no_place_is_given_up_when_it_was_first_in_line_for_ten_seconds() -> None:
    view = replace(updating(PENDING), refused=(pod(2),))
    for seconds, why, wake_after_s in ((4.0, "SurgePending", 6.0), (10.0, "NoRoom", None)):
        select(view, 2, seconds)
        found = surge.judged(view, {0, 1}, set(), NOW)
        assert (reason(found), found.wake_after_s) == (why, wake_after_s)
    select(view, 0, 60.0)
    found = surge.judged(view, {0, 1}, set(), NOW)
    assert (reason(found), found.wake_after_s) == ("SurgePending", None), "another is in line"


def test_one_that_finds_no_place_is_not_in_line_while_pods_of_the_set_are_on_their_way_out() -> None:
    view = replace(updating(PENDING), refused=(pod(2),), clears_at=NOW + timedelta(seconds=20))
    select(view, 2, 60.0)
    found = surge.judged(view, {0, 1}, set(), NOW)
    assert (reason(found), found.waits, found.wake_after_s) == ("SurgePending", True, 30.0)
    overdue = replace(view, clears_at=NOW - timedelta(seconds=10))
    assert reason(surge.judged(overdue, {0, 1}, set(), NOW)) == "NoRoom", "a lost node's pods go nowhere"
    placed = replace(view, refused=())
    assert not surge.judged(placed, {0, 1}, set(), NOW).waits


def test_what_was_given_up_is_not_tried_again_in_the_same_update_and_stays_to_be_read_after_it() -> None:
    view = updating(NO_ROOM)
    found = surge.judged(view, {0, 1, 2}, {2}, NOW)
    assert found.said == NO_ROOM == surge.ended(found)
    view.template.obj["status"]["updateProgress"]["updateEndedAt"] = STARTED
    assert surge.judged(view, {0, 1}, {0, 1}, NOW).said == NO_ROOM


@pytest.mark.parametrize(("said", "left"), [(PENDING, PENDING), (THERE, THERE), (NO_ROOM, None)])
def test_a_new_template_keeps_the_surge_that_is_there_and_forgets_the_one_that_found_no_room(
    said: Json, left: Json | None
) -> None:
    view = updating(said)
    view.template.obj["status"]["currentGenerationHash"] = "older"
    assert surge.judged(view, {0, 1}, set(), NOW).said == left


def test_with_the_end_of_the_update_nothing_is_said_of_a_surge_that_was_there() -> None:
    assert surge.ended(surge.judged(updating(THERE), {0, 1, 2}, {0, 1, 2}, NOW)) is None


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (Trouble(OWNERSHIP_CONFLICT, "service ml/web-2 exists"), "NameTaken"),
        (Trouble("ERR_CREATE_POD", "exceeded quota: gpus"), "NoRoom"),
        (Trouble("ERR_CREATE_POD", "too many requests"), "SurgePending"),
    ],
)
def test_writes_that_can_never_succeed_end_a_surge_and_others_are_tried_again(trouble: Trouble, why: str) -> None:
    view = replace(updating(PENDING), surge_troubles=(trouble,))
    assert reason(surge.judged(view, {0, 1}, set(), NOW)) == why


def test_a_pod_of_the_sets_own_that_is_refused_takes_the_surge_only_after_the_progress_deadline() -> None:
    view = replace(updating(THERE), refused=(pod(0),))
    assert reason(surge.judged(view, {1, 2}, {2}, NOW)) == "SurgeAvailable"
    found = surge.judged(view, {1, 2}, {2}, NOW, is_stuck=True)
    assert reason(found) == "NoRoom"
    assert found.said is not None
    assert "it gets the room of the surge" in found.said["message"]


def test_one_that_stands_in_part_is_not_there_since_it_would_take_what_comes_free() -> None:
    view = replace(updating(PENDING), refused=(pod(2),))
    select(view, 2, 5.0)
    assert surge.judged(view, {0, 1, 2}, {2}, NOW).lacking == (2,)


def test_it_is_told_of_once() -> None:
    view = updating(PENDING)
    assert [e.reason for e in surge.news(view.template, NO_ROOM)] == ["SurgeGivenUp"]
    assert list(surge.news(updating(NO_ROOM).template, NO_ROOM)) == []
    assert list(surge.news(view.template, THERE)) == []
