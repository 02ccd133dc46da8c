"""Pods that are Ready, but for less than the set asks: an update counts on none of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from grove_operator.api import conditions
from grove_operator.api.kinds import Json
from grove_operator.core import settling
from grove_operator.core.coherent import allowance
from grove_operator.core.observed import Peers
from grove_operator.core.template import Template
from tests.sim.shapes import clique, podcliqueset

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def asking(text: str, **spec: object) -> Template:
    obj = podcliqueset([clique("a", 1)])
    obj["metadata"] |= {"uid": "set", "annotations": {"grove.io/rollout-min-ready-seconds": text}}
    obj["spec"] |= spec
    return Template.of(obj)


def pod(status: str, seconds: float) -> Json:
    since = (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"status": {"conditions": [{"type": "Ready", "status": status, "lastTransitionTime": since}]}}


@pytest.mark.parametrize(("text", "seconds"), [("10", 10), ("0", 0), ("10s", 0), ("", 0)])
def test_only_a_positive_number_is_waited_for(text: str, seconds: int) -> None:
    assert settling.min_ready_s(asking(text)) == seconds


def test_where_updates_replace_nothing_nothing_settles() -> None:
    assert settling.min_ready_s(asking("10", updateStrategy={"type": "OnDelete"})) == 0


@pytest.mark.parametrize(
    ("status", "since_s", "left_s"),
    [("True", 0, 10), ("True", 3, 7), ("True", 10, 0), ("True", 99, 0), ("False", 3, 0), ("True", -5, 15)],
    ids=["at once", "soon", "just", "long", "not Ready", "the node's clock is ahead"],
)
def test_a_pod_settles_when_it_has_been_ready_for_long_enough(status: str, since_s: float, left_s: float) -> None:
    assert settling.settles_in_s(pod(status, since_s), 10, NOW) == left_s
    assert settling.settles_in_s(pod(status, since_s), 0, NOW) == 0


def test_a_pod_that_says_nothing_of_readiness_does_not_settle() -> None:
    assert settling.settles_in_s({"status": {}}, 10, NOW) == 0


def test_one_looks_again_when_the_first_has_settled() -> None:
    pods = [pod("True", 3), pod("True", 8), pod("True", 20), pod("False", 1)]
    assert settling.wake_after_s(asking("10"), pods, NOW) == 2
    assert settling.wake_after_s(asking("10"), pods[2:], NOW) is None
    assert settling.wake_after_s(asking(""), pods, NOW) is None


def test_the_condition_is_there_only_where_the_set_asks() -> None:
    assert settling.settling_condition(asking(""), {"metadata": {}}, is_it=True) == []
    (said,) = settling.settling_condition(asking("10"), {"metadata": {"generation": 3}}, is_it=True)
    assert (said["type"], said["status"], said["observedGeneration"]) == ("Settling", "True", 3)
    assert said["message"] == "a Ready pod has been so for less than 10 s"


def test_a_replica_settles_while_a_clique_of_it_does() -> None:
    def live(replica: int, status: str) -> Json:
        said = {"type": "Settling", "status": status}
        return {
            "metadata": {"labels": {"grove.io/podcliqueset-replica-index": str(replica)}},
            "status": {"conditions": [said]},
        }

    assert settling.settling_replicas([live(0, "False"), live(1, "True"), live(1, "False"), {"metadata": {}}]) == {1}


def test_a_coherent_step_waits_for_a_part_that_settles() -> None:
    template = asking("10", updateStrategy={"type": "Coherent"})
    generation = template.generation_hash
    progress = {"podCliqueSetGenerationHash": generation}

    def part(said: str) -> Json:
        entry = conditions.condition("Settling", said == "True", "x")
        return {
            "spec": {"replicas": 2, "minAvailable": 1},
            "status": {"updateProgress": progress, "conditions": [entry]},
        }

    for said, allowed in (("True", 1), ("False", 2)):
        peers = Peers({"p": part(said), "d": part("False")}, {"p": 1, "d": 1})
        assert allowance(template, peers, "d") == allowed
