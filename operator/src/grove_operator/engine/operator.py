"""The one loop: watches fill the cache, changes ask for keys, keys become plans, plans become writes.

    Informer / deliver ──> Cache ──> touched ──> WorkQueue ──> Reconcilers ──> plan ──> Executor ──┐
                             ^                                                                     │
                             └───────────────────── answers to our own writes ────────────────────┘

A status of our own is written only after it has differed for a while (pace.py): a burst of pod events costs one write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator

from grove_operator.api.constants import MANAGED_BY, MANAGED_BY_VALUE, PART_OF
from grove_operator.api.kinds import (
    CLUSTER_TOPOLOGY_BINDING,
    COMPUTE_DOMAIN,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DYNAMO_GRAPH_DEPLOYMENT,
    EVENT,
    HPA,
    INFERENCE_POOL,
    INGRESS,
    KAI_POD_GROUP,
    KAI_TOPOLOGY,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    POD_GANG_SET,
    RESOURCE_CLAIM,
    RESOURCE_CLAIM_TEMPLATE,
    ROLE,
    ROLE_BINDING,
    SCALING_ADAPTER,
    SCALING_GROUP,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Json,
    Kind,
    key_of,
)
from grove_operator.core.objects import is_terminating, label
from grove_operator.core.observed import OWNERSHIP_CONFLICT, Trouble
from grove_operator.core.outcome import EventSpec, Outcome
from grove_operator.core.settings import Settings
from grove_operator.dynamo.settings import DynamoSettings
from grove_operator.engine.cache import Cache
from grove_operator.engine.events import EventSource, news
from grove_operator.engine.executor import Executor, Result
from grove_operator.engine.informer import Informer
from grove_operator.engine.keys import GATHER_S, Key, touched
from grove_operator.engine.measures import Metrics, gang_states
from grove_operator.engine.pace import AT_ONCE, STARTING, HeldStatuses, StatusPace
from grove_operator.engine.plan import Action, Delete, Plan, plan
from grove_operator.engine.ports import ApiError, Clock, KubeApi
from grove_operator.engine.queue import WorkQueue
from grove_operator.engine.reconcilers import Case, Reconcilers
from grove_operator.engine.surroundings import Surroundings
from grove_operator.engine.trimmed import trimmed, trimmed_pod

log = logging.getLogger(__name__)

ROOTS = (POD_CLIQUE_SET, DYNAMO_GRAPH_DEPLOYMENT, CLUSTER_TOPOLOGY_BINDING, POD_GANG_SET)
CHILDREN = (
    SCALING_GROUP,
    POD_CLIQUE,
    POD_GANG,
    POD,
    SERVICE,
    HPA,
    SERVICE_ACCOUNT,
    ROLE,
    ROLE_BINDING,
    SECRET,
    CONTROLLER_REVISION,
    CONFIG_MAP,
    PERSISTENT_VOLUME_CLAIM,
    INGRESS,
    SCALING_ADAPTER,
)
OPTIONAL = (RESOURCE_CLAIM, RESOURCE_CLAIM_TEMPLATE, COMPUTE_DOMAIN, KAI_POD_GROUP, KAI_TOPOLOGY, INFERENCE_POOL)
"""Kinds that not every cluster serves."""
OF_OTHERS = (RESOURCE_CLAIM_TEMPLATE, KAI_TOPOLOGY)
"""Watched whole: also those that are not ours matter."""
PACED = frozenset({"clique", "group"})
"""Levels that come by the thousand; graphs and sets are what people wait for."""
OURS = f"{MANAGED_BY}={MANAGED_BY_VALUE}"


class Operator:
    """Runs in one event loop. With `watch_roots=False` somebody else tells about the roots through `deliver`."""

    def __init__(
        self,
        api: KubeApi,
        clock: Clock,
        *,
        watch_roots: bool = True,
        settings: Settings | None = None,
        dynamo: DynamoSettings | None = None,
        has_graphs: Callable[[], bool] = lambda: True,
        surroundings: Surroundings | None = None,
        writes_in_flight: int = 64,
        workers: int = 32,
    ) -> None:
        self.synced = asyncio.Event()
        self.metrics = Metrics()
        self._api, self._clock, self._workers = api, clock, workers
        self._queue: WorkQueue[Key] = WorkQueue(clock)
        self._troubles: dict[Key, tuple[Trouble, ...]] = {}
        self._held: HeldStatuses[Key] = HeldStatuses(clock)
        self._cache = Cache(self._changed)
        self._events = EventSource(clock)
        self._pace = StatusPace(clock)
        self._executor = Executor(api, self._cache, writes_in_flight)
        self.metrics.writes = self._executor.writes
        settings = settings or Settings()
        self._reconcilers = Reconcilers(
            self._cache,
            clock,
            settings,
            lambda key: self._troubles.get(key, ()),
            dynamo,
            serves=self._serves,
            has_graphs=has_graphs,
            surroundings=surroundings,
        )
        kinds = (*CHILDREN, *_wanted_kinds(settings), *(ROOTS if watch_roots else ()))
        self._informers = [self._informer(kind) for kind in kinds]
        if surroundings is not None:
            self._informers += [self._informer(INFERENCE_POOL), *surroundings.informers]
            surroundings.on_change = self.look_at_graphs_again

    async def run(self) -> None:
        """Runs until cancelled: syncs the caches first, then works."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for informer in self._informers:
                    tasks.create_task(informer.run())
                for informer in self._informers:
                    await informer.synced.wait()
                self.synced.set()
                for _ in range(self._workers):
                    tasks.create_task(self._work())
        finally:
            self._queue.close()

    def look_at_graphs_again(self) -> None:
        """When it may have changed whether this operator reconciles them."""
        for graph in self._cache.all(DYNAMO_GRAPH_DEPLOYMENT):
            self._queue.add(Key("graph", graph["metadata"]["namespace"], graph["metadata"]["name"]), 0.0)

    def deliver(self, kind: Kind, event_type: str | None, body: Json) -> None:
        """News about a root, in this loop's thread; `event_type` None means: it was there when the watch began."""
        obj = {**body, "kind": kind.kind, "apiVersion": kind.api_version}
        if event_type == "DELETED":
            self._cache.remove(key_of(obj), obj["metadata"].get("uid", ""))
        else:
            self._cache.put(obj)

    def measured(self) -> Metrics:
        """The counters with what is only known at the moment: for each scrape, from any thread."""
        self.metrics.queue_depth = len(self._queue)
        self.metrics.gang_states = gang_states(self._cache.all(POD_GANG))
        return self.metrics

    def _informer(self, kind: Kind) -> Informer:
        def on_change(old: Json | None, new: Json | None) -> None:
            if new is not None:
                self._cache.put({**new, "kind": kind.kind, "apiVersion": kind.api_version})
            elif old is not None:
                gone = {**old, "kind": kind.kind}
                self._cache.remove(key_of(gone), gone["metadata"].get("uid", ""))

        selector = "" if kind in ROOTS or kind in OF_OTHERS else OURS
        trim = trimmed_pod if kind is POD else trimmed
        is_optional = kind in OPTIONAL
        return Informer(
            self._api, self._clock, kind, on_change, label_selector=selector, trim=trim, is_optional=is_optional
        )

    def _serves(self, kind: Kind) -> bool:
        return any(informer.kind is kind and informer.is_served for informer in self._informers)

    def _changed(self, old: Json | None, new: Json | None) -> None:
        for key, after_s in touched(self._cache, old, new):
            self._queue.add(key, after_s)
        if new is None and old is not None:
            self._events.forget(old["metadata"].get("uid", ""))

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            self.metrics.reconciles[key.level] += 1
            began = self._clock.monotonic()
            try:
                await self._reconcile(key)
            except Exception:
                self.metrics.failures[key.level] += 1
                log.exception("%s %s/%s could not be reconciled; it is tried again", key.level, key.namespace, key.name)
                self._queue.retry(key)
            finally:
                self._queue.done(key)
                self.metrics.reconciled(key.level, self._clock.monotonic() - began)

    async def _reconcile(self, key: Key) -> None:
        case = self._reconcilers.case(key)
        if case is None:
            self._troubles.pop(key, None)
            self._held.drop(key)
            self._queue.forget(key)
            return
        todo = plan(case.outcome, case.owner, case.existing)
        actions = [*todo.actions, *self._status_if_due(key, todo, case.outcome)]
        results = await self._executor.run(actions, case.owner["metadata"]["uid"]) if actions else []
        await self._take_pods_along(results)
        if any(result.was_gone for result in results):
            await self._executor.look_again(case.owner)
        self._judge(key, case, todo, results)
        await self._tell(case, results)
        if case.outcome.is_urgent and any(result.is_done and result.action is todo.own_status for result in results):
            self._queue.add(key)  # the decision is written: the next step may follow
        if case.outcome.wake_after_s is not None:
            self._queue.add(key, case.outcome.wake_after_s)

    async def _take_pods_along(self, results: Iterable[Result]) -> None:
        """Pods of PodCliques that we deleted: at once, and not when the garbage collector comes to them.

        Until then they would count as Ready parents of what is made anew. What can't be deleted is left to it.
        """
        gone = (r.action for r in results if r.is_done and isinstance(r.action, Delete))
        pods = [
            Delete(key_of(pod), pod["metadata"]["uid"])
            for action in gone
            if action.key.kind == POD_CLIQUE.kind
            for pod in self._cache.owned(action.uid)
            if pod["kind"] == POD.kind and not is_terminating(pod)
        ]
        if pods:
            await self._executor.run([*pods], "")

    def _status_if_due(self, key: Key, todo: Plan, outcome: Outcome) -> Iterable[Action]:
        if todo.own_status is None or outcome.is_urgent:
            self._held.drop(key)
            return (todo.own_status,) if todo.own_status else ()
        status: Json = todo.own_status.body["status"]
        if key.level in PACED:
            wait_s = self._held.wait_s(key, status, STARTING if outcome.is_starting else self._pace.quiet())
        else:
            wait_s = self._held.wait_s(key, status, AT_ONCE)
        if wait_s:
            self._queue.add(key, wait_s)
            return ()
        self._pace.wrote()
        return (todo.own_status,)

    def _judge(self, key: Key, case: Case, todo: Plan, results: list[Result]) -> None:
        """Remember what went wrong for the status, and when to try again: what a change must mend waits for that."""
        troubles = [result.trouble for result in results if result.trouble]
        for foreign in todo.foreign:
            text = f"{foreign} exists and is not controlled by this object; delete or rename it"
            troubles.append(Trouble(OWNERSHIP_CONFLICT, text))
        before = self._troubles.get(key, ())
        shown = (*troubles, *case.outcome.troubles)
        if shown != before:
            self._troubles[key] = shown
            self._queue.add(_shown_on(key, case.owner), GATHER_S)
        if not shown:
            self._troubles.pop(key, None)
        if troubles or any(result.must_retry for result in results):
            self._queue.retry(key, max((result.retry_after_s for result in results), default=0.0))
        else:
            self._queue.forget(key)

    async def _tell(self, case: Case, results: list[Result]) -> None:
        specs: list[EventSpec] = [*case.outcome.events, *news(case.owner, results)]
        for spec in specs:
            body = self._events.manifest(spec)
            if body is None:
                continue
            try:
                self.metrics.writes[("create", EVENT.kind, "")] += 1
                await self._api.create(EVENT, body["metadata"]["namespace"], body)
            except ApiError as error:
                log.info("event %s on %s was not taken: %s", spec.reason, spec.about["metadata"]["name"], error)


def _wanted_kinds(settings: Settings) -> Iterator[Kind]:
    """Optional kinds that the configuration asks for."""
    yield from (RESOURCE_CLAIM, RESOURCE_CLAIM_TEMPLATE)
    if settings.nvlink_enabled:
        yield COMPUTE_DOMAIN
    if "kai-scheduler" in settings.backends:
        yield from (KAI_POD_GROUP, KAI_TOPOLOGY)


def _shown_on(key: Key, owner: Json) -> Key:
    """Whose status tells of this key's troubles."""
    if key.level == "gang":
        return Key("set", key.namespace, label(owner, PART_OF))
    return Key("set", key.namespace, key.name) if key.level in ("replica", "ratio") else key
