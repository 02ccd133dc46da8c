"""What is kept of a failure, so that it can be read after everything that failed was made anew.

    a container ends with another code than 0, or a pod Failed ──> PodClique ──> scaling group ──> PodCliqueSet

The condition LastFailure holds the member that failed first, with reason, exit code and last words: True until the
unit is whole again, then False with the same text until something fails anew. Later failures of the same episode, which
the first one mostly causes, change nothing. A recycle deletes PodCliques; groups and sets survive it, and so does this.

The last words are the kubelet's `terminated.message`: what the program left as its termination message, or the end of
its log, since pods ask for that (`FallbackToLogsOnError`) where their template says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from grove_operator.api import conditions
from grove_operator.api.constants import CONDITION_LAST_FAILURE
from grove_operator.api.kinds import Json
from grove_operator.core.objects import is_terminating

LINES, CHARACTERS = 10, 1000
"""Of the last words."""
STATUSES = ("initContainerStatuses", "containerStatuses")


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """`at`: as Kubernetes writes a time. `text`: a sentence, and below it the last words."""

    at: str
    reason: str
    text: str


def failures_of(pods: Iterable[Json], now: str) -> Iterator[Failure]:
    """Every end of a container that a pod's status tells of, and pods that are Failed.

    Not of pods that are Ready again, nor of those that were told to end: SIGTERM leaves an exit code, too.
    """
    for pod in pods:
        if is_terminating(pod) or conditions.is_true(pod, "Ready"):
            continue
        name, status = f"pod {pod['metadata']['name']}", pod.get("status") or {}
        ends = [(one, end) for field in STATUSES for one in status.get(field) or () for end in _ends(one)]
        for container, end in ends:
            reason = end.get("reason") or "Error"
            said = f"{name}, container {container.get('name', '')}: exit code {end['exitCode']} ({reason})"
            yield Failure(end.get("finishedAt") or now, _word(reason), _with_last_words(said, end.get("message", "")))
        if status.get("phase") == "Failed" and not ends:
            reason = status.get("reason") or "Failed"
            ready = conditions.find(pod, "Ready") or {}
            text = _with_last_words(f"{name}: {reason}", status.get("message", ""))
            yield Failure(ready.get("lastTransitionTime") or now, _word(reason), text)


def failures_below(parts: Iterable[Json]) -> Iterator[Failure]:
    """What PodCliques or groups still suffer from."""
    for part in parts:
        said = conditions.find(part, CONDITION_LAST_FAILURE)
        if said and said["status"] == "True":
            yield Failure(said["lastTransitionTime"], said["reason"], said["message"])


def last_failure(old: Iterable[Json] | None, failures: Iterable[Failure], *, is_whole: bool, now: str) -> Json | None:
    """The condition, with its time; None where nothing has failed yet."""
    before = next((c for c in old or () if c["type"] == CONDITION_LAST_FAILURE), None)
    if before and before["status"] == "True":
        return {**before, "status": "False", "lastTransitionTime": now} if is_whole else before
    since = before["lastTransitionTime"] if before else ""
    first = min((failure for failure in failures if failure.at >= since), default=None)
    if is_whole or first is None:
        return before
    said = conditions.condition(CONDITION_LAST_FAILURE, True, first.reason, first.text)
    return {**said, "lastTransitionTime": first.at}


def with_failure(said: list[Json], failure: Json | None) -> list[Json]:
    """Conditions with that one in its place; its time is its own."""
    others = [condition for condition in said if condition["type"] != CONDITION_LAST_FAILURE]
    return [*others, failure] if failure else others


def is_news(obj: Json, status: Json) -> bool:
    """Something failed that the object doesn't tell yet, and the new status does: what tells it may be gone soon."""
    said = conditions.find({"status": status}, CONDITION_LAST_FAILURE)
    return said is not None and said["status"] == "True" and said != conditions.find(obj, CONDITION_LAST_FAILURE)


def shortened(text: str) -> str:
    """The last lines of a termination message."""
    return "\n".join(text.strip().splitlines()[-LINES:])[-CHARACTERS:]


def _ends(container: Json) -> Iterator[Json]:
    for field in ("lastState", "state"):
        end = (container.get(field) or {}).get("terminated")
        if end and end.get("exitCode"):
            yield end


def _with_last_words(said: str, message: str) -> str:
    words = shortened(message)
    return f"{said}\n{words}" if words else said


def _word(reason: str) -> str:
    """As conditions want it: letters, digits and underscores."""
    word = re.sub(r"[^A-Za-z0-9_]", "", reason)
    return word if word[:1].isalpha() else "Failed"
