"""List, then watch, then keep a store in step: the lean loop for kinds that come by the ten thousand.

    list ──> ADDED... ──> watch from that resourceVersion ──> bookmarks move the position
      ^                        │ ended by the server: watch again from the last position
      └──── Gone (410) ────────┘ any other error: wait, watch again

The store holds what `trim` leaves of each object. `on_change(old, new)` is called once for each difference, also for
those that a fresh list reveals (missed deletions included), so a consumer never sees an event twice or misses one.
An optional kind may not be served (404) or not be ours to see (403): then there are none; it looks again each minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

from grove_operator.api.kinds import Json, Kind
from grove_operator.engine.ports import ApiError, Clock, Gone, KubeApi
from grove_operator.engine.trimmed import trimmed

log = logging.getLogger(__name__)

OnChange = Callable[[Json | None, Json | None], None]
RETRY_MIN_S = 0.1
RETRY_MAX_S = 10.0
UNSERVED_S = 60.0
"""Between two looks for an optional kind that the server does not know."""


class Informer:
    """A store of one kind. Read `get`, `items`; await `synced` before trusting absence."""

    def __init__(
        self,
        api: KubeApi,
        clock: Clock,
        kind: Kind,
        on_change: OnChange,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        trim: Callable[[Json], Json] = trimmed,
        is_optional: bool = False,
    ) -> None:
        self.kind = kind
        self.is_served = True
        self._is_optional = is_optional
        self.synced = asyncio.Event()
        self.last_heard = clock.monotonic()
        self._api, self._clock, self._on_change, self._trim = api, clock, on_change, trim
        self._namespace, self._labels, self._fields = namespace, label_selector, field_selector
        self._store: dict[tuple[str, str], Json] = {}

    def get(self, namespace: str, name: str) -> Json | None:
        return self._store.get((namespace, name))

    def items(self) -> Iterator[Json]:
        return iter(list(self._store.values()))

    def __len__(self) -> int:
        return len(self._store)

    async def run(self) -> None:
        """Runs until cancelled. API errors are waited out with exponential back-off, at most 10 s."""
        delay = RETRY_MIN_S
        position = ""
        while True:
            try:
                if not position:
                    position = await self._relist()
                position = await self._follow(position)
                delay = RETRY_MIN_S
            except Gone:
                position = ""
            except ApiError as error:
                if self._is_optional and error.status in (403, 404):
                    position = ""
                    self._forget_all(error)
                    await self._clock.sleep(UNSERVED_S)
                    continue
                await self._wait(delay, error)
                delay = min(delay * 2, RETRY_MAX_S)

    async def _wait(self, delay: float, error: ApiError) -> None:
        log.warning("watch of %s: %s; again in %.1f s", self.kind.plural, error, delay)
        await self._clock.sleep(max(delay, error.retry_after_s))

    def _forget_all(self, error: ApiError) -> None:
        """The server doesn't know the kind (any more), or doesn't let us see it: none of its objects exist for us."""
        if self.is_served:
            log.info("%s are left alone: %s", self.kind.plural, error)
        self.is_served = False
        for key in list(self._store):
            self._remove(key)
        self.last_heard = self._clock.monotonic()
        self.synced.set()

    async def _relist(self) -> str:
        listing = await self._api.list(
            self.kind, namespace=self._namespace, label_selector=self._labels, field_selector=self._fields
        )
        fresh = {_key(obj): obj for obj in listing.items}
        for key in [k for k in self._store if k not in fresh]:
            self._remove(key)
        for key, obj in fresh.items():
            self._put(key, obj)
        self.last_heard = self._clock.monotonic()
        self.is_served = True
        self.synced.set()
        return listing.resource_version

    async def _follow(self, position: str) -> str:
        events = self._api.watch(
            self.kind,
            position,
            namespace=self._namespace,
            label_selector=self._labels,
            field_selector=self._fields,
        )
        async for event in events:
            self.last_heard = self._clock.monotonic()
            position = event.object["metadata"]["resourceVersion"]
            if event.type == "DELETED":
                self._remove(_key(event.object))
            elif event.type != "BOOKMARK":
                self._put(_key(event.object), event.object)
        return position

    def _put(self, key: tuple[str, str], obj: Json) -> None:
        old = self._store.get(key)
        if old and old["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]:
            return
        new = self._trim(obj)
        self._store[key] = new
        self._on_change(old, new)

    def _remove(self, key: tuple[str, str]) -> None:
        old = self._store.pop(key, None)
        if old is not None:
            self._on_change(old, None)


def _key(obj: Json) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
