"""How long an object's status may differ before it is written.

    first difference ──── it goes on changing ────> quiet for a while ──> write
           └──────────────────── at most this late ──────────────────────> write

calm:      GATHER_S                      a burst of pod events costs one write
busy:      GATHER_S x rate / CALM_RATE   counts that are outdated before they are read are skipped
unsettled: at least UNSETTLED_S          pods that are gated, unbound or starting will soon be counted otherwise

The second wait is LATEST times the first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from grove_operator.api.kinds import Json
from grove_operator.engine.keys import GATHER_S
from grove_operator.engine.ports import Clock

K = TypeVar("K", bound=Hashable)
CALM_RATE = 10.0
"""Status writes per second up to which nothing is held back further."""
UNSETTLED_S = 2.0
MAX_S = 2.0
LATEST = 3.0
WINDOW_S = 2.0


class StatusPace:
    """Counts the status writes of the last `WINDOW_S` seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._written: deque[float] = deque()

    def wrote(self) -> None:
        self._written.append(self._clock.monotonic())

    def quiet_s(self, is_settled: bool = True) -> float:
        """Seconds that a status must have been the same before it is written."""
        oldest = self._clock.monotonic() - WINDOW_S
        while self._written and self._written[0] < oldest:
            self._written.popleft()
        rate = len(self._written) / WINDOW_S
        return min(MAX_S, max(GATHER_S * max(1.0, rate / CALM_RATE), 0.0 if is_settled else UNSETTLED_S))


@dataclass(slots=True)
class _Held:
    first: float
    changed: float
    status: Json


class HeldStatuses(Generic[K]):
    """The statuses that differ and are not written yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[K, _Held] = {}

    def drop(self, key: K) -> None:
        self._held.pop(key, None)

    def wait_s(self, key: K, status: Json, quiet_s: float, latest: float = LATEST) -> float:
        """Seconds to go on holding `status` back; 0 when it is to be written now, and held no longer.

        It is written once it stayed the same for `quiet_s`, and `latest` times that after it first differed.
        """
        now = self._clock.monotonic()
        held = self._held.setdefault(key, _Held(now, now, status))
        if held.status != status:
            held.status, held.changed = status, now
        due = min(held.changed + quiet_s, held.first + latest * quiet_s)
        if now < due:
            return due - now
        del self._held[key]
        return 0.0
