"""What the scheduler says: PodGang status, pods' PodScheduled=False, Warning events; roll-back of partial gangs.

    refusal about the gang      condition and one event on the PodGang, and on every ungated pending member; all or none
    refusal about extras        on those members alone
    bound, ready                conditions, phase and score on the PodGang

Written only when the reason changes: other numbers in the same sentence are not news.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from grove_operator.api.constants import LABEL_POD_GANG, LABEL_SCHEDULER_NAME
from grove_operator.api.kinds import EVENT, POD, POD_GANG, Json
from grove_operator.core.objects import listed
from grove_operator.engine import scheduling_status as status
from grove_operator.engine import scheduling_view as view
from grove_operator.engine.binding import BACKOFF_MIN_S
from grove_operator.engine.informer import Informer
from grove_operator.engine.leaving import LONGEST_S
from grove_operator.engine.ports import ApiError, Clock, Conflict, KubeApi, NotFound
from grove_operator.engine.scheduling_feed import Feed
from grove_operator.scheduler.model import Refusal

log = logging.getLogger(__name__)

WRITES_IN_FLIGHT = 16
WINDOW_S = 2.0
BUSY = 20
"""Status writes within WINDOW_S from which on those that will soon be outdated wait."""
HOLD_S = 2.0
LONGEST_HOLD_S = 10.0
"""While bindings wait for their turn, words about what is bound already wait, too: for so long at most."""
Spawn = Callable[[Coroutine[Any, Any, None]], None]


@dataclass(frozen=True, slots=True)
class Stores:
    gangs: Informer
    pods: Informer


class Teller:
    """`tell` brings one gang's words in line; `retouch(key)` is called when a write failed and is to be tried again."""

    rollback_grace_s: float = 60.0

    def __init__(
        self,
        api: KubeApi,
        clock: Clock,
        stores: Stores,
        feed: Feed,
        names: Sequence[str],
        metrics: Counter[str],
        spawn: Spawn,
        retouch: Callable[[str], None],
        is_binding: Callable[[], bool] = lambda: False,
    ) -> None:
        """`is_binding` tells whether bindings wait for others to be answered."""
        self.api, self.clock, self.stores, self.feed, self.names = api, clock, stores, feed, names
        self.metrics, self.spawn, self.retouch, self.is_binding = metrics, spawn, retouch, is_binding
        self._writes = asyncio.Semaphore(WRITES_IN_FLIGHT)
        self._told: dict[str, status.RefusalKey] = {}
        self._written: dict[str, str] = {}
        self._written_at: deque[float] = deque()
        self._held: set[str] = set()
        self._was_held: set[str] = set()
        self._partial_since: dict[str, float] = {}

    def forget(self, key: str) -> None:
        """The gang is gone."""
        for memory in (self._told, self._written, self._partial_since):
            memory.pop(key, None)
        self._was_held.discard(key)

    def tell(self, key: str) -> None:
        """Bring the gang's status, and what its waiting pods say, in line; one write per change."""
        refusals = self.feed.refusals.get(key, ())
        namespace, _, name = key.partition("/")
        pod_gang = self.stores.gangs.get(namespace, name)
        if pod_gang is None:
            for refusal in refusals:
                self._tell_pod(
                    refusal, self.stores.pods.get(namespace, name.removeprefix(view.NAME_OF_SINGLE.format("")))
                )
            return
        gang = view.gang_of(pod_gang, self.stores.pods.get, {}, self.names)
        if not gang.ready:
            return
        pods = self.stores.pods
        members = {m.key: pod for g in gang.podgroups for m in g.members if (pod := pods.get(m.namespace, m.name))}
        bound = gang.stands
        ready = bound and all(
            sum(view.condition(members[m.key], "Ready").get("status") == "True" for m in g.members) >= g.minimum
            for g in gang.podgroups
        )
        about_gang = next((r for r in refusals if not r.pods), None)
        standing = status.Standing(bound, ready, about_gang, status.lost_members(gang), self.feed.scores.get(key))
        self._write_status(key, pod_gang, standing)
        for refusal in refusals:
            concerned = set(refusal.pods) or set(members)
            for member, pod in sorted(members.items()):
                if member in concerned:
                    self._tell_pod(refusal, pod)
        self._watch_partial(key, pod_gang, members, is_stuck=about_gang is not None and not bound)

    def _write_status(self, key: str, pod_gang: Json, standing: status.Standing) -> None:
        version = pod_gang["metadata"]["resourceVersion"]
        if self._written.get(key) == version:
            return  # our last write isn't in the store yet: its echo brings us back here
        refusal = standing.refusal
        if refusal is not None and self._told.get(key) == status.refusal_key(refusal) and not standing.bound:
            standing, refusal = standing.without_refusal(), None  # only its numbers changed
        patch = status.gang_status_patch(pod_gang, standing, now=self.clock.now())
        if patch is None or (standing.bound and not standing.ready and self._may_wait(key, pod_gang)):
            return
        self._written[key] = version
        self._written_at.append(self.clock.monotonic())
        events = []
        if refusal is not None and not standing.bound:
            self._told[key] = status.refusal_key(refusal)
            events.append(self._warning(pod_gang, POD_GANG.kind, POD_GANG.api_version, refusal.message))
        if standing.bound:
            self._told.pop(key, None)
        meta = pod_gang["metadata"]
        self.spawn(self._write(POD_GANG, meta["namespace"], meta["name"], patch, events, key))

    def _may_wait(self, key: str, pod_gang: Json) -> bool:
        """While much is written, a gang that was just bound is told of once, when it is ready or HOLD_S later."""
        if key in self._held or key in self._was_held:
            return key in self._held
        now = self.clock.monotonic()
        while self._written_at and self._written_at[0] < now - WINDOW_S:
            self._written_at.popleft()
        is_busy = len(self._written_at) >= BUSY or self.is_binding()
        if not is_busy or status.was_scheduled(pod_gang):
            return False
        self._held.add(key)
        self._was_held.add(key)
        self.spawn(self._let_go(key))
        return True

    async def _let_go(self, key: str) -> None:
        """Nothing else brings a held gang back: what ends the hold also tells of it, however busy it is then."""
        held_s = 0.0
        while held_s < HOLD_S or (self.is_binding() and held_s < LONGEST_HOLD_S):
            await self.clock.sleep(HOLD_S)
            held_s += HOLD_S
        self._held.discard(key)
        self.retouch(key)

    def _tell_pod(self, refusal: Refusal, pod: Json | None) -> None:
        if pod is None or pod["node"] or pod["gated"] or pod["scheduler"] not in self.names:
            return
        uid = pod["metadata"]["uid"]
        if self._told.get(uid) == status.refusal_key(refusal) or uid in self.feed.usage.assumed:
            return
        self._told[uid] = status.refusal_key(refusal)
        patch = status.pod_unschedulable_patch(pod, refusal.message, self.clock.now())
        if patch is not None:
            events = [self._warning(pod, POD.kind, POD.api_version, refusal.message)]
            meta = pod["metadata"]
            self.spawn(self._write(POD, meta["namespace"], meta["name"], patch, events, uid))

    def tell_of_return(self, key: str, leaving: Sequence[Json]) -> None:
        """An event for those who wonder why pods wait though there is room elsewhere."""
        namespace, _, name = key.partition("/")
        pod_gang = self.stores.gangs.get(namespace, name)
        if pod_gang is None:
            return
        nodes = sorted({pod["node"] for pod in leaving})
        message = (
            f"podgang {name}: waits until {len(leaving)} of its former pods are gone from {listed(nodes)}, to go back "
            f"to the domain that they had; after {LONGEST_S:g} s it goes where there is room"
        )
        event = self._warning(pod_gang, POD_GANG.kind, POD_GANG.api_version, message, reason=status.RETURNS)
        self.spawn(self._create({**event, "type": "Normal"}))

    async def _create(self, event: Json) -> None:
        async with self._writes:
            try:
                await self.api.create(EVENT, event["metadata"]["namespace"], event)
                self.metrics["events"] += 1
            except ApiError as error:
                log.warning("event %s: %s", event["metadata"]["name"], error)

    def forget_pod(self, uid: str) -> None:
        self._told.pop(uid, None)

    def _warning(
        self, obj: Json, kind: str, api_version: str, message: str, reason: str = status.UNSCHEDULABLE
    ) -> Json:
        """An event from the scheduler that the object asked for."""
        asked = obj.get("scheduler") or (obj["metadata"].get("labels") or {}).get(LABEL_SCHEDULER_NAME)
        source = str(asked) if asked in self.names else self.names[0]
        return status.warning(obj, kind, api_version, reason, message, source, self.clock.now())

    async def _write(self, kind: Any, namespace: str, name: str, patch: Json, events: list[Json], told: str) -> None:
        """Patch, then the events that tell of it; on a conflict the newer object brings us back."""
        async with self._writes:
            try:
                await self.api.patch(kind, namespace, name, patch, subresource="status")
                self.metrics["status_writes"] += 1
                for event in events:
                    await self.api.create(EVENT, namespace, event)
                    self.metrics["events"] += 1
            except NotFound:
                return
            except ApiError as error:
                if not isinstance(error, Conflict):
                    log.warning("%s %s/%s: %s", kind.kind, namespace, name, error)
                self._told.pop(told, None)
                self._written.pop(told, None)
                await self.clock.sleep(max(error.retry_after_s, BACKOFF_MIN_S))
                self.retouch(self._key(namespace, name, kind))

    def _key(self, namespace: str, name: str, kind: Any) -> str:
        if kind is not POD:
            return f"{namespace}/{name}"
        pod = self.stores.pods.get(namespace, name)
        labels = pod["metadata"]["labels"] if pod else {}
        return f"{namespace}/{labels.get(LABEL_POD_GANG) or view.NAME_OF_SINGLE.format(name)}"

    # ── roll back ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _watch_partial(self, key: str, pod_gang: Json, members: dict[str, Json], *, is_stuck: bool) -> None:
        """Start, or stop, the clock of a gang that was never whole but holds nodes."""
        holds = is_stuck and not status.was_scheduled(pod_gang) and any(p["node"] for p in members.values())
        if not holds:
            self._partial_since.pop(key, None)
        elif key not in self._partial_since:
            self._partial_since[key] = self.clock.monotonic()
            self.spawn(self._roll_back(key, self._partial_since[key]))

    async def _roll_back(self, key: str, since: float) -> None:
        await self.clock.sleep(self.rollback_grace_s)
        namespace, _, name = key.partition("/")
        pod_gang = self.stores.gangs.get(namespace, name)
        if self._partial_since.get(key) != since or pod_gang is None:
            return
        self._partial_since.pop(key)
        gang = view.gang_of(pod_gang, self.stores.pods.get, {}, self.names)
        pods = [pod for g in gang.podgroups for m in g.members if (pod := self.stores.pods.get(m.namespace, m.name))]
        bound = [p for p in pods if p["node"] and p["scheduler"] in self.names]
        message = (
            f"podgang {name}: {len(bound)} of its pods were bound but the rest found no place for "
            f"{self.rollback_grace_s:g} s; deleting them, so that the gang is placed whole or not at all"
        )
        async with self._writes:
            try:
                event = self._warning(pod_gang, POD_GANG.kind, POD_GANG.api_version, message, reason="RolledBack")
                await self.api.create(EVENT, namespace, event)
                for pod in bound:
                    meta = pod["metadata"]
                    await self.api.delete(POD, meta["namespace"], meta["name"], uid=meta["uid"])
                    self.metrics["rolled_back_pods"] += 1
            except ApiError as error:
                log.warning("roll-back of %s: %s", key, error)
                self.retouch(key)
