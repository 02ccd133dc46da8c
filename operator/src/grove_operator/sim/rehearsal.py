"""Plays a story with a seed: production operator and scheduler, simulated everything else, independent judges.

apply ── script and drawn steps, the world as bad as the story says ── calm ── at rest? ── judged once more
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field

from grove_operator.api.kinds import EVENT, POD, POD_CLIQUE_SET, Json
from grove_operator.engine.ports import ApiError
from grove_operator.sim.cluster import SimCluster
from grove_operator.sim.deeds import Deeds
from grove_operator.sim.invariants.breaches import BreachesEndInTime
from grove_operator.sim.invariants.budgets import GroupsKeepTheirBudget, UpdatesKeepTheirBudget
from grove_operator.sim.invariants.history import RevisionsTellTheHistory
from grove_operator.sim.invariants.ownership import (
    HolesAreFilled,
    NothingIsLeftOver,
    OnePodPerIndex,
    OnlyOwnThingsAreDeleted,
    ParentsAreReadyFirst,
    WantedThingsAreKept,
)
from grove_operator.sim.invariants.places import (
    EveryPodIsInItsGang,
    GatesOpenInOrder,
    NoGangIsPartlyBound,
    NoNodeIsOverfull,
    RequiredDomainsHold,
)
from grove_operator.sim.invariants.ratios import CoherentPartsKeepStep
from grove_operator.sim.invariants.rooms import RoomStaysWithItsSet
from grove_operator.sim.invariants.surges import SurgesComeAndGo, SurgesComeFirst
from grove_operator.sim.invariants.witness import Invariant, Witness
from grove_operator.sim.story import Step, Story
from grove_operator.sim.trace import Trace

QUIET_SHARE = 0.3
COMES_TO_REST_S = 900.0
AT_REST_S = 60.0


def all_invariants() -> list[Invariant]:
    return [
        NoNodeIsOverfull(),
        NoGangIsPartlyBound(),
        RequiredDomainsHold(),
        RoomStaysWithItsSet(),
        EveryPodIsInItsGang(),
        GatesOpenInOrder(),
        HolesAreFilled(),
        OnePodPerIndex(),
        OnlyOwnThingsAreDeleted(),
        WantedThingsAreKept(),
        NothingIsLeftOver(),
        ParentsAreReadyFirst(),
        BreachesEndInTime(),
        UpdatesKeepTheirBudget(),
        GroupsKeepTheirBudget(),
        CoherentPartsKeepStep(),
        SurgesComeAndGo(),
        SurgesComeFirst(),
        RevisionsTellTheHistory(),
    ]


@dataclass
class Verdict:
    """`violations` empty: everything held. `virtual_s` is the time played."""

    story: str
    seed: int
    trace: Trace
    violations: list[str] = field(default_factory=list)
    virtual_s: float = 0.0
    steps: int = 0
    writes: int = 0

    @property
    def holds(self) -> bool:
        return not self.violations


def rehearse(story: Story, seed: int) -> Verdict:
    """Plays the story to its end, or to the first violation, in an event loop of its own.

    What the processes log as an error is one too: they get over faults of their own and nobody would see them.
    """
    logger, errors = logging.getLogger("grove_operator"), _Errors(logging.ERROR)
    before = logger.level, logger.propagate
    logger.addHandler(errors)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        verdict = asyncio.run(_Rehearsal(story, seed).play())
    finally:
        logger.removeHandler(errors)
        logger.setLevel(before[0])
        logger.propagate = before[1]
    verdict.violations += errors.found
    return verdict


class _Errors(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        why = record.exc_info[1] if record.exc_info else None
        self.found.append(f"NoErrors: {record.name}: {record.getMessage()}" + (f": {why!r}" if why else ""))


class _Rehearsal:
    def __init__(self, story: Story, seed: int) -> None:
        self._story = story
        self._cluster = SimCluster(seed, story.fleet, story.start_s, story.end_s, story.gc_s)
        self._deeds = Deeds(self._cluster, random.Random(seed ^ 0x5EED))  # noqa: S311 - seeds replay
        self._draw = random.Random(seed ^ 0xD4A3)  # noqa: S311
        self._witness = Witness(all_invariants())
        self._verdict = Verdict(story.name, seed, Trace())
        self._cluster.api.on_change(self._changed)
        self._cluster.on_fault = lambda text: self._note("fate", "kill", text)

    async def play(self) -> Verdict:
        cluster, verdict = self._cluster, self._verdict
        await cluster.start()
        try:
            for workload in self._story.workloads:
                await cluster.api.create(POD_CLIQUE_SET, workload["metadata"]["namespace"], workload)
            await self._stir()
            if verdict.holds:
                await self._come_to_rest()
        finally:
            verdict.virtual_s = cluster.clock.monotonic()
            verdict.writes = sum(w.kind != EVENT.kind for w in cluster.api.writes)
            verdict.violations += self._witness.violations
            await cluster.stop()
        return verdict

    def _changed(self, actor: str, old: Json | None, new: Json | None) -> None:
        now_s = self._cluster.clock.monotonic()
        self._verdict.trace.change(now_s, actor, old, new)
        self._witness.saw(now_s, actor, old, new)

    def _note(self, who: str, did: str, what: str) -> None:
        self._verdict.trace.note(self._cluster.clock.monotonic(), who, did, what)

    async def _stir(self) -> None:
        end_s = self._story.minutes * 60 * (1 - QUIET_SHARE)
        steps = sorted([*self._story.script, *self._drawn(end_s)], key=lambda step: step.at)
        for step in steps:
            await self._until(step.at)
            if self._witness.violations:
                return
            await self._do(step)
        await self._until(end_s)

    def _drawn(self, end_s: float) -> list[Step]:
        names, weights = list(self._story.chances), list(self._story.chances.values())
        at, found = 0.0, []
        while names:
            at += self._draw.uniform(0.2, 1.8) * self._story.every_s
            if at >= end_s:
                break
            found.append(Step(at, self._draw.choices(names, weights)[0]))
        return found

    async def _do(self, step: Step) -> None:
        try:
            done = await self._deeds.by_name[step.do](step.of, step.to)
        except ApiError as error:
            done = f"refused: {error}"
        if done:
            self._verdict.steps += 1
            self._note("story", step.do, done)

    async def _until(self, at_s: float) -> None:
        """Second by second, as long as nothing is wrong."""
        clock = self._cluster.clock
        while clock.monotonic() < at_s and not self._witness.violations:
            await clock.advance(min(1.0, at_s - clock.monotonic()))
            self._witness.looked(clock.monotonic())
            self._cluster.check_alive()

    async def _come_to_rest(self) -> None:
        """Nothing is done to it any more: it must get there, and then write nothing."""
        clock, verdict = self._cluster.clock, self._verdict
        await self._deeds.calm()
        self._note("story", "calm", "everything is mended")
        started = clock.monotonic()
        while not self._is_whole() and clock.monotonic() - started < COMES_TO_REST_S:
            await self._until(clock.monotonic() + 1)
            if self._witness.violations:
                return
        if not self._is_whole():
            lacks = self._lacks()
            verdict.violations.append(f"Liveness: not whole {COMES_TO_REST_S:g} s after all was mended: {lacks}")
            return
        await self._until(clock.monotonic() + 90)  # the longest wait between two attempts is 60 s
        before = len(self._writes())
        await self._until(clock.monotonic() + AT_REST_S)
        if late := self._writes()[before:]:
            verdict.violations.append(f"ZeroWritesAtRest: {len(late)} writes, the first: {late[0]}")
        self._witness.at_rest(clock.monotonic())

    def _writes(self) -> list[str]:
        found = (w for w in self._cluster.api.writes if w.user in ("operator", "scheduler"))
        return [f"{w.user} {w.verb} {w.kind}/{w.subresource} {w.name}" for w in found]

    def _is_whole(self) -> bool:
        return not self._lacks()

    def _lacks(self) -> str:
        for pcs in self._cluster.api.objects(POD_CLIQUE_SET):
            status, replicas = pcs.get("status") or {}, pcs["spec"]["replicas"]
            for name in ("availableReplicas", "updatedReplicas"):
                if status.get(name, 0) != replicas:
                    return f"{pcs['metadata']['name']}: {name} {status.get(name, 0)} of {replicas}"
            progress = status.get("updateProgress")
            if progress and not progress.get("updateEndedAt"):
                return f"{pcs['metadata']['name']}: the update has not ended"
        for pod in self._cluster.api.objects(POD):
            if "deletionTimestamp" in pod["metadata"] or pod["status"].get("phase") != "Running":
                return f"pod {pod['metadata']['name']}: {pod['status'].get('phase')}"
        return ""
