"""Golden what-if stories: what `grove simulate` and `grove explain` print, as a user sees it in a pipe.

Regenerate them with `python -m tests.golden.whatif_story` from the project's root, and read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

from click.testing import CliRunner

from grove_operator.cli.main import cli

ROOT = Path(__file__).parents[2]
FILES = Path(__file__).parent / "whatif"
INPUTS = "tests/golden/whatif/inputs"
THERE = f"--cluster {INPUTS}/cluster.yaml"
STORIES = {
    "quickstart-fits": f"simulate -f examples/manifests/quickstart.yaml {THERE}",
    "quickstart-fits-json": f"simulate -f examples/manifests/quickstart.yaml {THERE} -o json",
    "elastic-and-rigid": f"simulate -f {INPUTS}/elastic.yaml {THERE}",
    "elastic-and-rigid-json": f"simulate -f {INPUTS}/elastic.yaml {THERE} -o json",
    "no-rack-has-room": f"explain podgang served-0 -n ml -f {INPUTS}/served.yaml {THERE}",
    "no-rack-has-room-json": f"explain podgang served-0 -n ml -f {INPUTS}/served.yaml {THERE} -o json",
    "no-host-is-large-enough": f"explain podgang pair-0 -n ml -f {INPUTS}/host-bound.yaml {THERE}",
}


def render(story: str) -> str:
    """The command, what it printed and its exit code."""
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        done = CliRunner().invoke(cli, STORIES[story].split())
    finally:
        os.chdir(before)
    return f"$ grove {STORIES[story]}\n{done.output}exit {done.exit_code}\n"


def main() -> None:
    for story in STORIES:
        (FILES / f"{story}.txt").write_text(render(story))


if __name__ == "__main__":
    main()
