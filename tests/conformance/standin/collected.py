"""The bare control plane with the garbage collector beside it: foreground deletion never ends without."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grove_operator.localcluster.tools import locate

CONTROLLERS = "garbage-collector-controller,namespace-controller"


@contextmanager
def garbage_collector(kubeconfig: Path, log: Path) -> Iterator[None]:
    program = locate("kube-controller-manager")
    arguments = ["--kubeconfig", str(kubeconfig), f"--controllers={CONTROLLERS}", "--leader-elect=false"]
    with log.open("w") as output:
        child = subprocess.Popen([str(program), *arguments, "--secure-port=0"], stdout=output, stderr=output)
        try:
            yield
        finally:
            child.terminate()
            child.wait()
