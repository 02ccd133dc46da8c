"""Gangs whose pods follow others: how long places are kept for them, and when that ends.

pod is on its way out       it holds its place itself                                  (Leaving)
pod is gone, no successor   its place is kept for AWAITED_S                            (Vacated)
gang waits to go back       room is kept for LONGEST_S in all (`scheduler.home`), for AWAITED_S while it lacks a pod
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import replace

from grove_operator.api.constants import LABEL_POD_GANG
from grove_operator.api.kinds import Json
from grove_operator.engine.leaving import LONGEST_S, Leaving
from grove_operator.engine.ports import Clock
from grove_operator.engine.scheduling_feed import Feed, GangAt, waits
from grove_operator.engine.scheduling_view import staying_pods
from grove_operator.engine.telling import Spawn, Stores
from grove_operator.engine.vacated import AWAITED_S, Vacated
from grove_operator.scheduler.model import Gang


class Returning:
    """Follows the pods and tells the feed; `wake` starts a round."""

    def __init__(
        self,
        clock: Clock,
        feed: Feed,
        stores: Stores,
        spawn: Spawn,
        wake: asyncio.Event,
    ) -> None:
        self.leaving = Leaving()
        self._vacated = Vacated()
        self._clock, self._feed, self._stores, self._spawn, self._wake = clock, feed, stores, spawn, wake
        self._short_since: dict[str, float] = {}
        self._began: dict[str, float] = {}
        self._given_up: set[str] = set()

    def see(self, old: Json | None, new: Json | None) -> None:
        """One event of a (trimmed) pod: what it holds, and whether its place is kept."""
        if new is not None or old is None or not self._keep_place(old):
            self._feed.usage.observe(old, new)
            self.leaving.see(old, new)

    def let_go_of_followed(self, keys: Iterable[str], gang_at: GangAt) -> None:
        """Of these gangs, places for which somebody is there now, or nobody will come."""
        for key in self._vacated.among(keys):
            for pod in self._vacated.followed(key, gang_at(key), self._staying(key)):
                self._let_go(key, pod)

    def as_it_waits(self, gang: Gang) -> Gang:
        """One that waits to go back and lacks a pod for the moment still keeps its former places.

        So does a scaled one as long as its base gang waits to go back: it has no turn before that.
        """
        key, now = gang.key, self._clock.monotonic()
        if key in self._given_up and waits(gang):
            return replace(gang, reuse=None)
        self._given_up.discard(key)
        is_next = gang.base_key in self._feed.returning and gang.returns
        if gang.is_complete or not gang.ready or not (is_next or key in self._feed.returning):
            self._short_since.pop(key, None)
            return gang
        if is_next:
            self._short_since.pop(key, None)
            return replace(gang, keeps=True)
        if key not in self._short_since:
            self._short_since[key] = now
            self._spawn(self._look_again(key))
        return replace(gang, keeps=now - self._short_since[key] < AWAITED_S)

    def follow(self) -> list[str]:
        """After each change of who waits to go back: those who do from now on, for LONGEST_S at most."""
        waiting = self._feed.returning
        self._began = {key: began for key, began in self._began.items() if key in waiting}
        self._short_since = {key: since for key, since in self._short_since.items() if key in waiting}
        self._given_up &= self._feed.solver.gangs.keys()
        new = sorted(waiting - self._began.keys())
        for key in new:
            self._began[key] = self._clock.monotonic()
            self._spawn(self._end_the_wait(key, self._began[key]))
        return new

    def pods_before(self, key: str) -> list[Json]:
        """Those of the gang that are on their way out."""
        pod_gang = self._stores.gangs.get(*key.split("/"))
        return self.leaving.of(pod_gang) if pod_gang else []

    async def _end_the_wait(self, key: str, began: float) -> None:
        """Its place is taken again when there is room, which is an event; at some time it is one like others."""
        await self._clock.sleep(LONGEST_S)
        if self._began.get(key) == began:
            self._given_up.add(key)
            self._changed(key)

    def _keep_place(self, pod: Json) -> bool:
        meta, usage = pod["metadata"], self._feed.usage
        name = meta["labels"].get(LABEL_POD_GANG)
        if not name:
            return False
        key = f"{meta['namespace']}/{name}"
        before = self._vacated.at(key, pod)
        kept = self._vacated.see(
            key, pod, self._stores.gangs.get(meta["namespace"], name), usage.assumed.get(meta["uid"])
        )
        if kept is None:
            return False
        usage.observe(pod, kept)
        self.leaving.see(pod, kept)
        self._spawn(self._await_successor(key, kept))
        if before is not None:
            self._free(key, before)
        return True

    async def _await_successor(self, key: str, gone: Json) -> None:
        await self._clock.sleep(AWAITED_S)
        self._let_go(key, gone)

    def _let_go(self, key: str, gone: Json) -> None:
        if self._vacated.let_go(key, gone):
            self._free(key, gone)

    def _staying(self, key: str) -> Iterator[Json]:
        namespace, name = key.split("/")
        pod_gang = self._stores.gangs.get(namespace, name) or {"spec": {}}
        for group in pod_gang["spec"].get("podgroups") or ():
            yield from staying_pods(group, namespace, self._stores.pods.get)

    async def _look_again(self, key: str) -> None:
        await self._clock.sleep(AWAITED_S)
        self._changed(key)

    def _free(self, key: str, gone: Json) -> None:
        self._feed.usage.observe(gone, None)
        self.leaving.see(gone, None)
        self._changed(key)

    def _changed(self, key: str) -> None:
        self._feed.gang(key)
        self._wake.set()
