"""Virtual time: nothing waits, an hour passes in a moment, and always in the same order.

Time moves only when a test says so (`advance`, `run_until`), from timer to timer, and only once every task that could
run has run. Sleepers wake in order of their time, then of their arrival.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


class SimClock:
    """Implements `Clock`. Everything under test must sleep through it: asyncio's own timers use real time."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._arrival = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_s + seconds, next(self._arrival), waiter))
        await waiter

    async def settle(self, *, turns: int = 100_000) -> None:
        """Let every runnable task run until all of them wait. RuntimeError after `turns` of the loop: a busy loop."""
        ready = getattr(asyncio.get_running_loop(), "_ready")  # noqa: B009 - the loop tells nobody that it is idle
        for _ in range(turns):
            await asyncio.sleep(0)
            if not ready:
                return
        raise RuntimeError(f"the tasks never came to rest in {turns} turns of the loop: something spins")

    async def advance(self, seconds: float) -> None:
        """Move time on by `seconds`, waking every sleeper due on the way at its own moment."""
        target = self._elapsed_s + seconds
        await self.settle()
        while (due := self._next_due()) is not None and due <= target:
            await self._wake(due)
        self._elapsed_s = target

    async def run_until(self, claim: Callable[[], bool], limit_s: float = 600.0) -> float:
        """Move time on from timer to timer until `claim` holds; the virtual seconds it took.

        TimeoutError when it doesn't hold within `limit_s`, or when nobody waits for a timer any more.
        """
        started = self._elapsed_s
        await self.settle()
        while not claim():
            due = self._next_due()
            if due is None or due > started + limit_s:
                why = "nothing is left to happen" if due is None else f"{limit_s:g} virtual seconds have passed"
                raise TimeoutError(f"the claim does not hold and {why}")
            await self._wake(due)
        return self._elapsed_s - started

    def _next_due(self) -> float | None:
        while self._sleepers and self._sleepers[0][2].done():  # cancelled sleepers
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    async def _wake(self, due: float) -> None:
        self._elapsed_s = max(self._elapsed_s, due)
        while self._next_due() == due:
            heapq.heappop(self._sleepers)[2].set_result(None)
        await self.settle()
