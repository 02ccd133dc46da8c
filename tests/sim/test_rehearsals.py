"""Stories under faults hold every invariant; the same seed is the same story, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from grove_operator.cli.main import cli
from grove_operator.sim.rehearsal import rehearse
from grove_operator.sim.story import Story, StoryError
from tests.sim.mutants import MUTANTS, Mutant, caught

STORIES = sorted((Path(__file__).parents[2] / "examples" / "rehearsals").glob("*.yaml"))
OFTEN_CAUGHT = ("ready-pods-all-at-once", "away-not-counted", "no-turns", "stale-not-seen", "gates-stay")


@pytest.mark.parametrize("path", STORIES, ids=lambda p: p.stem)
@pytest.mark.parametrize("seed", range(2))
def test_every_invariant_holds(path: Path, seed: int) -> None:
    verdict = rehearse(Story.read(path), seed)
    assert verdict.violations == [], f"grove rehearse {path.name} --seed {seed} --show all"
    assert verdict.steps > 10
    assert verdict.virtual_s > 420


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_story() -> None:
    story = Story.read(STORIES[0])
    first, again, other = (rehearse(story, seed).trace.text() for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_rehearse_writes_a_trace_and_replays_it_byte_for_byte(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    story = str(STORIES[0])
    result = CliRunner().invoke(cli, ["rehearse", story, "--seed", "3", "--trace", str(trace)])
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    assert {"user", "operator", "scheduler", "nodes", "story"} <= {line["who"] for line in lines}
    again = CliRunner().invoke(cli, ["rehearse", story, "--seed", "3", "--replay", str(trace), "--show", "steps"])
    assert again.exit_code == 0
    assert "the same, byte for byte" in again.output
    differs = CliRunner().invoke(cli, ["rehearse", story, "--seed", "4", "--replay", str(trace)])
    assert differs.exit_code == 1
    assert "differs" in differs.output


def test_a_story_that_cannot_be_played_says_why(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("workloads: [{kind: Pod}]\n")
    result = CliRunner().invoke(cli, ["rehearse", str(bad)])
    assert result.exit_code == 2
    assert "workloads are PodCliqueSets, not 'Pod'" in result.output
    with pytest.raises(StoryError, match="unknown fields wrokloads"):
        Story.of({"workloads": [{}], "wrokloads": []})


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.name in OFTEN_CAUGHT], ids=lambda m: m.name)
def test_a_planted_mistake_is_caught(mutant: Mutant) -> None:
    assert caught(mutant, seeds=range(2)), f"{mutant.name} lives: {mutant.what}"
