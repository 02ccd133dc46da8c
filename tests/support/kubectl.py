"""kubectl as a test calls it: the tool chain's own, with one kubeconfig; a failure shows what it said."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from grove_operator.localcluster.tools import locate


def is_established(crd: Any) -> bool:
    conditions = crd.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


class Kubectl:
    def __init__(self, kubeconfig: Path) -> None:
        self._command = [str(locate("kubectl")), "--kubeconfig", str(kubeconfig)]

    def __call__(self, *args: str, stdin: str | None = None) -> str:
        done = subprocess.run([*self._command, *args], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}"
        return done.stdout

    def until_served(self, crds: int) -> None:
        """Waits until that many CRDs are Established. A failure after a minute says which are not."""
        deadline = time.monotonic() + 60
        while True:
            items = self.get("crd")["items"]
            ready = [o["metadata"]["name"] for o in items if is_established(o)]
            if len(ready) >= crds:
                return
            assert time.monotonic() < deadline, f"not Established: {[o['metadata']['name'] for o in items]} - {ready}"
            time.sleep(0.1)

    def get(self, *args: str) -> Any:
        return json.loads(self("get", *args, "-o", "json"))
