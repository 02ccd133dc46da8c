"""Whole lives of workloads under faults hold every invariant, and planted mistakes don't."""

from __future__ import annotations

from pathlib import Path

from grove_operator.sim.rehearsal import Verdict, rehearse
from grove_operator.sim.story import Story
from tests.prove.proof import Figures, Progress, Proof
from tests.prove.take_over import take_overs
from tests.sim.mutants import MUTANTS, caught

ROOT = Path(__file__).parents[2]
STORIES = sorted((ROOT / "examples" / "rehearsals").glob("*.yaml"))
FAILED = ROOT / ".grove" / "rehearsals"
CHUNKS_APART = 1_000_003
SEEDS_PER_MUTANT = 25


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


def proofs() -> list[Proof]:
    return [
        Proof("rehearsals", "1,000 seeds of mixed stories under faults hold every invariant", lives, 1000, 25, 2),
        Proof(
            "take-overs", "workloads of Grove's own operator are taken over with every object", take_overs, 1000, 50, 2
        ),
        Proof("mutants", "every planted mistake is caught by some seed", mutants, len(MUTANTS), 3, 2),
    ]
