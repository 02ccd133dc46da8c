"""`grove rehearse`: play a story of changes and failures on a simulated cluster, and judge what the operator did."""

from __future__ import annotations

import sys
from pathlib import Path

import click

BAD_INPUT = 2


@click.command()
@click.argument("story", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="STORY.yaml")
@click.option("--seed", type=int, default=0, show_default=True, help="Which of the possible courses of the story.")
@click.option("--seeds", type=int, default=1, show_default=True, help="How many seeds, from --seed on.")
@click.option("--trace", type=click.Path(path_type=Path), help="Write what happened, as JSON lines.")
@click.option("--show", type=click.Choice(["steps", "all"]), help="Print the timeline: what was done, or every write.")
@click.option("--replay", type=click.Path(exists=True, path_type=Path), help="Compare with this trace, byte for byte.")
def command(story: Path, seed: int, seeds: int, trace: Path | None, show: str | None, replay: Path | None) -> None:
    """Play STORY with the production operator and scheduler on a simulated API server, clock and fleet.

    The seed decides what is done when, what fails, and in which way; the same seed gives the same trace. Independent
    invariants judge every change: capacity, gangs, start order, budgets of updates, breaches, ownership, rest.

    Exit codes: 0 every invariant held (and the trace is the same), 1 one broke (or it differs), 2 a story that can't
    be played.

    \b
    Examples:
      grove rehearse examples/rehearsals/disaggregated.yaml --seed 7 --show steps
      grove rehearse examples/rehearsals/disaggregated.yaml --seeds 100
      grove rehearse story.yaml --seed 7 --trace failed.jsonl
      grove rehearse story.yaml --seed 7 --replay failed.jsonl
    """
    from grove_operator.sim.rehearsal import rehearse
    from grove_operator.sim.story import Story, StoryError
    from grove_operator.sim.trace import render

    try:
        played = Story.read(story)
    except StoryError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(BAD_INPUT)
    failed = False
    for number in range(seed, seed + seeds):
        verdict = rehearse(played, number)
        failed = failed or not verdict.holds
        if trace:
            trace.write_text(verdict.trace.text())
        if show:
            click.echo(render(verdict.trace.entries, writes=show == "all"))
        click.echo(
            f"{verdict.story} seed {number}: {'every invariant held' if verdict.holds else 'BROKEN'}; "
            f"{verdict.steps} steps, {verdict.writes} writes in {verdict.virtual_s:.0f} virtual s, "
            f"trace {verdict.trace.digest()}"
        )
        for violation in verdict.violations:
            click.echo(f"  {violation}")
        if replay:
            same = replay.read_text() == verdict.trace.text()
            failed = failed or not same
            click.echo(f"  {replay}: {'the same, byte for byte' if same else 'differs'}")
    sys.exit(1 if failed else 0)
