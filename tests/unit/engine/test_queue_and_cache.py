"""The work queue's promises and the cache's memory."""

from __future__ import annotations

import asyncio

from grove_operator.api.kinds import Json, ObjectKey
from grove_operator.engine.cache import Cache
from grove_operator.engine.queue import WorkQueue
from grove_operator.sim.clock import SimClock


async def test_a_key_added_many_times_is_worked_on_once_and_again_only_if_added_meanwhile() -> None:
    queue: WorkQueue[str] = WorkQueue(SimClock())
    for _ in range(3):
        queue.add("a")
    assert await queue.get() == "a"
    assert len(queue) == 0
    queue.add("a")
    assert len(queue) == 0  # not while it is being worked on
    queue.done("a")
    assert len(queue) == 1


async def test_a_delayed_key_comes_at_its_time_and_the_sooner_wish_wins() -> None:
    clock = SimClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add("a", 10.0)
    queue.add("a", 2.0)
    queue.add("a", 5.0)
    getting = asyncio.create_task(queue.get())
    assert await clock.run_until(getting.done) == 2.0
    queue.done("a")
    await clock.advance(20.0)
    assert len(queue) == 0
    queue.close()


async def test_failures_in_a_row_wait_twice_as_long_each_until_success() -> None:
    clock = SimClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    waits = []
    for _ in range(3):
        queue.retry("a")
        getting = asyncio.create_task(queue.get())
        waits.append(round(await clock.run_until(getting.done), 3))
        queue.done("a")
    queue.forget("a")
    queue.retry("a")
    getting = asyncio.create_task(queue.get())
    waits.append(round(await clock.run_until(getting.done), 3))
    assert waits == [0.1, 0.2, 0.4, 0.1]
    queue.close()


def obj(version: int, uid: str = "u", **meta: str) -> Json:
    full: Json = {"name": "s", "namespace": "ns", "uid": uid, "resourceVersion": str(version), **meta}
    return {"apiVersion": "v1", "kind": "Service", "metadata": full}


KEY = ObjectKey("Service", "ns", "s")


def test_older_news_never_replace_newer_ones_and_the_dead_stay_dead() -> None:
    told: list[bool] = []
    cache = Cache(lambda old, new: told.append(new is not None))
    cache.put(obj(5))
    cache.put(obj(4))
    cache.put(obj(5))
    assert told == [True]
    cache.remove(KEY, "another uid")
    assert cache.find(KEY) is not None
    cache.remove(KEY, "u")
    cache.put(obj(6))
    assert cache.find(KEY) is None
    cache.put(obj(7, uid="v"))
    assert cache.find(KEY) is not None


def test_what_we_asked_to_delete_counts_as_going_even_when_late_news_say_otherwise() -> None:
    cache = Cache(lambda old, new: None)
    cache.put(obj(5))
    cache.mark_deleted(KEY, "u")
    cache.put(obj(6))
    found = cache.find(KEY)
    assert found is not None
    assert "deletionTimestamp" in found["metadata"]
