"""The gang scheduler's loop: watch, decide, bind, tell.

    watch events ──> stores, usage ──> wake ──> schedule() (pure) ──> assume ──> bindings, many in flight
                                                     └─ refusals ──> status, conditions, events (only when they change)

Nothing is polled and no plan is stored. What is bound is an anchor for what isn't, so after a restart, or when a
binding fails, deciding again completes the gang where its members are. Only a gang that was never whole and can't be
completed for ROLLBACK_GRACE_S has its bound members deleted, so that they don't hold capacity for nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from grove_operator.api.constants import LABEL_POD_GANG, SCHEDULER_NAME
from grove_operator.api.kinds import CLUSTER_TOPOLOGY_BINDING, EVENT, NODE, POD, POD_GANG, Json
from grove_operator.engine import scheduling_status as status
from grove_operator.engine import scheduling_view as view
from grove_operator.engine.informer import Informer
from grove_operator.engine.ports import ApiError, Clock, Conflict, KubeApi, NotFound, Overloaded
from grove_operator.engine.recording import Record, record
from grove_operator.scheduler.model import Assignment, Decision, Gang, Policy, Refusal
from grove_operator.scheduler.solve import schedule

log = logging.getLogger(__name__)

ROLLBACK_GRACE_S = 60.0
BIND_TRIES = 5
BACKOFF_MIN_S = 0.5
BACKOFF_MAX_S = 30.0
WRITES_IN_FLIGHT = 16


class GangScheduler:
    """Binds the pods of PodGangs whole. `run` until cancelled; `synced` is set once all stores are filled."""

    def __init__(
        self,
        api: KubeApi,
        clock: Clock,
        *,
        binds_in_flight: int = 64,
        scheduler_name: str = SCHEDULER_NAME,
        policy: Policy | None = None,
        rollback_grace_s: float = ROLLBACK_GRACE_S,
        recorder: Record | None = None,
    ) -> None:
        self.api, self.clock, self.name, self.policy = api, clock, scheduler_name, policy
        self.rollback_grace_s, self.recorder = rollback_grace_s, recorder
        self.metrics: Counter[str] = Counter()
        self.synced = asyncio.Event()
        self.usage = view.Usage()
        self.nodes = Informer(api, clock, NODE, self._node_changed, trim=view.trim_node)
        self.pods = Informer(api, clock, POD, self._pod_changed, trim=view.PodTrimmer())
        self.gangs = Informer(api, clock, POD_GANG, self._gang_changed)
        self.topologies = Informer(
            api, clock, CLUSTER_TOPOLOGY_BINDING, self._topology_changed, trim=view.trim_topology
        )
        self._singles: set[tuple[str, str]] = set()
        self._touched: set[str] = set()
        self._must_decide = False
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._binds = asyncio.Semaphore(binds_in_flight)
        self._writes = asyncio.Semaphore(WRITES_IN_FLIGHT)
        self._refusals: dict[str, Refusal] = {}
        self._told: dict[str, status.RefusalKey] = {}
        self._scores: dict[str, float] = {}
        self._written: dict[str, str] = {}
        self._failures: Counter[str] = Counter()
        self._not_before: dict[str, float] = {}
        self._partial_since: dict[str, float] = {}

    async def run(self) -> None:
        informers = (self.nodes, self.topologies, self.pods, self.gangs)
        running = [asyncio.create_task(informer.run()) for informer in informers]
        loop = asyncio.create_task(self._loop(informers))
        try:
            await asyncio.gather(loop, *running)
        finally:
            tasks = [loop, *running, *self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _loop(self, informers: tuple[Informer, ...]) -> None:
        for informer in informers:
            await informer.synced.wait()
        self.synced.set()
        self._must_decide = True
        self._touched.update(view_key(g) for g in self.gangs.items())
        while True:
            if self._must_decide:
                self._must_decide = False
                self._decide()
            for key in sorted(self._touched):
                self._tell(key)
            self._touched.clear()
            if not self._must_decide:
                self._wake.clear()
                await self._wake.wait()
            await asyncio.sleep(0)  # let the events that came together be handled together

    # ── what the watches say ────────────────────────────────────────────────────────────────────────────────────────

    def _node_changed(self, old: Json | None, new: Json | None) -> None:
        if not (old and new and old["node"] == new["node"]):
            self._wake_up(decide=True)

    def _topology_changed(self, old: Json | None, new: Json | None) -> None:
        if not (old and new and old["topology"] == new["topology"]):
            self._wake_up(decide=True)

    def _gang_changed(self, old: Json | None, new: Json | None) -> None:
        key = view_key(new or old or {})
        if new is None:
            for memory in (self._refusals, self._told, self._scores, self._written, self._partial_since):
                memory.pop(key, None)
            self._failures.pop(key, None)
        is_same = old and new and old.get("spec") == new.get("spec") and _initialized(old) == _initialized(new)
        self._touched.add(key)
        self._wake_up(decide=not is_same)

    def _pod_changed(self, old: Json | None, new: Json | None) -> None:
        pod = new or old or {}
        where = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        gang = pod["metadata"]["labels"].get(LABEL_POD_GANG)
        is_ours = pod["scheduler"] == self.name
        held = self.usage.observe(old, new)
        if is_ours and not gang and new and not new["node"] and not view.is_over(new):
            self._singles.add(where)
        else:
            self._singles.discard(where)
        if gang:
            self._touched.add(f"{where[0]}/{gang}")
        if new is None:
            self._told.pop(pod["metadata"]["uid"], None)
        is_same = (
            old
            and new
            and all(old[k] == new[k] for k in ("node", "gated", "needs"))
            and (old["metadata"]["deletionTimestamp"] == new["metadata"]["deletionTimestamp"])
        )
        # A binding only takes capacity: nobody waits for that.
        self._wake_up(
            decide=(held and (new is None or not new["node"])) or (is_ours and not is_same and not pod["node"])
        )

    def _wake_up(self, *, decide: bool) -> None:
        self._must_decide = self._must_decide or decide
        self._wake.set()

    # ── decide ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _decide(self) -> None:
        wanted = self._wanted()
        if not any(_waits(g) for g in wanted):
            return
        self.metrics["decisions"] += 1
        seen = view.snapshot(self.nodes.items(), self.topologies.items(), self.usage)
        decision = schedule(seen, wanted, self.policy)
        record(self.recorder, seen, wanted, self.policy, decision)
        self._take_over(decision, wanted)

    def _wanted(self) -> list[Gang]:
        """Gangs to decide on and, as context, the rest; those that failed a moment ago wait for their turn."""
        now = self.clock.monotonic()
        found = [view.gang_of(g, self.pods.get, self.usage.assumed, self.name) for g in self.gangs.items()]
        for where in sorted(self._singles):
            pod = self.pods.get(*where)
            if pod is not None and not pod["gated"]:
                found.append(view.single(pod, self.usage.assumed, self.name))
        return [g if self._not_before.get(g.key, 0.0) <= now else _as_context(g) for g in found]

    def _take_over(self, decision: Decision, wanted: list[Gang]) -> None:
        refused = {r.gang: r for r in reversed(decision.refusals)}
        for gang in wanted:
            if gang.ready:
                before = self._refusals.pop(gang.key, None)
                if gang.key in refused:
                    self._refusals[gang.key] = refused[gang.key]
                if before != refused.get(gang.key):
                    self._touched.add(gang.key)
        self._scores.update({s.gang: s.value for s in decision.scores})
        for assignment in sorted(decision.assignments, key=lambda a: not a.is_minimum):
            pod = self.pods.get(assignment.namespace, assignment.pod)
            if pod is not None:
                self.usage.assume(pod, assignment.node)
                self._spawn(self._bind(assignment, pod["metadata"]["uid"]))

    # ── bind ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _bind(self, a: Assignment, uid: str) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": a.pod, "namespace": a.namespace, "uid": uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": a.node},
        }
        async with self._binds:
            for attempt in range(BIND_TRIES):
                try:
                    await self.api.create(POD, a.namespace, body, subresource_of=f"{a.pod}/binding")
                except Overloaded as error:
                    self.metrics["bind_retries"] += 1
                    if attempt + 1 == BIND_TRIES:
                        self._bind_failed(a, uid, error)
                        return
                    await self.clock.sleep(max(error.retry_after_s, BACKOFF_MIN_S * 2**attempt))
                except ApiError as error:
                    self._bind_failed(a, uid, error)
                    return
                else:
                    self.metrics["binds"] += 1
                    self._failures.pop(a.gang, None)
                    return

    def _bind_failed(self, a: Assignment, uid: str, error: ApiError) -> None:
        """Give the room back and decide on the gang again, with what is bound as anchors; ever later if it goes on."""
        self.metrics["bind_failures"] += 1
        self._failures[a.gang] += 1
        log.warning("pod %s/%s was not bound to %s: %s", a.namespace, a.pod, a.node, error)
        self.usage.forget(uid)
        delay = min(BACKOFF_MIN_S * 2 ** min(self._failures[a.gang] - 1, 10), BACKOFF_MAX_S)
        self._not_before[a.gang] = self.clock.monotonic() + delay
        self._touched.add(a.gang)
        self._wake_up(decide=True)
        self._spawn(self._later(delay))

    async def _later(self, delay_s: float) -> None:
        await self.clock.sleep(delay_s)
        self._wake_up(decide=True)

    # ── tell ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tell(self, key: str) -> None:
        """Bring the gang's status, and what its waiting pods say, in line; one write per change."""
        refusal = self._refusals.get(key)
        namespace, _, name = key.partition("/")
        pod_gang = self.gangs.get(namespace, name)
        if pod_gang is None:
            if refusal is not None:
                self._tell_pod(refusal, self.pods.get(namespace, name.removeprefix(view.NAME_OF_SINGLE.format(""))))
            return
        gang = view.gang_of(pod_gang, self.pods.get, {}, self.name)
        if not gang.ready:
            return
        members = {m.key: pod for g in gang.podgroups for m in g.members if (pod := self.pods.get(m.namespace, m.name))}
        bound = status.is_bound(gang, {k: p["node"] for k, p in members.items() if p["node"]})
        ready = bound and all(
            sum(view.condition(members[m.key], "Ready").get("status") == "True" for m in g.members) >= g.minimum
            for g in gang.podgroups
        )
        about_gang = refusal if refusal and not refusal.pods else None
        self._write_status(key, pod_gang, bound=bound, ready=ready, refusal=about_gang)
        if refusal is not None:
            concerned = set(refusal.pods) or set(members)
            for member, pod in sorted(members.items()):
                if member in concerned:
                    self._tell_pod(refusal, pod)
        self._watch_partial(key, pod_gang, members, is_stuck=about_gang is not None and not bound)

    def _write_status(self, key: str, pod_gang: Json, *, bound: bool, ready: bool, refusal: Refusal | None) -> None:
        version = pod_gang["metadata"]["resourceVersion"]
        if self._written.get(key) == version:
            return  # our last write isn't in the store yet: its echo brings us back here
        if refusal is not None and self._told.get(key) == status.refusal_key(refusal) and not bound:
            refusal = None  # only its numbers changed
        patch = status.gang_status_patch(
            pod_gang, bound=bound, ready=ready, refusal=refusal, score=self._scores.get(key), now=self.clock.now()
        )
        if patch is None:
            return
        self._written[key] = version
        events = []
        if refusal is not None and not bound:
            self._told[key] = status.refusal_key(refusal)
            events.append(self._warning(pod_gang, POD_GANG.kind, POD_GANG.api_version, refusal.message))
        if bound:
            self._told.pop(key, None)
        meta = pod_gang["metadata"]
        self._spawn(self._write(POD_GANG, meta["namespace"], meta["name"], patch, "status", events, key))

    def _tell_pod(self, refusal: Refusal, pod: Json | None) -> None:
        if pod is None or pod["node"] or pod["gated"] or pod["scheduler"] != self.name:
            return
        uid = pod["metadata"]["uid"]
        if self._told.get(uid) == status.refusal_key(refusal) or uid in self.usage.assumed:
            return
        self._told[uid] = status.refusal_key(refusal)
        patch = status.pod_unschedulable_patch(pod, refusal.message, self.clock.now())
        if patch is not None:
            events = [self._warning(pod, POD.kind, POD.api_version, refusal.message)]
            meta = pod["metadata"]
            self._spawn(self._write(POD, meta["namespace"], meta["name"], patch, "status", events, uid))

    def _warning(
        self, obj: Json, kind: str, api_version: str, message: str, reason: str = status.UNSCHEDULABLE
    ) -> Json:
        return status.warning(obj, kind, api_version, reason, message, self.name, self.clock.now())

    async def _write(
        self, kind: Any, namespace: str, name: str, patch: Json, subresource: str, events: list[Json], told: str
    ) -> None:
        """Patch, then the events that tell of it; on a conflict the newer object brings us back."""
        async with self._writes:
            try:
                await self.api.patch(kind, namespace, name, patch, subresource=subresource)
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
                self._retouch(namespace, name, kind)

    def _retouch(self, namespace: str, name: str, kind: Any) -> None:
        gang = name
        if kind is POD:
            pod = self.pods.get(namespace, name)
            labels = pod["metadata"]["labels"] if pod else {}
            gang = labels.get(LABEL_POD_GANG) or view.NAME_OF_SINGLE.format(name)
        self._touched.add(f"{namespace}/{gang}")
        self._wake_up(decide=False)

    # ── roll back ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _watch_partial(self, key: str, pod_gang: Json, members: dict[str, Json], *, is_stuck: bool) -> None:
        """Start, or stop, the clock of a gang that was never whole but holds nodes."""
        holds = is_stuck and not status.was_scheduled(pod_gang) and any(p["node"] for p in members.values())
        if not holds:
            self._partial_since.pop(key, None)
        elif key not in self._partial_since:
            self._partial_since[key] = self.clock.monotonic()
            self._spawn(self._roll_back(key, self._partial_since[key]))

    async def _roll_back(self, key: str, since: float) -> None:
        await self.clock.sleep(self.rollback_grace_s)
        namespace, _, name = key.partition("/")
        pod_gang = self.gangs.get(namespace, name)
        if self._partial_since.get(key) != since or pod_gang is None:
            return
        self._partial_since.pop(key)
        gang = view.gang_of(pod_gang, self.pods.get, {}, self.name)
        pods = [pod for g in gang.podgroups for m in g.members if (pod := self.pods.get(m.namespace, m.name))]
        bound = [p for p in pods if p["node"] and p["scheduler"] == self.name]
        message = (
            f"podgang {name}: {len(bound)} of its pods were bound but the rest found no place for "
            f"{self.rollback_grace_s:g} s; deleting them, so that the gang is placed whole or not at all"
        )
        async with self._writes:
            try:
                event = self._warning(pod_gang, POD_GANG.kind, POD_GANG.api_version, message, reason="RolledBack")
                await self.api.create(EVENT, namespace, event)
                for pod in bound:
                    await self.api.delete(
                        POD, pod["metadata"]["namespace"], pod["metadata"]["name"], uid=pod["metadata"]["uid"]
                    )
                    self.metrics["rolled_back_pods"] += 1
            except ApiError as error:
                log.warning("roll-back of %s: %s", key, error)
                self._touched.add(key)
                self._wake_up(decide=False)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def view_key(obj: Json) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"


def _initialized(pod_gang: Json) -> bool:
    return view.condition(pod_gang, "Initialized").get("status") == "True"


def _waits(gang: Gang) -> bool:
    """Something of it could be bound now."""
    return (
        gang.ready
        and gang.is_complete
        and any(m.node is None and not m.is_gated for g in gang.podgroups for m in g.members)
    )


def _as_context(gang: Gang) -> Gang:
    return replace(gang, ready=False)
