"""`grove replay`: a recorded decision taken again, compared byte for byte."""

from __future__ import annotations

import sys
from typing import TextIO

import click

from grove_operator.cli.simulate import BAD_INPUT
from grove_operator.engine.recording import Recording, RecordingError, replay


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.File("r", encoding="utf-8"), metavar="FILE...")
def command(files: tuple[TextIO, ...]) -> None:
    """Take recorded scheduling decisions again and show what differs.

    The scheduler records its decisions where GROVE_RECORD_DECISIONS names a directory; each file holds all that one
    decision depends on.

    Exit codes: 0 every decision came out byte for byte, 1 one didn't, 2 no recording or wrong usage.

    \b
    Examples:
      GROVE_RECORD_DECISIONS=decisions grove-scheduler --kubeconfig config
      grove replay decisions/decision-*.json
    """
    differs = False
    for file in files:
        try:
            recording = Recording.from_text(file.read())
        except (RecordingError, UnicodeDecodeError) as error:
            click.echo(f"Error: {file.name}: {error}", err=True)
            sys.exit(BAD_INPUT)
        difference = replay(recording)
        differs = differs or bool(difference)
        size = f"nodes: {len(recording.snapshot.nodes)}, gangs: {len(recording.gangs)}"
        click.echo(f"{file.name}: {'differs' if difference else 'identical'} ({size})")
        if difference:
            click.echo(difference)
    sys.exit(1 if differs else 0)
