"""The tasks of a process: they live until it is told to stop, and when one of them ends on its own, all end.

A task that dies silently is the worst failure of an operator: it looks alive and does nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")


class Stopped(Exception):  # noqa: N818 - an event, not a mistake
    """The process was told to stop while it waited."""


class Died(Exception):  # noqa: N818
    """A task that must run for ever has ended."""


class Supervisor:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[None] = self._loop.create_future()
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        """Run `work` until `close`. Its end, good or bad, is a failure of the process."""
        task = self._loop.create_task(work, name=name)
        task.add_done_callback(self._on_done)
        self._tasks.append(task)

    def stop(self) -> None:
        """End well. Later failures don't count."""
        if not self._end.done():
            self._end.set_result(None)

    def fail(self, name: str, error: BaseException | None) -> None:
        """End badly, from any thread."""
        self._loop.call_soon_threadsafe(self._fail, name, error)

    async def during(self, work: Awaitable[T]) -> T:
        """The result of `work`; Stopped when told to stop meanwhile, Died when a task ends meanwhile."""
        task = asyncio.ensure_future(work)
        try:
            watched: list[asyncio.Future[Any]] = [task, self._end]
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if self._end.done():
                self._end.result()
                raise Stopped
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until_stopped(self) -> None:
        """Returns when told to stop; raises Died."""
        await asyncio.shield(self._end)

    async def close(self) -> None:
        """Cancel all tasks and wait for them."""
        self.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            self._fail(task.get_name(), task.exception())

    def _fail(self, name: str, error: BaseException | None) -> None:
        if self._end.done():
            return
        died = Died(f"{name} ended: {error or 'without an error'}")
        died.__cause__ = error
        self._end.set_exception(died)
