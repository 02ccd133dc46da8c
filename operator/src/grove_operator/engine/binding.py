"""Many bindings in flight, as many as the API server takes well.

    in flight   +1 per round without trouble          up to `most`
                x 1/2 on 429 or 5xx, x 3/4 when answers take 4 x as long as the quickest, once per round;
                    at least 4, or 16 when answers are only slow: that may be others' doing

A round is as many answers as may be in flight. A binding that is refused for good is handed back to the decider.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable

from grove_operator.api.kinds import POD, Json
from grove_operator.engine.ports import ApiError, Clock, KubeApi, Overloaded
from grove_operator.scheduler.model import Assignment

log = logging.getLogger(__name__)

BIND_TRIES = 5
BACKOFF_MIN_S = 0.5
LEAST_IN_FLIGHT = 4
LEAST_WHEN_SLOW = 16
FIRST_IN_FLIGHT = 32
SLOW = 4.0
SLOW_FROM_S = 0.25
"""Answers quicker than this are never called slow."""


class Window:
    """How many may be in flight: additive increase, multiplicative decrease."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.size = float(min(FIRST_IN_FLIGHT, most))
        self.in_flight = 0
        self.quickest_s = float("inf")
        self._until_decrease = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """First come, first served."""
        if self.in_flight >= int(self.size) or self._waiting:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.leave()
                raise
            return
        self.in_flight += 1

    @property
    def is_full(self) -> bool:
        """Somebody waits."""
        return bool(self._waiting)

    def leave(self) -> None:
        self.in_flight -= 1
        while self._waiting and self.in_flight < int(self.size):
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)

    def answered(self, took_s: float, *, is_refused: bool) -> None:
        """Learn from one answer."""
        self._until_decrease = max(self._until_decrease - 1, 0)
        self.quickest_s = min(self.quickest_s, took_s) if not is_refused else self.quickest_s
        is_slow = took_s > SLOW_FROM_S and took_s > SLOW * self.quickest_s
        if is_refused or is_slow:
            if not self._until_decrease:
                least = min(LEAST_IN_FLIGHT if is_refused else LEAST_WHEN_SLOW, self.most)
                smaller = max(float(least), self.size * (0.5 if is_refused else 0.75))
                self.size = min(self.size, smaller)
                self._until_decrease = int(self.size)
        else:
            self.size = min(float(self.most), self.size + 1.0 / self.size)


class Binder:
    """Binds pods; `failed(assignment, uid)` is called for a binding that won't come to be."""

    def __init__(
        self,
        api: KubeApi,
        clock: Clock,
        most_in_flight: int,
        metrics: Counter[str],
        may_bind: Callable[[Assignment], str],
        failed: Callable[[Assignment, str], None],
    ) -> None:
        """`may_bind` gives the reason why a binding must not be sent any more, or ''."""
        self._api, self._clock, self._metrics = api, clock, metrics
        self._may_bind, self._failed = may_bind, failed
        self.window = Window(most_in_flight)

    async def bind(self, a: Assignment, uid: str) -> None:
        for attempt in range(BIND_TRIES):
            await self.window.enter()
            try:
                pause_s = await self._try(a, uid, is_last=attempt + 1 == BIND_TRIES)
            finally:
                self.window.leave()
            if pause_s is None:
                return
            await self._clock.sleep(max(pause_s, BACKOFF_MIN_S * 2**attempt))

    async def _try(self, a: Assignment, uid: str, *, is_last: bool) -> float | None:
        """None when there is nothing more to do, else for how many seconds the server wants to be left alone."""
        reason = self._may_bind(a)
        if reason:
            self._give_up(a, uid, reason)
            return None
        body = _binding(a, uid)
        sent = self._clock.monotonic()
        try:
            await self._api.create(POD, a.namespace, body, subresource_of=f"{a.pod}/binding")
        except ApiError as error:
            is_refused = isinstance(error, Overloaded)
            self.window.answered(self._clock.monotonic() - sent, is_refused=is_refused)
            self._metrics["bind_retries"] += is_refused
            if is_refused and not is_last:
                return error.retry_after_s
            if not await self._is_bound_after_all(a, uid):
                self._give_up(a, uid, str(error))
                return None
        else:
            self.window.answered(self._clock.monotonic() - sent, is_refused=False)
        self._metrics["binds"] += 1
        self._metrics["binds_in_flight"] = int(self.window.size)
        return None

    async def _is_bound_after_all(self, a: Assignment, uid: str) -> bool:
        """An answer may be lost though the binding came to be: then the room is not to be given back."""
        try:
            pod = await self._api.get(POD, a.namespace, a.pod)
        except ApiError:
            return False
        return bool(pod["metadata"]["uid"] == uid and (pod.get("spec") or {}).get("nodeName"))

    def _give_up(self, a: Assignment, uid: str, reason: str) -> None:
        self._metrics["bind_failures"] += 1
        log.warning("pod %s/%s was not bound to %s: %s", a.namespace, a.pod, a.node, reason)
        self._failed(a, uid)


def _binding(a: Assignment, uid: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": a.pod, "namespace": a.namespace, "uid": uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": a.node},
    }
