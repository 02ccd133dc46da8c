"""The gang scheduler's loop: watch, decide, bind, tell.

    watch events ──> stores, usage ──> Feed ──> Solver (pure) ──> assume ──> Binder, many in flight
                                                   └─ refusals ──> Teller: status, conditions, events (when they change)

Nothing is polled and no plan is stored. What is bound is an anchor for what isn't, so after a restart, or when a
binding fails, deciding again completes the gang where its members are. Only a gang that was never whole and can't be
completed for ROLLBACK_GRACE_S has its bound members deleted, so that they don't hold capacity for nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import cycle
from typing import Any, Protocol, TypeVar

from grove_operator.api.constants import LABEL_POD_GANG, SCHEDULER_NAME
from grove_operator.api.kinds import (
    CLUSTER_TOPOLOGY_BINDING,
    NODE,
    NODE_RESOURCE_TOPOLOGY,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_GANG,
    Json,
)
from grove_operator.engine import scheduling_view as view
from grove_operator.engine.binding import BACKOFF_MIN_S, Binder
from grove_operator.engine.explaining import Explainer
from grove_operator.engine.informer import Informer
from grove_operator.engine.pod_needs import PodTrimmer
from grove_operator.engine.ports import Clock, KubeApi
from grove_operator.engine.recording import Record, record
from grove_operator.engine.returning import Returning
from grove_operator.engine.scheduling_feed import DRAIN_S, STARVING_S, Feed, is_simple, waits
from grove_operator.engine.scheduling_zones import trim_report
from grove_operator.engine.telling import Stores, Teller
from grove_operator.scheduler.model import Assignment, Decision, Gang, Policy
from grove_operator.scheduler.solve import schedule

log = logging.getLogger(__name__)

ROLLBACK_GRACE_S = 60.0
BACKOFF_MAX_S = 30.0
BREATH_S = 0.05
"""The loop rests as long as its last round took, but no longer than this: events that come meanwhile share a round."""
T = TypeVar("T")


class Aside(Protocol):
    """Runs something long where it doesn't hold up the loop."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


async def at_once(work: Callable[[], T], /) -> T:
    """Where there is no other thread."""
    return work()


