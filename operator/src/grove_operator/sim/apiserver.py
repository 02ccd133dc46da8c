"""An API server in memory, behind the `KubeApi` port: enough of Kubernetes to tell right from wrong.

Kept faithfully: UIDs, resourceVersions, generations, status and scale subresources, merge patches with preconditions
and without effect when nothing changes, garbage collection by owner reference, finalizers, graceful deletion of bound
pods, immutable pod specs, bindings, watches with selectors. Not kept: schemas, defaults, admission, namespaces.

Kinds in `unserved` are answered with 404, as where their CRD is missing. `tests/support/contract.py` holds the promises
that this server and the real one both keep.

Tests reach behind the port with `seed`, `objects`, `writes`, `before_request`, `end_watches` and `compact`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal

from grove_operator.api.kinds import BY_KIND, NODE, POD, Json, Kind
from grove_operator.engine.merge import copy_json, merge
from grove_operator.engine.ports import (
    AlreadyExists,
    Clock,
    Conflict,
    Gone,
    Invalid,
    Listing,
    NotFound,
    WatchEvent,
    timestamp,
)
from grove_operator.sim.history import Change, changes_after, event_of
from grove_operator.sim.podrules import bind, check_pod_update, prepare_pod
from grove_operator.sim.scale import scale_of, scaled
from grove_operator.sim.selectors import field_test, label_test

Key = tuple[str, str]
KEEPS_STATUS_AT_CREATION = {NODE.kind}
HAS_NO_GENERATION = {"ControllerRevision", "Event", "ConfigMap", "Secret", "ServiceAccount", "Namespace", "Lease"}


@dataclass(frozen=True, slots=True)
class Request:
    """One call, as `before_request` and `writes` see it. `user` tells the operator from the scheduler."""

    user: str
    verb: Literal["get", "list", "watch", "create", "patch", "delete"]
    kind: str
    name: str
    subresource: str = ""

    @property
    def is_write(self) -> bool:
        return self.verb in ("create", "patch", "delete")


@dataclass(slots=True)
class _World:
    """What all users of one simulated server share."""

    clock: Clock
    revision: int = 0
    objects: dict[str, dict[Key, Json]] = field(default_factory=dict)
    history: dict[str, deque[Change]] = field(default_factory=dict)
    compacted: int = 0
    dependents: dict[str, set[tuple[str, Key]]] = field(default_factory=dict)
    dead_uids: set[str] = field(default_factory=set)
    wakers: dict[str, asyncio.Event] = field(default_factory=dict)
    watch_era: int = 0
    writes: list[Request] = field(default_factory=list)
    counter: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    before_request: Callable[[Request], None] | None = None
    watch_lag_s: float = 0.0
    unserved: set[str] = field(default_factory=set)
    actor: str = ""
    on_change: Callable[[str, Json | None, Json | None], None] | None = None
    gc_lag_s: Callable[[], float] | None = None
    errands: set[asyncio.Task[None]] = field(default_factory=set)


class SimApi:
    """Implements `KubeApi`. `as_user` gives another user's view of the same world."""

    def __init__(self, clock: Clock, *, user: str = "test", world: _World | None = None) -> None:
        self._clock, self._user = clock, user
        self._world = world or _World(clock)

    def as_user(self, user: str) -> SimApi:
        return SimApi(self._clock, user=user, world=self._world)

    # --- behind the port, for tests ---------------------------------------------------------------------------------

    def seed(self, *objects: Json) -> list[Json]:
        """Store objects as they are, status included; they get a UID and a resourceVersion if they have none."""
        return [copy_json(self._insert(BY_KIND[obj["kind"]], copy_json(obj))) for obj in objects]

    def objects(self, kind: Kind, namespace: str | None = None) -> list[Json]:
        """Copies of all live objects of a kind, sorted by namespace and name."""
        found = sorted(self._world.objects.get(kind.kind, {}).items())
        return [copy_json(obj) for (where, _), obj in found if namespace in (None, where)]

    def collect_garbage_late(self, lag_s: Callable[[], float]) -> None:
        """As the real collector, which comes to an orphan some time after its owner has gone."""
        self._world.gc_lag_s = lag_s

    async def stop(self) -> None:
        """Ends what goes on behind the port."""
        for errand in list(self._world.errands):
            errand.cancel()
        await asyncio.gather(*self._world.errands, return_exceptions=True)

    def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        obj = self._world.objects.get(kind.kind, {}).get((namespace, name))
        return None if obj is None else copy_json(obj)

    @property
    def writes(self) -> list[Request]:
        """Every mutating request so far by any user, refused ones included."""
        return self._world.writes

    def count_writes(self, user: str | None = None) -> Counter[tuple[str, str, str]]:
        """Mutating requests by (verb, kind, subresource)."""
        return Counter((w.verb, w.kind, w.subresource) for w in self.writes if user in (None, w.user))

    def before_request(self, hook: Callable[[Request], None] | None) -> None:
        """Called before each request takes effect; raise an `ApiError` (or anything) in it to make the request fail."""
        self._world.before_request = hook

    def on_change(self, hook: Callable[[str, Json | None, Json | None], None]) -> None:
        """Called with (user, old, new) after every change of any object; it must not change them."""
        self._world.on_change = hook

    def delay_watches(self, lag_s: float) -> None:
        """From now on watchers hear of changes `lag_s` seconds late: caches go stale."""
        self._world.watch_lag_s = lag_s

    def serve(self, kind: Kind, *, is_served: bool) -> None:
        """Whether the server knows the kind; objects of an unknown one stay, unseen."""
        (self._world.unserved.discard if is_served else self._world.unserved.add)(kind.kind)

    def end_watches(self) -> None:
        """End every running watch, as a server does now and then."""
        self._world.watch_era += 1
        for waker in self._world.wakers.values():
            waker.set()

    def compact(self) -> None:
        """Forget all history: watches from earlier positions get Gone."""
        self._world.compacted = self._world.revision
        self._world.history.clear()
        self.end_watches()

    # --- the port: reads --------------------------------------------------------------------------------------------

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Json:
        await self._arrive("get", kind, name)
        return copy_json(self._find(kind, namespace, name))  # type: ignore[no-any-return]

    async def list(
        self, kind: Kind, *, namespace: str | None = None, label_selector: str = "", field_selector: str = ""
    ) -> Listing:
        await self._arrive("list", kind, "")
        matches = _test(namespace, label_selector, field_selector)
        found = sorted(self._world.objects.get(kind.kind, {}).items())
        return Listing([copy_json(obj) for _, obj in found if matches(obj)], str(self._world.revision))

    async def watch(
        self,
        kind: Kind,
        resource_version: str,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        await self._arrive("watch", kind, "")
        matches = _test(namespace, label_selector, field_selector)
        world, position = self._world, int(resource_version or 0)
        era = world.watch_era
        while True:
            if position < world.compacted:
                raise Gone(f"resourceVersion {position} of {kind.plural} is too old", reason="Expired")
            waker = world.wakers.setdefault(kind.kind, asyncio.Event())
            waker.clear()
            fresh = changes_after(world.history.get(kind.kind, ()), position)
            if fresh and world.watch_lag_s:
                await self._clock.sleep(world.watch_lag_s)
            for change in fresh:
                position = change.revision
                if event := event_of(change, matches):
                    yield event
            if era != world.watch_era:
                return
            if not changes_after(world.history.get(kind.kind, ()), position):
                await waker.wait()

    # --- the port: writes -------------------------------------------------------------------------------------------

    async def create(self, kind: Kind, namespace: str | None, body: Json, *, subresource_of: str = "") -> Json:
        parent, _, subresource = subresource_of.partition("/")
        meta = dict(body.get("metadata") or {})
        await self._arrive("create", kind, parent or str(meta.get("name", meta.get("generateName", ""))), subresource)
        if subresource == "binding" and kind is POD:
            self._replace(kind, bind(self._find(kind, namespace, parent), body, self._clock.now()))
            return {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        if subresource:
            raise Invalid(f"{kind.plural}/{subresource} is not simulated", reason="MethodNotAllowed")
        obj = copy_json(body)
        obj["kind"], obj["apiVersion"] = kind.kind, kind.api_version
        if kind.namespaced:
            obj["metadata"]["namespace"] = namespace or meta.get("namespace") or "default"
        if "name" not in meta:
            obj["metadata"]["name"] = f"{meta['generateName']}{next(self._world.counter):05d}"
        for server_set in ("uid", "resourceVersion", "creationTimestamp", "generation", "deletionTimestamp"):
            obj["metadata"].pop(server_set, None)
        if kind is POD:
            obj = prepare_pod(obj, self._clock.now())
        elif kind.kind not in KEEPS_STATUS_AT_CREATION:
            obj.pop("status", None)
        return copy_json(self._insert(kind, obj))  # type: ignore[no-any-return]

    async def patch(
        self, kind: Kind, namespace: str | None, name: str, body: Json, *, subresource: str | None = None
    ) -> Json:
        await self._arrive("patch", kind, name, subresource or "")
        old = self._find(kind, namespace, name)
        _check_preconditions(old, body.get("metadata") or {})
        if subresource == "scale":
            return scale_of(kind, copy_json(self._replace(kind, scaled(kind, old, body))))
        wanted = merge(old, body)
        if subresource == "status":
            new = {**old, "status": wanted.get("status", {})}
        elif subresource:
            raise Invalid(f"{kind.plural}/{subresource} is not simulated", reason="MethodNotAllowed")
        else:
            new = {k: v for k, v in wanted.items() if k != "status"}
            if "status" in old:
                new["status"] = old["status"]
            new["metadata"] = {**new["metadata"], **_server_owned(old)}
            if kind is POD:
                check_pod_update(old, new)
        return copy_json(self._replace(kind, new))  # type: ignore[no-any-return]

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, *, uid: str = "", grace_s: int | None = None
    ) -> None:
        await self._arrive("delete", kind, name)
        old = self._find(kind, namespace, name)
        _check_preconditions(old, {"uid": uid} if uid else {})
        self._delete(kind, old, grace_s)

    # --- the world --------------------------------------------------------------------------------------------------

    async def _arrive(
        self,
        verb: Literal["get", "list", "watch", "create", "patch", "delete"],
        kind: Kind,
        name: str,
        subresource: str = "",
    ) -> None:
        await asyncio.sleep(0)  # every request is a point where other tasks may come first
        request = Request(self._user, verb, kind.kind, name, subresource)
        if request.is_write:
            self._world.writes.append(request)
        if kind.kind in self._world.unserved:
            raise NotFound(f"{kind.plural}.{kind.group}: the server could not find the requested resource")
        if self._world.before_request:
            self._world.before_request(request)
        self._world.actor = self._user

    def _find(self, kind: Kind, namespace: str | None, name: str) -> Json:
        where = namespace or ("default" if kind.namespaced else "")
        obj = self._world.objects.get(kind.kind, {}).get((where, name))
        if obj is None:
            raise NotFound(f"{kind.plural} {where}/{name} not found", reason="NotFound")
        return obj

    def _insert(self, kind: Kind, obj: Json) -> Json:
        world, meta = self._world, obj["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        if key in world.objects.setdefault(kind.kind, {}):
            raise AlreadyExists(f"{kind.plural} {meta['name']} already exists", reason="AlreadyExists")
        meta.setdefault("uid", f"00000000-0000-4000-8000-{next(world.counter):012x}")
        meta.setdefault("creationTimestamp", timestamp(self._clock.now()))
        if kind.kind not in HAS_NO_GENERATION:
            meta.setdefault("generation", 1)
        self._record(kind, key, None, obj)
        for reference in meta.get("ownerReferences", []):
            world.dependents.setdefault(reference["uid"], set()).add((kind.kind, key))
        self._collect(obj)
        return obj

    def _replace(self, kind: Kind, new: Json) -> Json:
        key = (new["metadata"].get("namespace", ""), new["metadata"]["name"])
        old = self._world.objects[kind.kind][key]
        if new == old:
            return old
        new = {**new, "metadata": {**new["metadata"]}}  # history still tells of the old one, with its own version
        if "generation" in old["metadata"] and _content(new) != _content(old):
            new["metadata"] = {**new["metadata"], "generation": old["metadata"]["generation"] + 1}
        if "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers") and kind is not POD:
            self._remove(kind, key)
            return new
        self._record(kind, key, old, new)
        return new

    def _delete(self, kind: Kind, old: Json, grace_s: int | None) -> None:
        meta = old["metadata"]
        is_running = kind is POD and old.get("spec", {}).get("nodeName") and grace_s != 0
        if is_running or meta.get("finalizers"):
            if "deletionTimestamp" not in meta:
                grace = old.get("spec", {}).get("terminationGracePeriodSeconds", 30) if grace_s is None else grace_s
                mark: Json = {"deletionTimestamp": timestamp(self._clock.now())}
                if kind is POD:
                    mark["deletionGracePeriodSeconds"] = grace
                self._record(
                    kind, (meta.get("namespace", ""), meta["name"]), old, {**old, "metadata": {**meta, **mark}}
                )
            return
        self._remove(kind, (meta.get("namespace", ""), meta["name"]))

    def _remove(self, kind: Kind, key: Key) -> None:
        old = self._world.objects[kind.kind][key]
        self._record(kind, key, old, None)
        uid = old["metadata"]["uid"]
        self._world.dead_uids.add(uid)
        for dependent_kind, dependent_key in sorted(self._world.dependents.pop(uid, ())):
            if dependent := self._world.objects.get(dependent_kind, {}).get(dependent_key):
                self._collect(dependent)

    def _collect(self, obj: Json) -> None:
        """Deleted when all its owners are gone: at once, or when the garbage collector comes to it."""
        owners = [ref["uid"] for ref in obj["metadata"].get("ownerReferences", [])]
        if not owners or not all(owner in self._world.dead_uids for owner in owners):
            return
        if self._world.gc_lag_s is None:
            self._delete(BY_KIND[obj["kind"]], obj, None)
            return
        errand = asyncio.create_task(self._collect_later(obj, self._world.gc_lag_s()))
        self._world.errands.add(errand)
        errand.add_done_callback(self._world.errands.discard)

    async def _collect_later(self, obj: Json, lag_s: float) -> None:
        await self._clock.sleep(lag_s)
        meta = obj["metadata"]
        live = self.find(BY_KIND[obj["kind"]], meta.get("namespace", ""), meta["name"])
        if live is not None and live["metadata"]["uid"] == meta["uid"]:
            self._world.actor = "gc"
            self._delete(BY_KIND[obj["kind"]], live, None)

    def _record(self, kind: Kind, key: Key, old: Json | None, new: Json | None) -> None:
        """One revision. Stored objects are never changed in place, so history may share them."""
        world = self._world
        world.revision += 1
        if new is None:
            del world.objects[kind.kind][key]
            assert old is not None  # noqa: S101 - only existing objects are removed
            old = {**old, "metadata": {**old["metadata"]}}
            last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(world.revision)}}
            world.history.setdefault(kind.kind, deque()).append(Change(world.revision, last, None))
        else:
            new["metadata"]["resourceVersion"] = str(world.revision)
            world.objects.setdefault(kind.kind, {})[key] = new
            world.history.setdefault(kind.kind, deque()).append(Change(world.revision, old, new))
        if waker := world.wakers.get(kind.kind):
            waker.set()
        if world.on_change:
            world.on_change(world.actor, old, new)


def _test(namespace: str | None, labels: str, fields: str) -> Callable[[Json], bool]:
    by_label, by_field = label_test(labels), field_test(fields)
    return lambda obj: namespace in (None, "", obj["metadata"].get("namespace", "")) and by_label(obj) and by_field(obj)


def _check_preconditions(live: Json, wanted: Json) -> None:
    for name in ("uid", "resourceVersion"):
        if wanted.get(name) not in (None, "", live["metadata"][name]):
            what = f"{live['kind']} {live['metadata']['name']}: {name} is {live['metadata'][name]}, not {wanted[name]}"
            raise Conflict(what, reason="Conflict")


def _server_owned(old: Json) -> Json:
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "generation", "deletionTimestamp")
    return {name: old["metadata"][name] for name in names if name in old["metadata"]}


def _content(obj: Json) -> Json:
    return {k: v for k, v in obj.items() if k not in ("metadata", "status")}
