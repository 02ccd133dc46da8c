"""Older kube-apiservers, built once from their pinned Go modules in `toolchain/` and kept beside the other programs."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from grove_operator.localcluster.state import exclusive
from grove_operator.localcluster.tools import cache_dir
from grove_operator.localcluster.tools_build import build
from grove_operator.localcluster.tools_pins import PROGRAMS, kubernetes_build
from grove_operator.localcluster.tools_report import PlainReport

VERSIONS = ("1.32.13", "1.34.4")


def older_apiserver(version: str) -> Path:
    """The program of that version; building it takes minutes and happens once. Raises BuildError."""
    folder = cache_dir() / "kube-apiserver" / version
    program = folder / "kube-apiserver"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(cache_dir() / f"kube-apiserver-{version}.lock"):
        if not program.is_file():
            minor = ".".join(version.split(".")[:2])
            recipe = kubernetes_build("kube-apiserver", version, f"kubernetes-{minor}")
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as temporary:
                made = Path(temporary) / version
                made.mkdir()
                build(replace(PROGRAMS["kube-apiserver"], version=version, build=recipe), made, PlainReport())
                made.rename(folder)
    return program
