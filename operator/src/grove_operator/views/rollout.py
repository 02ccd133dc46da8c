"""How far the update of a PodCliqueSet is, as a sentence, in the manner of `kubectl rollout status`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from grove_operator.api import conditions
from grove_operator.api.constants import ANNOTATION_ROLLOUT_PAUSED, CONDITION_PROGRESSING, CONDITION_SURGE
from grove_operator.api.kinds import POD_CLIQUE_SET, Json
from grove_operator.views.failures import told_failures


@dataclass(frozen=True, slots=True)
class RolloutState:
    """`is_done`: nothing of it is left to do. `is_stuck`: it made no progress within its deadline.

    `failure`: what failed first and still does, with its last words. `surge`: what is said of further replicas.
    """

    sentence: str
    is_done: bool = False
    is_stuck: bool = False
    failure: tuple[str, ...] = ()
    surge: str = ""

    def to_json(self, pcs: Json) -> Json:
        """For programs: what the sentences say, and the set's own progress. `surge` and `lastFailure` may be empty."""
        return {
            "name": pcs["metadata"]["name"],
            "namespace": pcs["metadata"]["namespace"],
            "isDone": self.is_done,
            "isStuck": self.is_stuck,
            "isPaused": is_paused(pcs),
            "message": self.sentence,
            "surge": self.surge.removeprefix("surge: "),
            "lastFailure": list(self.failure),
            "updateProgress": (pcs.get("status") or {}).get("updateProgress"),
        }


def rollout_state(pcs: Json) -> RolloutState:
    return replace(_state(pcs), failure=tuple(_failure(pcs)), surge=_surge(pcs))


def _surge(pcs: Json) -> str:
    said = conditions.find(pcs, CONDITION_SURGE)
    return f"surge: {'none, ' if said['status'] == 'False' else ''}{said['message']}" if said else ""


def _failure(pcs: Json) -> Iterator[str]:
    for told in told_failures([{**pcs, "kind": POD_CLIQUE_SET.kind}]):
        if not told.is_past:
            yield f"failed at {told.at}: {told.sentence}"
            yield from (f"  {line}" for line in told.last_words)


def _state(pcs: Json) -> RolloutState:
    name, status = f"podcliqueset {pcs['metadata']['name']}", pcs.get("status") or {}
    if status.get("observedGeneration", 0) < pcs["metadata"].get("generation", 1):
        return RolloutState(f"{name}: the operator has not seen the change yet")
    replicas, updated = pcs["spec"].get("replicas") or 0, status.get("updatedReplicas", 0)
    available, progress = status.get("availableReplicas", 0), status.get("updateProgress") or {}
    counts = f"{updated} of {replicas} replicas are updated, {available} available"
    if is_paused(pcs) and progress and not progress.get("updateEndedAt"):
        return RolloutState(f"{name}: paused; {counts}; grove rollout resume {pcs['metadata']['name']} goes on")
    if progress and not progress.get("updateEndedAt"):
        parts = (
            f"{progress.get('updatedPodCliquesCount', 0)} of {progress.get('totalPodCliquesCount', 0)} PodCliques and "
            f"{progress.get('updatedPodCliqueScalingGroupsCount', 0)} of "
            f"{progress.get('totalPodCliqueScalingGroupsCount', 0)} scaling groups"
        )
        current = [str(one["replicaIndex"]) for one in progress.get("currentlyUpdating") or ()]
        where = f"replica {', '.join(current)} is being updated" if current else "no replica is selected"
        return RolloutState(f"{name}: {where}; {counts}; {parts} are at the new template", False, _is_stuck(pcs))
    strategy = (pcs["spec"].get("updateStrategy") or {}).get("type")
    if strategy == "OnDelete" and progress and updated < replicas:
        return RolloutState(f"{name}: {counts}; OnDelete: the rest is updated when its pods are deleted", True)
    if updated < replicas or available < replicas:
        return RolloutState(f"{name}: {counts}", False, _is_stuck(pcs))
    return RolloutState(f"{name}: rolled out; {counts}", True)


def is_paused(pcs: Json) -> bool:
    return (pcs["metadata"].get("annotations") or {}).get(ANNOTATION_ROLLOUT_PAUSED) == "true"


def _is_stuck(pcs: Json) -> bool:
    progressing = conditions.find(pcs, CONDITION_PROGRESSING)
    return progressing is not None and progressing["reason"] == "ProgressDeadlineExceeded"
