"""Whole lives of workloads under faults hold every invariant, planted mistakes don't, and take-overs keep every pod."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from grove_operator.sim.rehearsal import Verdict, rehearse
from grove_operator.sim.story import Story
from tests.prove.proof import Figures, Progress, Proof, merged
from tests.prove.take_over import take_overs
from tests.prove.upgrade import OLDER, upgrades
from tests.sim.mutants import MUTANTS, caught
from tests.support.killable import OPERATOR, QUICK_LEASE, SCHEDULER, Killable, killable_cluster
from tests.support.kills import disturbed, undisturbed
from tests.support.outages import OUTAGES, recovery_s
from tests.support.upgrades import has_commit, upgraded_from

ROOT = Path(__file__).parents[2]
STORIES = sorted((ROOT / "examples" / "rehearsals").glob("*.yaml"))
FAILED = ROOT / ".grove" / "rehearsals"
CHUNKS_APART = 1_000_003
SEEDS_PER_MUTANT = 25
KILLS_PER_LIFE = 5
RECOVERED_WITHIN_S = 30.0


def lives(seed: int, count: int, progress: Progress) -> Figures:
    """Each seed plays one story of at least nine virtual minutes; a broken one is stored with its trace."""
    virtual_s = steps = writes = 0.0
    for number in range(seed, seed + count):
        path = STORIES[number % len(STORIES)]
        verdict = rehearse(Story.read(path), number)
        assert verdict.holds, f"{verdict.violations[0]}; {store(verdict, path)}"
        virtual_s, steps, writes = virtual_s + verdict.virtual_s, steps + verdict.steps, writes + verdict.writes
        progress(1)
    return {"seeds": count, "virtual_hours": virtual_s / 3600, "steps": steps, "writes": writes}


def store(verdict: Verdict, story: Path) -> str:
    """Story and trace of a broken rehearsal; the answer tells how to play it again."""
    FAILED.mkdir(parents=True, exist_ok=True)
    name = FAILED / f"{verdict.story}-{verdict.seed}"
    name.with_suffix(".yaml").write_text(story.read_text())
    name.with_suffix(".jsonl").write_text(verdict.trace.text())
    return f"grove rehearse {name}.yaml --seed {verdict.seed} --replay {name}.jsonl"


def mutants(seed: int, count: int, progress: Progress) -> Figures:
    """Case i plants mutant i, and some seed must tell."""
    first = seed % CHUNKS_APART
    for mutant in MUTANTS[first : first + count]:
        found = caught(mutant, range(SEEDS_PER_MUTANT))
        assert found, f"mutant {mutant.name} lives ({mutant.what}) after {SEEDS_PER_MUTANT} seeds of each story"
        progress(1)
    return {"mutants_caught": count}


def kills(seed: int, count: int, progress: Progress) -> Figures:
    """Five of them, one in each phase, disturb a life; another life on the same cluster tells how it should end."""
    told: list[str] = []

    async def work(cluster: Killable) -> None:
        model = await undisturbed(cluster, "undisturbed")
        for number in range(count // KILLS_PER_LIFE):
            told.extend(await disturbed(cluster, f"disturbed-{number}", model, seed + number))
            progress(KILLS_PER_LIFE)

    _on_a_cluster(work, QUICK_LEASE)
    of_both = sum(OPERATOR in kill and SCHEDULER in kill for kill in told)
    operators = sum(OPERATOR in kill for kill in told) - of_both
    return {"moments": len(told), "operator": operators, "scheduler": len(told) - operators - of_both, "both": of_both}


def outages(seed: int, count: int, progress: Progress) -> Figures:
    """Each time something else is away, for 1 to 20 s, with the durations of leader election that users have."""
    dice, figures = random.Random(seed), {"outages": float(count)}

    async def work(cluster: Killable) -> None:
        for number in range(count):
            what, away_s = OUTAGES[number % len(OUTAGES)], dice.uniform(1, 20)
            took_s = await recovery_s(cluster, f"outage-{number}", what, away_s)
            assert took_s <= RECOVERED_WITHIN_S, f"{what} away for {away_s:.1f} s: {took_s:.1f} s until all was well"
            name = f"max_s_after_{what}"
            figures[name] = max(figures.get(name, 0.0), took_s)
            progress(1)

    _on_a_cluster(work, {})
    return figures


def running_upgrades(seed: int, count: int, progress: Progress) -> Figures:
    """Case i takes over from older commit i; without its history there is nothing to take over from."""
    first, parts = seed % CHUNKS_APART, []
    for commit in OLDER[first : first + count]:
        if not has_commit(commit):
            parts.append({"skipped_without_git_history": 1.0})
            continue
        with tempfile.TemporaryDirectory(prefix="grove-prove-") as folder:
            parts.append(upgraded_from(commit, Path(folder)))
        progress(1)
    return merged(parts)


def _on_a_cluster(work: Callable[[Killable], Awaitable[None]], lease: Mapping[str, str]) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="grove-prove-") as folder,
        killable_cluster(Path(folder), lease) as cluster,
    ):
        asyncio.run(work(cluster))


def proofs() -> list[Proof]:
    killed = (
        "SIGKILL to operator and scheduler at random moments of create, scale, update, gang termination and deletion "
        "of a 100-pod workload: each phase ends as undisturbed; no pod is bound twice, doubled or orphaned "
        "(real API server)"
    )
    away = (
        f"etcd or API server killed and started again, webhooks away, each for 1 to 20 s: all is well within "
        f"{RECOVERED_WITHIN_S:g} s of their return, no pod is replaced (real API server)"
    )
    upgraded = (
        f"An older operator and scheduler ({', '.join(OLDER)}) run the golden stories, then CRDs and processes become "
        "ours: no pod and no other object is replaced, no update begins (real API server)"
    )
    return [
        Proof("rehearsals", "1,000 seeds of mixed stories under faults hold every invariant", lives, 1000, 25, 2),
        Proof(
            "take-overs", "workloads of Grove's own operator are taken over with every object", take_overs, 1000, 50, 2
        ),
        Proof("upgrades", "an upgrade from older commits replaces nothing of 18 stories", upgrades, len(OLDER), 1),
        Proof("mutants", "every planted mistake is caught by some seed", mutants, len(MUTANTS), 3, 2),
        Proof("kills", killed, kills, 50, 25),
        Proof("outages", away, outages, 12, 6),
        Proof("running-upgrades", upgraded, running_upgrades, len(OLDER), 1),
    ]
