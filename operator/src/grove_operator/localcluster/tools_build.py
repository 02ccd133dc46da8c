"""Builds a program from its pinned Go module with `go build`. Resumable: Go's build cache keeps what was compiled."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from grove_operator.localcluster.tools_pins import TOOLCHAIN, GoBuild, Program
from grove_operator.localcluster.tools_report import Report


class BuildError(Exception):
    """`go build` isn't possible or failed; the message is fit to be shown."""


def build(program: Program, into: Path, report: Report, toolchain: Path = TOOLCHAIN) -> None:
    """Leaves the program (and its scripts) in the existing folder `into`; raises BuildError."""
    recipe = program.build
    if recipe is None:
        raise BuildError(f"{program.name} has no Go build")
    go = shutil.which("go")
    if go is None:
        raise BuildError("Go isn't installed (no `go` on PATH)")
    module = toolchain / recipe.module
    if not (module / "go.sum").is_file():
        raise BuildError(f"its Go module isn't at {module}; builds need a checkout of the project")
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    with report.step(f"building {program.name} {program.version}", "packages") as step:
        total = len(_run([go, "list", "-deps", recipe.package], module, environment).splitlines())
        command = [go, "build", "-v", "-ldflags", " ".join(recipe.ldflags), "-o", str(into / program.name)]
        with subprocess.Popen(
            [*command, recipe.package],
            cwd=module,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                lines = _follow(process, step.update, total)
            except BaseException:  # Ctrl-C: go's own children end with it
                process.terminate()
                raise
        if process.returncode:
            said = "\n".join(f"    {line}" for line in lines[-12:])
            raise BuildError(f"`go build` of {recipe.package} failed in {module}:\n{said}")
        _copy_scripts(recipe, go, module, environment, into)


def _follow(process: subprocess.Popen[str], update: Callable[[int, int], None], total: int) -> list[str]:
    lines: list[str] = []
    assert process.stderr is not None  # noqa: S101 (it was asked for)
    for line in process.stderr:
        lines.append(line.rstrip())
        update(len(lines), total)
    return lines


def _copy_scripts(recipe: GoBuild, go: str, module: Path, environment: dict[str, str], into: Path) -> None:
    if not recipe.scripts:
        return
    folder = _run([go, "list", "-m", "-f", "{{.Dir}}", recipe.scripts_from], module, environment).strip()
    for script in recipe.scripts:
        source = Path(folder) / script
        if not source.is_file():
            raise BuildError(f"{recipe.scripts_from} has no {script} (looked in {folder})")
        target = into / source.name
        shutil.copyfile(source, target)
        target.chmod(0o755)


def _run(command: list[str], module: Path, environment: dict[str, str]) -> str:
    with tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run(
            command, cwd=module, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            errors.seek(0)
            raise BuildError(f"`{' '.join(command)}` failed in {module}:\n    {errors.read().strip()[-2000:]}")
    return done.stdout
