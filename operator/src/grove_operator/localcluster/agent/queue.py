"""Keys waiting for a worker: each at most once, never in two workers' hands, and by time where asked."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class KeyQueue(Generic[K]):
    """A key added while a worker has it comes again once the worker is `done` with it."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._held: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}

    def add(self, key: K) -> None:
        if key not in self._waiting:
            self._waiting.add(key)
            if key not in self._held:
                self._ready.put_nowait(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Replaces an earlier timer of the same key."""
        if earlier := self._timers.pop(key, None):
            earlier.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._due, key)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def get(self) -> K:
        key = await self._ready.get()
        self._waiting.discard(key)
        self._held.add(key)
        return key

    def done(self, key: K) -> None:
        self._held.discard(key)
        if key in self._waiting:
            self._ready.put_nowait(key)
