"""What was proved so far: kept in a file, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROVED = ("operator", "grove_components", "toolchain", "plugin", "examples", "stacks", "tests")
"""Folders whose content a proof speaks of: another content, another proof. Documents and the like don't matter."""


def git(*args: str) -> str:
    return subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def is_changed() -> bool:
    """Whether the work tree has other content in a proved folder than the last commit."""
    return bool(git("status", "--porcelain", "--", *PROVED))


def code_version() -> str:
    """One word for the committed content of all proved folders; `+changes` where the work tree has others."""
    trees = [git("rev-parse", f"HEAD:{folder}")[:8] for folder in PROVED]
    return "-".join(trees) + ("+changes" if is_changed() else "")


@dataclass
class Kept:
    """Figures and seconds of every finished chunk of one issue at one version of the code and one seed."""

    path: Path
    chunks: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, issue: int, seed: int, *, fresh: bool) -> Kept:
        path = ROOT / ".grove" / "prove" / f"issue-{issue}-{seed}-{code_version()}.json"
        if fresh or not path.exists():
            return cls(path)
        return cls(path, json.loads(path.read_text()))

    def add(self, key: str, figures: dict[str, float], seconds: float) -> None:
        self.chunks[key] = {"figures": figures, "seconds": seconds}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.chunks))
        partial.replace(self.path)
