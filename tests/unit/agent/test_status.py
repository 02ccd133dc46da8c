"""Pod status from container states."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from grove_operator.localcluster.agent.status import (
    ContainerState,
    changed,
    phase_of,
    played,
    pod_status,
    waiting,
)

Json = dict[str, Any]
NOON, LATER = "2026-01-01T12:00:00Z", "2026-01-01T12:05:00Z"
RUNNING: Json = {"running": {"startedAt": NOON}}


def terminated(code: int) -> Json:
    return {"terminated": {"exitCode": code}}


def pod(**spec: Any) -> Json:
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": "u"},
        "spec": {"containers": [{"name": "a", "image": "i"}], **spec},
        "status": {},
    }


def conditions(status: Json) -> dict[str, str]:
    return {c["type"]: c["status"] for c in status["conditions"]}


def test_a_pretended_pod_is_running_and_ready_at_once_with_completed_init_containers() -> None:
    it = pod(initContainers=[{"name": "init"}, {"name": "proxy", "restartPolicy": "Always"}])
    status = pod_status(it, played(it, NOON), "127.1.2.3", NOON)
    assert status["phase"] == "Running"
    assert status["podIP"] == "127.1.2.3"
    expected = {"PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready", "PodScheduled"}
    assert conditions(status) == dict.fromkeys(expected, "True")
    assert [set(s["state"]) for s in status["initContainerStatuses"]] == [{"terminated"}, {"running"}]
    assert all(s["ready"] for s in status["containerStatuses"])


def test_the_same_states_later_change_nothing() -> None:
    it = pod()
    it["status"] = pod_status(it, played(it, NOON), "127.1.2.3", NOON)
    again = pod_status(it, played(it, NOON), "127.1.2.3", LATER)
    assert not changed(it, again)


def test_other_writers_conditions_and_the_schedulers_time_are_kept() -> None:
    it = pod()
    mine = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z", "reason": "Bound"}
    it["status"] = {"conditions": [{"type": "Theirs", "status": "False"}, mine]}
    merged = pod_status(it, played(it, NOON), "127.1.2.3", NOON)["conditions"]
    assert {"type": "Theirs", "status": "False"} in merged
    assert mine in merged


def test_a_transition_time_moves_only_with_its_status() -> None:
    it = pod()
    states = played(it, NOON)
    it["status"] = pod_status(it, states, "127.1.2.3", NOON)
    states[0].ready = False
    after = {c["type"]: c["lastTransitionTime"] for c in pod_status(it, states, "127.1.2.3", LATER)["conditions"]}
    assert after["Ready"] == after["ContainersReady"] == LATER
    assert after["Initialized"] == NOON


def test_a_closed_readiness_gate_keeps_ready_false_and_its_opening_turns_it() -> None:
    it = pod(readinessGates=[{"conditionType": "example.com/gate"}])
    assert conditions(pod_status(it, played(it, NOON), "127.1.2.3", NOON))["Ready"] == "False"
    opened = copy.deepcopy(it)
    opened["status"]["conditions"] = [{"type": "example.com/gate", "status": "True"}]
    assert conditions(pod_status(opened, played(it, NOON), "127.1.2.3", NOON))["Ready"] == "True"


def test_waiting_for_a_missing_object_is_pending_and_unready_with_the_reason() -> None:
    it = pod()
    status = pod_status(it, waiting(it, "CreateContainerConfigError", 'secret "s" not found'), "127.1.2.3", NOON)
    assert status["phase"] == "Pending"
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    assert conditions(status)["Ready"] == "False"


@pytest.mark.parametrize(
    ("policy", "init", "main", "phase"),
    [
        ("Always", [], [RUNNING], "Running"),
        ("Always", [], [terminated(1)], "Running"),
        ("Never", [], [terminated(0)], "Succeeded"),
        ("Never", [], [terminated(0), terminated(1)], "Failed"),
        ("Never", [], [terminated(1), RUNNING], "Running"),
        ("OnFailure", [], [terminated(0)], "Succeeded"),
        ("OnFailure", [], [terminated(1)], "Running"),
        ("Always", [RUNNING], [{"waiting": {}}], "Pending"),
        ("Never", [terminated(3)], [{"waiting": {}}], "Failed"),
        ("Always", [terminated(3)], [{"waiting": {}}], "Pending"),
        ("Always", [terminated(0)], [RUNNING], "Running"),
    ],
)
def test_the_phase_follows_containers_and_restart_policy(
    policy: str, init: list[Json], main: list[Json], phase: str
) -> None:
    states = [ContainerState(f"i{n}", "", init=True, state=s) for n, s in enumerate(init)]
    states += [ContainerState(f"c{n}", "", state=s) for n, s in enumerate(main)]
    assert phase_of(states, policy) == phase


def test_a_container_in_back_off_leaves_its_pod_running() -> None:
    state = ContainerState("c", "", state={"waiting": {"reason": "CrashLoopBackOff"}}, last=terminated(1))
    assert phase_of([state], "Always") == "Running"
