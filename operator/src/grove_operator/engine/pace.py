"""How long an object's status may differ before it is written.

quiet:   GATHER_S                      a burst of pod events costs one write
busy:    GATHER_S x rate / CALM_RATE   counts that are outdated before they are read are skipped, at most MAX_S late
"""

from __future__ import annotations

from collections import deque

from grove_operator.engine.keys import GATHER_S
from grove_operator.engine.ports import Clock

CALM_RATE = 10.0
"""Status writes per second up to which nothing is held back further."""
MAX_S = 2.0
WINDOW_S = 2.0


class StatusPace:
    """Counts the status writes of the last `WINDOW_S` seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._written: deque[float] = deque()

    def wrote(self) -> None:
        self._written.append(self._clock.monotonic())

    def gather_s(self) -> float:
        """Seconds to wait from the first difference to the write."""
        oldest = self._clock.monotonic() - WINDOW_S
        while self._written and self._written[0] < oldest:
            self._written.popleft()
        rate = len(self._written) / WINDOW_S
        return min(MAX_S, GATHER_S * max(1.0, rate / CALM_RATE))
