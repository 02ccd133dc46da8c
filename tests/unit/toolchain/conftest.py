"""A tool chain in miniature: an empty PATH, an empty cache, and programs that are two-line scripts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MakeProgram = Callable[[Path, str, str], Path]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing on PATH but what a test puts into `tmp_path/bin`."""
    monkeypatch.setenv("GROVE_TOOLS_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.delenv("GROVE_TOOLS_MIRROR", raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    return tmp_path / "cache"


@pytest.fixture
def program() -> MakeProgram:
    """Makes an executable in a folder that says a version."""

    def make(folder: Path, name: str, says: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        path.write_text(f"#!/bin/sh\necho '{says}'\n")
        path.chmod(0o755)
        return path

    return make
