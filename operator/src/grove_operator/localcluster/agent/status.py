"""Pod status as a kubelet would write it, from the states of its containers. Pure: time comes in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from grove_operator.api.kinds import Json
from grove_operator.localcluster.agent.admission import Rejection

HOST_IP = "127.0.0.1"


@dataclass(slots=True)
class ContainerState:
    """What the agent knows of one container; `state` and `last` are Kubernetes' own unions."""

    name: str
    image: str
    init: bool = False
    sidecar: bool = False
    state: Json = field(default_factory=lambda: {"waiting": {"reason": "PodInitializing"}})
    last: Json = field(default_factory=dict)
    restarts: int = 0
    ready: bool = False
    started: bool = False

    @property
    def done(self) -> bool:
        """An init container that needs nothing more: completed, or a sidecar that has started."""
        exit_code = self.state.get("terminated", {}).get("exitCode")
        return self.started if self.sidecar else exit_code == 0

    def to_json(self, uid: str) -> Json:
        json: Json = {
            "name": self.name,
            "image": self.image,
            "imageID": "" if "waiting" in self.state and not self.last else self.image,
            "ready": self.ready,
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last,
            "started": self.started,
        }
        if "waiting" not in self.state:
            json["containerID"] = f"grove://{uid}/{self.name}/{self.restarts}"
        return json


def containers_of(pod: Json) -> list[ContainerState]:
    """States before anything started, init containers first."""
    init = [
        ContainerState(c["name"], c.get("image", ""), init=True, sidecar=c.get("restartPolicy") == "Always")
        for c in pod["spec"].get("initContainers") or []
    ]
    return init + [ContainerState(c["name"], c.get("image", "")) for c in pod["spec"]["containers"]]


def played(pod: Json, now: str) -> list[ContainerState]:
    """States of a pretended pod that is up: init containers completed, all others running and ready."""
    states = containers_of(pod)
    for state in states:
        if state.init and not state.sidecar:
            play_completed(state, now)
        else:
            play_running(state, now)
    return states


def play_completed(state: ContainerState, now: str) -> None:
    state.state = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}}
    state.ready, state.started = True, False


def play_running(state: ContainerState, now: str) -> None:
    state.state = {"running": {"startedAt": now}}
    state.ready = state.started = True


def waiting(pod: Json, reason: str, message: str) -> list[ContainerState]:
    """Every container waits for the same reason."""
    states = containers_of(pod)
    for state in states:
        state.state = {"waiting": {"reason": reason, "message": message}}
    return states


def phase_of(states: Iterable[ContainerState], restart_policy: str) -> str:
    """The kubelet's rule; Failed and Succeeded only when nothing will be restarted."""
    states = list(states)
    init = [s for s in states if s.init]
    main = [s for s in states if not s.init]
    if restart_policy == "Never" and any(_exit_code(s) not in (None, 0) for s in init if not s.sidecar):
        return "Failed"
    if not all(s.done for s in init):
        return "Pending"
    codes = [_exit_code(s) for s in main]
    if any("waiting" in s.state and not s.last for s in main):
        return "Pending"
    if restart_policy == "Always" or any("waiting" in s.state or "running" in s.state for s in main):
        return "Running"
    if all(code == 0 for code in codes):
        return "Succeeded"
    return "Failed" if restart_policy == "Never" else "Running"


def _exit_code(state: ContainerState) -> int | None:
    code = state.state.get("terminated", {}).get("exitCode")
    return None if code is None else int(code)


def pod_status(pod: Json, states: list[ContainerState], ip: str, now: str, message: str = "") -> Json:
    """The whole status as a merge patch over `pod`: other writers' conditions and unchanged times are kept."""
    old = pod.get("status") or {}
    spec, uid = pod["spec"], pod["metadata"]["uid"]
    phase = phase_of(states, spec.get("restartPolicy", "Always"))
    init = [s for s in states if s.init]
    main = [s for s in states if not s.init]
    finished = phase in ("Succeeded", "Failed")
    unready = [s.name for s in states if (s.sidecar or not s.init) and not s.ready]
    containers_ready = not finished and not unready
    gates = {c["type"]: c["status"] for c in old.get("conditions") or []}
    closed = [g["conditionType"] for g in spec.get("readinessGates") or [] if gates.get(g["conditionType"]) != "True"]
    why = ("PodCompleted", "") if phase == "Succeeded" else ("ContainersNotReady", _unready_message(unready))
    gate_why = ("ReadinessGatesNotReady", f"not ready by readiness gates: {' '.join(closed)}") if closed else ("", "")
    sandbox = bool(ip)
    conditions = [
        _condition("PodReadyToStartContainers", sandbox and not finished),
        _condition("Initialized", all(s.done for s in init), "ContainersNotInitialized", ""),
        _condition("Ready", containers_ready and not closed, *(gate_why if containers_ready else why)),
        _condition("ContainersReady", containers_ready, *why),
        _condition("PodScheduled", True),
    ]
    status: Json = {
        "phase": phase,
        "conditions": merge_conditions(old.get("conditions") or [], conditions, now),
        "hostIP": HOST_IP,
        "hostIPs": [{"ip": HOST_IP}],
        "startTime": old.get("startTime") or now,
        "containerStatuses": [s.to_json(uid) for s in main],
    }
    if init:
        status["initContainerStatuses"] = [s.to_json(uid) for s in init]
    if ip:
        status |= {"podIP": ip, "podIPs": [{"ip": ip}]}
    if message:
        status["message"] = message
    return status


def rejected_status(pod: Json, rejection: Rejection, now: str) -> Json:
    """What a pod gets that the node refuses: Failed, without container statuses."""
    old = pod.get("status") or {}
    return {
        "phase": "Failed",
        "reason": rejection.reason,
        "message": rejection.message,
        "startTime": old.get("startTime") or now,
    }


def _unready_message(names: list[str]) -> str:
    return f"containers with unready status: [{' '.join(names)}]" if names else ""


def _condition(kind: str, holds: bool, reason: str = "", message: str = "") -> Json:
    condition: Json = {"type": kind, "status": "True" if holds else "False"}
    if not holds and reason:
        condition["reason"] = reason
    if not holds and message:
        condition["message"] = message
    return condition


def merge_conditions(old: list[Json], new: list[Json], now: str) -> list[Json]:
    """`new` over `old` by type; lastTransitionTime moves only with the status. Other writers' conditions stay first."""
    before = {c["type"]: c for c in old}
    ours = {c["type"] for c in new}
    merged = [c for c in old if c["type"] not in ours]
    for condition in new:
        previous = before.get(condition["type"], {})
        if condition["type"] == "PodScheduled" and previous.get("status") == "True":
            merged.append(previous)
            continue
        same = previous.get("status") == condition["status"]
        since = previous.get("lastTransitionTime") if same else None
        merged.append({**condition, "lastProbeTime": None, "lastTransitionTime": since or now})
    return merged


def changed(pod: Json, status: Json) -> bool:
    """Whether writing `status` would change what the API server holds; nulls and empty values count as absent."""
    have = pod.get("status") or {}
    return any(_bare(have.get(key)) != _bare(value) for key, value in status.items())


def _bare(value: object) -> object:
    if isinstance(value, dict):
        bare = {k: _bare(v) for k, v in value.items() if k != "observedGeneration"}
        return {k: v for k, v in bare.items() if v is not None and v not in ("", {}, [])}
    if isinstance(value, list):
        return [_bare(v) for v in value]
    return value
