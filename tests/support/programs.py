"""A small Pulumi program in a folder of its own, run by `grove pulumi` against a control plane."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from grove_operator.localcluster.controlplane_bare import BareControlPlane


class Program:
    """`printed` is all that its commands said, for searches; `path` may be changed between two of them."""

    def __init__(self, folder: Path, cluster: BareControlPlane, text: str, project: str):
        self.folder = folder
        self.printed = ""
        self.path = os.environ["PATH"]
        self._environment = os.environ | {"GROVE_HOME": str(folder / "home"), "KUBECONFIG": str(cluster.kubeconfig)}
        (folder / "Pulumi.yaml").write_text(project)
        self.write(text)

    def write(self, text: str) -> None:
        """The program from now on."""
        (self.folder / "__main__.py").write_text(text)

    def pulumi(self, *args: str, code: int = 0) -> str:
        """Both outputs of the command, which has to end with `code`."""
        entry = "from grove_operator.cli.main import main; main()"
        command = [sys.executable, "-c", entry, "pulumi", "--stack", "test", "--", *args]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self._environment, "PATH": self.path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == code, printed
        self.printed += printed
        return printed

    def exported(self) -> str:
        return self.pulumi("stack", "export")

    def is_silent_about(self, *texts: str) -> bool:
        """Whether no command printed any of them and no file of the program, its state and its logs holds one."""
        files = (path.read_text(errors="replace") for path in self.folder.rglob("*") if path.is_file())
        return not any(text in said for said in (self.printed, *files) for text in texts)
