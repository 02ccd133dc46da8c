"""Dynamo's planner for the local cluster: what it imports beside the runtime's own packages, about 0.9 GB.

    <cache>/dynamo/<version>/planner/...    found by `python3 -m dynamo.planner` in containers of Dynamo's images

The planner is the one of the `ai-dynamo` wheel. Its performance model, `aisimulate-core`, is on no package index; two
classes that raise stand in for it, which is enough for every optimization target but `sla`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from grove_operator.localcluster import dynamo_runtime
from grove_operator.localcluster.dynamo_runtime import RuntimeMissing, last_line, run
from grove_operator.localcluster.state import exclusive, project_root
from grove_operator.localcluster.tools import cache_dir
from grove_operator.localcluster.tools_report import Report, default_report

NAME = "dynamo-planner"
MARK = "installed"
STAND_IN = '''"""Stands in for NVIDIA's aisimulate-core, which no index has. Only the target `sla` would need it."""


class _Absent:
    def __init__(self, *arguments, **named):
        raise RuntimeError("aisimulate-core is not installed; choose another optimization_target than sla")

    normalize_config = staticmethod(__init__)


class RustForwardPassPerfModel(_Absent):
    pass


class ForwardPassPerfModelConfig(_Absent):
    pass
'''


def planner_dir() -> Path:
    return dynamo_runtime.runtime_dir() / "planner"


def is_installed() -> bool:
    return (planner_dir() / MARK).is_file()


def install(report: Report | None = None) -> Path:
    """The folder, after installing the runtime and it if need be. Raises RuntimeMissing."""
    report = report or default_report()
    runtime, final = dynamo_runtime.install(report), planner_dir()
    with exclusive(cache_dir() / f"{NAME}.lock"):
        if is_installed():
            return final
        root = project_root(Path(__file__).parent)
        if root is None:
            raise RuntimeMissing(
                f"{NAME}: requirements/dynamo-planner.txt is part of a checkout of the project; use one"
            )
        report.say(f"{NAME}: installing what it imports into {final}")
        shutil.rmtree(final, ignore_errors=True)
        try:
            _fill(runtime, final, root / "requirements" / "dynamo-planner.txt")
        except (OSError, subprocess.SubprocessError) as error:
            shutil.rmtree(final, ignore_errors=True)
            said = getattr(error, "stderr", "") or str(error)
            raise RuntimeMissing(f"{NAME}: its wheels can't be installed: {last_line(said)}") from error
    return final


def _fill(runtime: Path, folder: Path, requirements: Path) -> None:
    pip = (str(runtime / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--no-deps", "--require-hashes", "--only-binary=:all:", "--target", str(folder), "-r", str(requirements))
    package = folder / "aisimulate_core"
    (package / "sdk").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "_native.py").write_text(STAND_IN)
    (package / "sdk" / "__init__.py").write_text(
        "from aisimulate_core._native import ForwardPassPerfModelConfig, RustForwardPassPerfModel  # noqa: F401\n"
    )
    (folder / MARK).write_text("")
