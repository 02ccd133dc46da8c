"""A queue of keys: each waits at most once, is worked on by one worker at a time, and may be asked for later.

add ──> waiting ──get──> working ──done──> (again, if it was added meanwhile)
add(after_s) ──> sleeping ──> waiting
retry ──> sleeping for 0.1, 0.2, 0.4 ... 60 s, until `forget`
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from grove_operator.engine.ports import Clock

K = TypeVar("K")
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.1, 60.0


class WorkQueue(Generic[K]):
    """Use within one event loop. `len` counts waiting keys."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[K] = deque()
        self._queued: set[K] = set()
        self._working: set[K] = set()
        self._due: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        self._arrived = asyncio.Event()
        self._timers: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: K, after_s: float = 0.0) -> None:
        """Ask for `key` now, or in `after_s` seconds unless it is asked for sooner."""
        if after_s > 0:
            self._add_later(key, after_s)
            return
        if key in self._queued:
            return
        self._queued.add(key)
        if key not in self._working:
            self._waiting.append(key)
            self._arrived.set()

    async def get(self) -> K:
        """The next key; call `done` when its work is over."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        key = self._waiting.popleft()
        self._queued.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        self._working.discard(key)
        if key in self._queued:
            self._waiting.append(key)
            self._arrived.set()

    def retry(self, key: K, at_least_s: float = 0.0) -> None:
        """Ask again after a delay that doubles with each failure in a row."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add(key, max(at_least_s, min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(failures, 16))))

    def forget(self, key: K) -> None:
        """The key's work succeeded: its next failure starts from the shortest delay."""
        self._failures.pop(key, None)

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _add_later(self, key: K, after_s: float) -> None:
        due = self._clock.monotonic() + after_s
        if key in self._due and self._due[key] <= due:
            return
        self._due[key] = due
        timer = asyncio.get_running_loop().create_task(self._wake(key, due, after_s))
        self._timers.add(timer)
        timer.add_done_callback(self._timers.discard)

    async def _wake(self, key: K, due: float, after_s: float) -> None:
        await self._clock.sleep(after_s)
        if self._due.get(key) == due:
            del self._due[key]
            self.add(key)
