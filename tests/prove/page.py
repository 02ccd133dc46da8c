"""docs/proofs.md: one section per issue, rewritten by a complete run and by nothing else."""

from __future__ import annotations

import datetime
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from tests.prove.progress import ROOT, git, is_changed

PAGE = ROOT / "docs" / "proofs.md"
HEAD = """# Proofs

Written by `make prove ISSUE=n`, never by hand: the full counts behind the claims that `make test` samples.
"""


@dataclass(frozen=True)
class Line:
    claim: str
    cases: int
    figures: str
    seconds: float


def section(issue: int, seed: int, lines: list[Line]) -> str:
    commit = git("rev-parse", "--short", "HEAD") + (" with uncommitted changes" if is_changed() else "")
    day = datetime.datetime.now(datetime.UTC).date()
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    rows = [f"| {line.claim} | {line.cases:,} | {line.figures} | {line.seconds:,.0f} s |" for line in lines]
    return "\n".join(
        [
            f"## Issue {issue}",
            "",
            f"Commit {commit}, seed {seed}, {day}, {machine}.",
            "",
            "| claim | cases | figures | time |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def write(issue: int, text: str, page: Path = PAGE) -> None:
    """Puts the section in its place; the others stay as they are."""
    existing = page.read_text() if page.exists() else HEAD
    parts = re.split(r"(?m)^(?=## Issue \d+$)", existing)
    sections = {int(part.split(maxsplit=3)[2]): part for part in parts[1:]}
    sections[issue] = text
    page.write_text("\n".join([HEAD, *(sections[n].rstrip() + "\n" for n in sorted(sections))]))
