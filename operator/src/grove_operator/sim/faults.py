"""What goes wrong between a process and its API server, drawn from a seed.

process ── FaultyApi ──> SimApi         errors before a request, answers lost after it took effect, watches that
   └────── SkewedClock ──> SimClock     lag, repeat themselves, break off or have to begin anew; clocks that jump
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from grove_operator.api.kinds import Json, Kind
from grove_operator.engine.ports import ApiError, Clock, Conflict, Gone, KubeApi, Listing, Overloaded, WatchEvent


@dataclass(slots=True)
class Weather:
    """How bad it is now. Chances are per request or per event; `lag_s`: how late watches are."""

    refused: float = 0.0
    answer_lost: float = 0.0
    conflict: float = 0.0
    repeated: float = 0.0
    broken_off: float = 0.0
    lag_s: float = 0.0
    late_kind: str = ""
    on_write: Callable[[str, str, str, str], None] | None = None

    def clear(self) -> None:
        self.late_kind = ""
        self.refused = self.answer_lost = self.conflict = self.repeated = self.broken_off = self.lag_s = 0.0


@dataclass(slots=True)
class SkewedClock:
    """Tells another time of day than the server's; durations are right."""

    true: Clock
    offset_s: float = 0.0

    def now(self) -> datetime:
        return self.true.now() + timedelta(seconds=self.offset_s)

    def monotonic(self) -> float:
        return self.true.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self.true.sleep(seconds)


@dataclass(slots=True)
class FaultyApi:
    """A `KubeApi` as one process sees it in that weather. `random` is the process's own, so that seeds replay."""

    api: KubeApi
    clock: Clock
    weather: Weather
    random: random.Random = field(default_factory=random.Random)

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Json:
        self._before(kind, name)
        return await self.api.get(kind, namespace, name)

    async def list(
        self, kind: Kind, *, namespace: str | None = None, label_selector: str = "", field_selector: str = ""
    ) -> Listing:
        self._before(kind, "")
        return await self.api.list(
            kind, namespace=namespace, label_selector=label_selector, field_selector=field_selector
        )

    async def watch(
        self,
        kind: Kind,
        resource_version: str,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        self._before(kind, "")
        events = self.api.watch(
            kind,
            resource_version,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
        )
        async for event in events:
            if self.weather.lag_s and self.weather.late_kind in ("", kind.kind):
                await self.clock.sleep(self.weather.lag_s)
            if self._happens(self.weather.broken_off):
                if self._happens(0.5):
                    raise Gone(f"{kind.plural}: too old", reason="Expired")
                return
            yield event
            if self._happens(self.weather.repeated):
                yield event

    async def create(self, kind: Kind, namespace: str | None, body: Json, *, subresource_of: str = "") -> Json:
        self._before(kind, subresource_of)
        answer = await self.api.create(kind, namespace, body, subresource_of=subresource_of)
        self._after("create", kind, subresource_of or body["metadata"].get("name", ""), "")
        return answer

    async def patch(
        self, kind: Kind, namespace: str | None, name: str, body: Json, *, subresource: str | None = None
    ) -> Json:
        self._before(kind, name)
        if "resourceVersion" in (body.get("metadata") or {}) and self._happens(self.weather.conflict):
            raise Conflict(f"{kind.plural} {name}: somebody was faster", reason="Conflict")
        answer = await self.api.patch(kind, namespace, name, body, subresource=subresource)
        self._after("patch", kind, name, subresource or "")
        return answer

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, *, uid: str = "", grace_s: int | None = None
    ) -> None:
        self._before(kind, name)
        await self.api.delete(kind, namespace, name, uid=uid, grace_s=grace_s)
        self._after("delete", kind, name, "")

    def _before(self, kind: Kind, name: str) -> None:
        if self._happens(self.weather.refused):
            raise self._error(f"{kind.plural} {name}: not now")

    def _after(self, verb: str, kind: Kind, name: str, subresource: str) -> None:
        if self.weather.on_write:
            self.weather.on_write(verb, kind.kind, name, subresource)
        if self._happens(self.weather.answer_lost):
            raise self._error(f"{kind.plural} {name}: the answer was lost")

    def _error(self, text: str) -> ApiError:
        status, wait_s = self.random.choice(((429, 1.0), (500, 0.0), (503, 0.5), (504, 0.0)))
        return Overloaded(text, status=status, retry_after_s=wait_s)

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self.random.random() < chance
