"""kubectl as a test calls it: the tool chain's own, with one kubeconfig; a failure shows what it said."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from grove_operator.localcluster.tools import locate


class Kubectl:
    def __init__(self, kubeconfig: Path) -> None:
        self._command = [str(locate("kubectl")), "--kubeconfig", str(kubeconfig)]

    def __call__(self, *args: str, stdin: str | None = None) -> str:
        done = subprocess.run([*self._command, *args], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}"
        return done.stdout

    def get(self, *args: str) -> Any:
        return json.loads(self("get", *args, "-o", "json"))
