"""The grove command as a user runs it, in a home of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from grove_operator.cli.main import main; main()"]


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Grove:
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        paths = [str(ROOT / "operator" / "src"), str(ROOT), str(ROOT / "toolchain"), os.environ.get("PYTHONPATH", "")]
        return os.environ | {"GROVE_HOME": str(self.home), "PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *args], env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False
        )

    def __call__(self, *args: str) -> str:
        """Standard output; a failure shows what it said."""
        done = self.run(*args)
        assert done.returncode == 0, f"grove {' '.join(args)}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Like a command typed at a terminal: Ctrl-C reaches it even if the tests themselves were started with `&`."""
        return subprocess.Popen(
            [*COMMAND, *args],
            env=self.environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_heed_interrupts,
        )

    def status(self, *args: str) -> Any:
        return json.loads(self("status", "-o", "json", *args))
