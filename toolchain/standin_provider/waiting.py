"""Waiting for an object to be ready or gone, with word of what is missing when it takes long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from standin_provider.annotations import Settings
from standin_provider.apiserver import ApiServer, ResourceType
from standin_provider.errors import ApiFailure, Cancelled, NotReady, ProviderError, Unreachable
from standin_provider.objects import describe
from standin_provider.readiness import conditions_text, needs_endpoints, readiness_of
from standin_provider.wire import Json

_FIRST_WORD_S = 5.0
_POLL_FROM_S, _POLL_TO_S = 0.1, 1.0
_OUTAGE_S = 20.0  # an API server that restarts is given this long


@dataclass
class Wait:
    """One object on one server. `report` gets a line for the user; `cancelled` ends the waiting early."""

    api: ApiServer
    kind: ResourceType
    namespace: str
    name: str
    timeout_s: float
    cancelled: threading.Event
    report: Callable[[str], None]

    @property
    def path(self) -> str:
        return self.kind.path(self.namespace, self.name)

    def until_ready(self, live: Json, settings: Settings) -> Json:
        """The last seen object. Raises NotReady with that object when time is up, the engine is interrupted, the server
        is gone, or it can't become ready any more."""
        check = None if settings.skip_await else readiness_of(live)
        if settings.skip_await:
            self.report("Skipping await logic")
            return live
        if not settings.wait_for and check is None:
            return live

        def missing(seen: Json) -> str:
            if settings.wait_for:
                return "; ".join(filter(None, (wait.unmet(seen) for wait in settings.wait_for)))
            return (check(seen) if check else "") or self._endpoints_missing(seen)

        return self._poll_ready(live, missing)

    def _poll_ready(self, live: Json, missing: Callable[[Json], str]) -> Json:
        seen, lost_since, what = live, 0.0, ""
        pace = _Pace(self.timeout_s)
        while True:
            try:
                what = missing(seen)
                if not what:
                    return seen
                if self.cancelled.is_set() or pace.is_over:
                    ending = "interrupted" if self.cancelled.is_set() else f"timed out after {self.timeout_s:g} s"
                    raise NotReady(seen, [f"{ending}: {describe(seen)} is not ready: {what}", *self._details(seen)])
                if pace.word_is_due:
                    self.report("; ".join([f"not ready after {pace.elapsed_s:.0f} s: {what}", *self._details(seen)]))
                self.cancelled.wait(pace.next_s())
                seen, lost_since = self.api.get(self.path), 0.0
            except Unreachable as error:
                lost_since = lost_since or time.monotonic()
                if self.cancelled.is_set() or time.monotonic() - lost_since > _OUTAGE_S:
                    raise NotReady(seen, [f"{describe(seen)}: {error}; it was waited for: {what}"]) from error
                self.report(f"{error}; trying again")
                self.cancelled.wait(_POLL_TO_S)
            except ApiFailure as failure:
                raise NotReady(seen, [f"{describe(seen)}: {failure} (while waiting for: {what})"]) from failure
            except NotReady:
                raise
            except ProviderError as error:
                raise NotReady(seen, [f"{describe(seen)}: {error}", *self._details(seen)]) from error

    def until_gone(self, uid: str) -> None:
        """Returns when no object of that UID is left. Raises ProviderError or Cancelled."""
        pace = _Pace(self.timeout_s)
        while True:
            try:
                live = self.api.get(self.path)
            except ApiFailure as failure:
                if failure.status == 404:
                    return
                raise
            if uid and live["metadata"].get("uid") != uid:
                return
            held = ", ".join(live["metadata"].get("finalizers") or []) or "nothing; its deletion is under way"
            text = f"{describe(live)} is still there after {pace.elapsed_s:.0f} s; held by finalizers: {held}"
            if details := conditions_text(live):
                text += f"; {details}"
            if self.cancelled.is_set():
                raise Cancelled(f"interrupted: {text}")
            if pace.is_over:
                raise ProviderError(f"timed out: {text}")
            if pace.word_is_due:
                self.report(text)
            self.cancelled.wait(pace.next_s())

    def _details(self, live: Json) -> list[str]:
        conditions = conditions_text(live)
        details = [f"conditions: {conditions}"] if conditions else []
        try:
            return details + self._pod_problems(live)
        except ProviderError:
            return details  # the main message already says that the server can't be asked

    def _pod_problems(self, live: Json) -> list[str]:
        labels = ((live.get("spec") or {}).get("selector") or {}).get("matchLabels")
        if live.get("kind") not in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet") or not labels:
            return []
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        pods = self.api.get(f"/api/v1/namespaces/{self.namespace}/pods", {"labelSelector": selector, "limit": "20"})
        return [text for pod in pods.get("items") or [] if (text := _pod_problem(pod))][:3]

    def _endpoints_missing(self, live: Json) -> str:
        if not needs_endpoints(live):
            return ""
        query = {"labelSelector": f"kubernetes.io/service-name={self.name}"}
        slices = self.api.get(f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices", query)
        for piece in slices.get("items") or []:
            if any((e.get("conditions") or {}).get("ready") is not False for e in piece.get("endpoints") or []):
                return ""
        return "no ready pod stands behind the service yet"


class _Pace:
    def __init__(self, timeout_s: float):
        self._start = time.monotonic()
        self._timeout_s = timeout_s
        self._interval_s = _POLL_FROM_S
        self._next_word_s = _FIRST_WORD_S

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._start

    @property
    def is_over(self) -> bool:
        return self.elapsed_s >= self._timeout_s

    @property
    def word_is_due(self) -> bool:
        due = self.elapsed_s >= self._next_word_s
        if due:
            self._next_word_s = self.elapsed_s + _FIRST_WORD_S
        return due

    def next_s(self) -> float:
        current, self._interval_s = self._interval_s, min(self._interval_s * 1.5, _POLL_TO_S)
        return max(0.0, min(current, self._timeout_s - self.elapsed_s))


def _pod_problem(pod: Json) -> str:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return (
                f"pod {name}: {container['name']} is waiting: {waiting['reason']} {waiting.get('message', '')}".rstrip()
            )
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"pod {name} is not scheduled: {condition.get('message', '')}"
    return ""
