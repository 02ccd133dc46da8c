"""What kopf sees of our root kinds, handed over to the engine's loop.

    kopf thread                                    engine loop (once it leads)
    on.event ──> RootInbox.put ──> newest state ──> deliver(kind, ADDED | MODIFIED | DELETED, body)

The inbox keeps the newest state of every root, so that a standby that becomes the leader starts with all of them.
kopf's worker per UID may hand over an old object's end after its successor's beginning: what is older than the state
already known is dropped. kopf keeps no store, so deletions that happen while its watch is down are never told:
`RootAudit` finds them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import kopf

from grove_operator.api.kinds import (
    CLUSTER_TOPOLOGY_BINDING,
    DYNAMO_GRAPH_DEPLOYMENT,
    POD_CLIQUE_SET,
    POD_GANG_SET,
    Json,
    Kind,
)
from grove_operator.engine.ports import ApiError, Clock
from grove_operator.kube.client import HttpKubeApi

ROOT_KINDS = (POD_CLIQUE_SET, DYNAMO_GRAPH_DEPLOYMENT, CLUSTER_TOPOLOGY_BINDING, POD_GANG_SET)
AUDIT_PERIOD_S = 300.0
AUDIT_DELAY_S = 5.0
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

Deliver = Callable[[Kind, str, Json], None]
RootKey = tuple[Kind, str, str]
ListUids = Callable[[Kind], Awaitable[set[str]]]


class RootInbox:
    """Thread-safe. Before `attach` events are only remembered; afterwards they are delivered in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[RootKey, Json] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deliver: Deliver | None = None
        self.events = 0
        self.last_heard = time.monotonic()
        self.relisted = threading.Event()
        """Set when kopf began a list anew, so that deletions may have been missed."""

    def put(self, kind: Kind, event_type: str | None, body: Mapping[str, Any]) -> None:
        """One event; type None is kopf's word for an object of a first list."""
        obj = dict(body)
        key = (kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        with self._lock:
            self.events += 1
            self.last_heard = time.monotonic()
            if event_type is None:
                self.relisted.set()
            known = self._newest.get(key)
            if event_type == "DELETED":
                if known is None or known["metadata"]["uid"] != obj["metadata"]["uid"]:
                    return
                del self._newest[key]
                self._send(kind, "DELETED", obj)
            elif known is None or _is_newer(obj, known):
                self._newest[key] = obj
                self._send(kind, "ADDED" if known is None else "MODIFIED", obj)

    def attach(self, loop: asyncio.AbstractEventLoop, deliver: Deliver) -> None:
        """From now on call `deliver` in `loop`'s thread, first with everything known so far."""
        with self._lock:
            self._loop, self._deliver = loop, deliver
            for (kind, _, _), obj in self._newest.items():
                self._send(kind, "ADDED", obj)

    def age_s(self) -> float:
        """Since the last event of any root."""
        return time.monotonic() - self.last_heard

    def known(self, kind: Kind) -> dict[str, Json]:
        """Newest state of one kind's objects by UID."""
        with self._lock:
            return {obj["metadata"]["uid"]: obj for key, obj in self._newest.items() if key[0] is kind}

    def _send(self, kind: Kind, event_type: str, obj: Json) -> None:
        if self._loop is not None and self._deliver is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver, kind, event_type, obj)


class RootAudit:
    """Finds roots that are gone though nobody said so; after each list of kopf's, and every five minutes."""

    def __init__(self, inbox: RootInbox, clock: Clock, list_uids: ListUids) -> None:
        self._inbox, self._clock, self._list_uids = inbox, clock, list_uids

    async def run(self) -> None:
        while True:
            waited_s = 0.0
            while waited_s < AUDIT_PERIOD_S and not self._inbox.relisted.is_set():
                await self._clock.sleep(AUDIT_DELAY_S)
                waited_s += AUDIT_DELAY_S
            self._inbox.relisted.clear()
            for kind in ROOT_KINDS:
                await self.check(kind)

    async def check(self, kind: Kind) -> list[str]:
        """Delivers the missed deletions of one kind; their UIDs. API errors leave it to the next audit."""
        before = self._inbox.known(kind)  # first what we know, then what is: an object made in between can't seem gone
        try:
            alive = await self._list_uids(kind) if before else set()
        except ApiError:
            return []
        gone = [uid for uid in before if uid not in alive]
        for uid in gone:
            self._inbox.put(kind, "DELETED", before[uid])
        return gone


async def live_uids(api: HttpKubeApi, kind: Kind) -> set[str]:
    """UIDs of all objects of a kind, by a list of metadata only."""
    page = await api.raw("GET", kind.path(), accept=METADATA_ONLY)
    return {item["metadata"]["uid"] for item in page.get("items") or []}


def watch_roots(registry: kopf.OperatorRegistry, inbox: RootInbox) -> None:
    """Level-triggered handlers: each event is one hand-over, and kopf writes nothing to the objects."""
    for kind in ROOT_KINDS:
        _watch(registry, inbox, kind)


def _watch(registry: kopf.OperatorRegistry, inbox: RootInbox, kind: Kind) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, id=f"watch-{kind.plural}", registry=registry)
    async def root_changed(event: Any, **_: Any) -> None:
        inbox.put(kind, event["type"], event["object"])


def _is_newer(obj: Json, known: Json) -> bool:
    """resourceVersions are compared as numbers where they are such; elsewhere the last word counts."""
    new, old = obj["metadata"]["resourceVersion"], known["metadata"]["resourceVersion"]
    if new == old:
        return False
    return int(new) > int(old) if new.isdigit() and old.isdigit() else True
