"""How long an object's status may differ before it is written.

first difference ──── it goes on changing ────> the same for `same_s` ──> write
       └──────────────── at most `latest_s` late ───────────────────────> write

calm      GATHER_S, thrice that at most     a burst of pod events costs one write
busy      x rate / CALM_RATE, up to MAX_S   counts that are outdated before they are read are skipped
starting  STARTING_S                        pods that are gated, unbound or starting will soon be counted otherwise
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
STARTING_S = 5.0
MAX_S = 2.0
WINDOW_S = 2.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Write what stayed the same for `same_s`, and at the latest `latest_s` after it first differed."""

    same_s: float
    latest_s: float


AT_ONCE = Wait(GATHER_S, GATHER_S)
STARTING = Wait(STARTING_S, STARTING_S)


class StatusPace:
    """Counts the status writes of the last `WINDOW_S` seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._written: deque[float] = deque()

    def wrote(self) -> None:
        self._written.append(self._clock.monotonic())

    def quiet(self) -> Wait:
        """What the present rate of writes allows."""
        oldest = self._clock.monotonic() - WINDOW_S
        while self._written and self._written[0] < oldest:
            self._written.popleft()
        rate = len(self._written) / WINDOW_S
        same_s = min(MAX_S, GATHER_S * max(1.0, rate / CALM_RATE))
        return Wait(same_s, 3 * same_s)


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

    def wait_s(self, key: K, status: Json, wait: Wait) -> float:
        """Seconds to go on holding `status` back; 0 when it is to be written now, and held no longer."""
        now = self._clock.monotonic()
        held = self._held.setdefault(key, _Held(now, now, status))
        if held.status != status:
            held.status, held.changed = status, now
        due = min(held.changed + wait.same_s, held.first + wait.latest_s)
        if now < due:
            return due - now
        del self._held[key]
        return 0.0