class GangScheduler:
    """Binds the pods of PodGangs whole. `run` until cancelled; `synced` is set once all stores are filled.

    `scheduler_names`: pods that ask for one of these are ours; the first is our own name. `aside` runs long searches
    where they don't hold up the loop.
    """

    def __init__(
        self,
        api: KubeApi,
        clock: Clock,
        *,
        binds_in_flight: int = 64,
        scheduler_names: Sequence[str] = (SCHEDULER_NAME,),
        policy: Policy | None = None,
        rollback_grace_s: float = ROLLBACK_GRACE_S,
        recorder: Record | None = None,
        aside: Aside = at_once,
    ) -> None:
        self.clock, self.names, self.policy = clock, tuple(scheduler_names), policy
        self.recorder, self.aside = recorder, aside
        self.metrics: Counter[str] = Counter()
        self.synced = asyncio.Event()
        self._wake = asyncio.Event()
        self.feed = Feed(policy)
        self.nodes = Informer(api, clock, NODE, self._node_changed, trim=view.trim_node)
        self.claims = Informer(api, clock, PERSISTENT_VOLUME_CLAIM, self._volume_changed, trim=view.trim_claim)
        self.volumes = Informer(api, clock, PERSISTENT_VOLUME, self._volume_changed, trim=view.trim_volume)
        self.zones = Informer(
            api, clock, NODE_RESOURCE_TOPOLOGY, self._zones_changed, trim=trim_report, is_optional=True
        )
        self.trimmer = PodTrimmer(view.volume_at(self.claims.get, self.volumes.get))
        self.pods = Informer(api, clock, POD, self._pod_changed, trim=self.trimmer)
        self.gangs = Informer(api, clock, POD_GANG, self._gang_changed)
        self.topologies = Informer(
            api, clock, CLUSTER_TOPOLOGY_BINDING, self._topology_changed, trim=view.trim_topology
        )
        self.binder = Binder(api, clock, binds_in_flight, self.metrics, self._may_bind, self._bind_failed)
        stores = Stores(self.gangs, self.pods)
        self.teller = Teller(
            api,
            clock,
            stores,
            self.feed,
            self.names,
            self.metrics,
            self._spawn,
            self._touch,
            lambda: self.binder.window.is_full,
        )
        self.explainer = Explainer(self.feed, self.pods, policy, aside, self._spawn, self._touch)
        self.teller.rollback_grace_s = rollback_grace_s
        self.returning = Returning(clock, self.feed, stores, self._spawn, self._wake)
        self.on_labels: Callable[[], None] | None = None
        """Called when a node came, went, or changed its labels."""
        self._touched: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: Counter[str] = Counter()
        self._not_before: dict[str, float] = {}
        self._tried_harder: dict[str, Gang] = {}
        self._is_trying_harder = False
        self._solving = asyncio.Lock()
        """Held by whoever uses the solver."""

    async def run(self) -> None:
        informers = (self.nodes, self.topologies, self.claims, self.volumes, self.pods, self.zones, self.gangs)
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
        while True:
            began = self.clock.monotonic()
            self._wake.clear()
            await self._decide()
            for key in sorted(self._touched):
                if not self.explainer.holds_back(key):
                    self.teller.tell(key)
            self._touched.clear()
            self._try_harder()
            await self.clock.sleep(min(self.clock.monotonic() - began, BREATH_S))
            await self._wake.wait()
            await asyncio.sleep(0)  # let the events that came together be handled together

    # ── what the watches say ────────────────────────────────────────────────────────────────────────────────────────

    def _node_changed(self, old: Json | None, new: Json | None) -> None:
        if self.on_labels and not (old and new and old["node"].labels == new["node"].labels):
            self.on_labels()
        if self.feed.node(old, new):
            self._wake.set()

    def _zones_changed(self, old: Json | None, new: Json | None) -> None:
        self.feed.zones(old, new)
        self._wake.set()

    def _topology_changed(self, old: Json | None, new: Json | None) -> None:
        if self.feed.topology(old, new):
            self._wake.set()

    def _volume_changed(self, old: Json | None, new: Json | None) -> None:
        is_same = old and new and all(old.get(k) == new.get(k) for k in ("volume", "affinity"))
        if not is_same:
            self.trimmer.has_news = True
            self._wake.set()

    def _look_again(self) -> None:
        """Pods that other objects have a say in: with what they need now."""
        self.trimmer.has_news = False
        for pod in self.pods.items():
            now = self.trimmer.again(pod)
            if now is not None:
                before = {**pod}
                pod.update(now)
                self._pod_changed(before, pod)

    def _gang_changed(self, old: Json | None, new: Json | None) -> None:
        key = view_key(new or old or {})
        if new is None:
            self.teller.forget(key)
            self._failures.pop(key, None)
            self._not_before.pop(key, None)
        if not (old and new and old.get("spec") == new.get("spec") and _initialized(old) == _initialized(new)):
            self.feed.gang(key)
        self._touch(key)

    def _pod_changed(self, old: Json | None, new: Json | None) -> None:
        pod = new or old or {}
        meta = pod["metadata"]
        gang = meta["labels"].get(LABEL_POD_GANG)
        self.returning.see(old, new)
        if new is None:
            self.teller.forget_pod(meta["uid"])
        if gang or pod["scheduler"] in self.names:
            key = f"{meta['namespace']}/{gang or view.NAME_OF_SINGLE.format(meta['name'])}"
            is_same = old and new and all(old[k] == new[k] for k in ("node", "gated", "needs", "priority", "phase"))
            if not is_same or old["metadata"]["deletionTimestamp"] != meta["deletionTimestamp"]:  # type: ignore[index]
                self.feed.gang(key)
            self._touch(key)
        elif self.feed.usage.changed:
            self._wake.set()

    def _touch(self, key: str) -> None:
        """What the gang's status says may have to change."""
        self._touched.add(key)
        self._wake.set()

    # ── decide ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _decide(self) -> None:
        if self.trimmer.has_news:
            self._look_again()
        self.returning.let_go_of_followed(self._touched, self._gang_at)
        async with self._solving:
            self.feed.refresh(self._gang_at)
            self.returning.follow()
            now = self.clock.monotonic()
            due = self.feed.due(lambda key: self._not_before.get(key, 0.0) > now)
            if not due:
                return
            self.metrics["decisions"] += 1
            decision = await self._decided(due, now)
            for key in due:
                self._tried_harder.pop(key, None)
            self._take_over(due, decision)

    async def _decided(self, due: Sequence[str], now: float) -> Decision:
        """Beside the loop when the exact program may be asked: it can take a second, events and bindings go on."""
        starving = self.feed.starving(now)
        if self.recorder is not None:
            seen, wanted = self.feed.snapshot(), self.feed.gangs(due)
            decision = schedule(seen, wanted, self.policy)
            record(self.recorder, seen, wanted, self.policy, decision)
            return decision
        if all(is_simple(self.feed.solver.gangs[key]) for key in due):
            return self.feed.decide(due, starving)
        return await self.aside(lambda: self.feed.decide(due, starving))

    def _gang_at(self, key: str) -> Gang | None:
        namespace, _, name = key.partition("/")
        pod_gang = self.gangs.get(namespace, name)
        if pod_gang is not None:
            usage = self.feed.usage
            gang = view.gang_of(pod_gang, self.pods.get, usage.assumed, self.names, self.returning.leaving.of)
            return self.returning.as_it_waits(gang)
        pod = self.pods.get(namespace, name.removeprefix(view.NAME_OF_SINGLE.format("")))
        is_single = pod and not pod["metadata"]["labels"].get(LABEL_POD_GANG) and pod["scheduler"] in self.names
        if pod is None or not is_single or view.is_over(pod) or pod["metadata"]["deletionTimestamp"]:
            return None
        return view.single(pod, self.feed.usage.assumed, self.names)

    def _take_over(self, keys: Sequence[str], decision: Decision) -> None:
        waited, now = dict(self.feed.waiting_since), self.clock.monotonic()
        returning = set(self.feed.returning)
        self._touched |= self.feed.take_over(keys, decision, now)
        for key in self.returning.follow():
            if leaving := self.returning.pods_before(key):
                self.teller.tell_of_return(key, leaving)
        if returning - self.feed.returning:
            self._wake.set()  # others may have the room that was kept
        for key in keys:
            since = self.feed.waiting_since.get(key)
            if since is not None and key not in waited:
                self._spawn(self._watch_the_wait(key, since))
            elif since is None and now - waited.get(key, now) >= STARVING_S:
                self.feed.all_again()  # room was kept for it
                self._wake.set()
        torn = {a.gang for a in decision.assignments if a.is_minimum and self._waiting_pod(a) is None}
        for assignment in sorted(decision.assignments, key=lambda a: not a.is_minimum):
            pod = self._waiting_pod(assignment)
            self.feed.gang(assignment.gang)
            if pod is None or assignment.gang in torn:
                self.feed.usage.changed.add(assignment.node)  # what was taken for it is given back
            else:
                self.feed.usage.assume(pod, assignment.node)
                self._spawn(self.binder.bind(assignment, pod["metadata"]["uid"]))

    def _waiting_pod(self, a: Assignment) -> Json | None:
        """The pod as it is now, if it can still be bound: it may be gone, or another one, since it was decided on."""
        pod = self.pods.get(a.namespace, a.pod)
        is_waiting = pod is not None and not pod["node"] and not pod["gated"]
        return pod if is_waiting else None

    async def _watch_the_wait(self, key: str, since: float) -> None:
        """When room begins and ceases to be kept for the gang, others are to be decided on anew."""
        for pause_s in cycle((STARVING_S, DRAIN_S)):
            await self.clock.sleep(pause_s)
            if self.feed.waiting_since.get(key) != since:
                return
            if pause_s == DRAIN_S:
                self.feed.all_again()
                self._wake.set()

    def _try_harder(self) -> None:
        """When there is nothing else to do: a gang left undecided, once more with a larger budget."""
        undecided = sorted(
            k for k, refusals in self.feed.refusals.items() if any(not r.proven and not r.pods for r in refusals)
        )
        gangs = self.feed.solver.gangs
        waiting = [k for k in undecided if k in gangs and self._tried_harder.get(k) is not gangs[k]]
        if waiting and not self._is_trying_harder and not self._wake.is_set():
            self._is_trying_harder = True
            self._tried_harder[waiting[0]] = gangs[waiting[0]]
            self._spawn(self._search_longer(waiting[0]))

    async def _search_longer(self, key: str) -> None:
        """A proof replaces the refusal; a place is taken if it is still free when it is found."""
        policy = (self.policy or Policy()).harder()
        seen, wanted = self.feed.snapshot(), self.feed.gangs([key])
        gang = self.feed.solver.gangs[key]
        try:
            found = await self.aside(lambda: schedule(seen, wanted, policy))
        finally:
            self._is_trying_harder = False
        self.metrics["longer_searches"] += 1
        async with self._solving:
            if self.feed.solver.gangs.get(key) is gang and waits(gang):
                decision = self.feed.solver.adopt(gang, found) if found.assignments else found
                if decision is not None:
                    self._take_over([key], decision)
        self._wake.set()

    # ── bind ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _may_bind(self, a: Assignment) -> str:
        """The world may have changed between the decision and its turn."""
        node = self.nodes.get("", a.node)
        if node is None:
            return "the node is gone"
        return "" if node["node"].ready else "the node is not ready any more"

    def _bind_failed(self, a: Assignment, uid: str) -> None:
        """Give the room back and decide on the gang again, with what is bound as anchors; ever later if it goes on."""
        self._failures[a.gang] += 1
        self.feed.usage.forget(uid)
        self.feed.gang(a.gang)
        self.feed.again(a.gang)
        delay = min(BACKOFF_MIN_S * 2 ** min(self._failures[a.gang] - 1, 10), BACKOFF_MAX_S)
        self._not_before[a.gang] = self.clock.monotonic() + delay
        self._touch(a.gang)
        self._spawn(self._later(a.gang, delay))

    async def _later(self, key: str, delay_s: float) -> None:
        await self.clock.sleep(delay_s)
        if self._not_before.get(key, 0.0) <= self.clock.monotonic():
            self._not_before.pop(key, None)
        self._wake.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of the scheduler failed", exc_info=error)


def view_key(obj: Json) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"


def _initialized(pod_gang: Json) -> bool:
    return view.condition(pod_gang, "Initialized").get("status") == "True"
