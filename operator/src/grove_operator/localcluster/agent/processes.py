"""Child processes of real containers: started in their own session and mounts, recorded on disk, ended for sure.

Each start writes `<state dir>/processes/<pid>.json` with the pid and its start time; a later agent ends what a dead one
left behind, and never a stranger that got the same pid.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

LAUNCHER = str(Path(__file__).with_name("enter.py"))
UNSHARE_OPTIONS = ["-rm", "--"]
ORPHAN_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Mount:
    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """One program to run: `directory` is the container's own, for its launch file and mount stages."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    mounts: list[Mount]
    directory: Path
    log: Path


class Processes:
    """Starts and ends processes; `mounts_refused` holds the reason when `unshare` doesn't work here."""

    def __init__(self, state_dir: Path) -> None:
        self._records = state_dir / "processes"
        self._records.mkdir(parents=True, exist_ok=True)
        self._unshare = shutil.which("unshare") or ""
        self.mounts_refused = "" if self._unshare else "there is no unshare on PATH; install util-linux"

    def probe_mounts(self, scratch: Path) -> str:
        """Tries a mount as containers need it; returns and remembers why it is refused, "" if it works."""
        if self.mounts_refused:
            return self.mounts_refused
        source = scratch / "mount-probe"
        source.mkdir(parents=True, exist_ok=True)
        launch = Launch(["true"], {}, "", [Mount(str(source), "/etc/grove-mount-probe/x")], source, source / "log")
        try:
            done = subprocess.run(
                _command(launch, self._unshare), capture_output=True, text=True, timeout=30, env={"PATH": os.defpath}
            )
            self.mounts_refused = "" if done.returncode == 0 else (done.stderr.strip() or f"exit {done.returncode}")
        except (OSError, subprocess.TimeoutExpired) as error:
            self.mounts_refused = str(error)
        return self.mounts_refused

    async def start(self, launch: Launch, label: str) -> asyncio.subprocess.Process:
        """Starts the program with its output appended to `launch.log`; OSError when it can't be started."""
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        command = _command(launch, "" if self.mounts_refused else self._unshare)
        with launch.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=launch.env,
                start_new_session=True,
            )
        with contextlib.suppress(psutil.NoSuchProcess):
            record = {"pid": process.pid, "started": psutil.Process(process.pid).create_time(), "label": label}
            self._record(process.pid).write_text(json.dumps(record))
        return process

    def forget(self, pid: int) -> None:
        """Ends what is left of the process's group and drops its record. The group's leader has been waited for."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        self._record(pid).unlink(missing_ok=True)

    async def end_orphans(self) -> list[str]:
        """Ends the process groups that an earlier agent started; returns their labels."""
        alive = [found for path in self._records.glob("*.json") if (found := _recorded(path))]
        for process, _ in alive:
            signal_group(process.pid, signal.SIGTERM)
        gone = asyncio.to_thread(psutil.wait_procs, [process for process, _ in alive], ORPHAN_GRACE_S)
        for process in (await gone)[1]:
            signal_group(process.pid, signal.SIGKILL)
        for path in self._records.glob("*.json"):
            path.unlink(missing_ok=True)
        return [label for _, label in alive]

    def _record(self, pid: int) -> Path:
        return self._records / f"{pid}.json"


def _recorded(path: Path) -> tuple[psutil.Process, str] | None:
    """The recorded process if that very one still runs."""
    try:
        record = json.loads(path.read_text())
        process = psutil.Process(record["pid"])
        same = abs(process.create_time() - record["started"]) < 0.05
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return (process, record["label"]) if same else None


def signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _command(launch: Launch, unshare: str) -> list[str]:
    """The launcher's command line, its order written to the container's directory; no mounts without `unshare`."""
    launch.directory.mkdir(parents=True, exist_ok=True)
    order = {
        "mounts": [
            {"source": m.source, "target": m.target, "read_only": m.read_only} for m in launch.mounts if unshare
        ],
        "stage": str(launch.directory / "stage"),
        "cwd": launch.cwd,
        "argv": launch.argv,
        "parent": os.getpid(),
    }
    path = launch.directory / "launch.json"
    path.write_text(json.dumps(order))
    isolate = [unshare, *UNSHARE_OPTIONS] if unshare and launch.mounts else []
    return [*isolate, sys.executable, "-I", "-S", LAUNCHER, str(path)]


def remap(text: str, mounts: list[Mount]) -> str:
    """Without mounts: a container's path at the start of a word or after `=` becomes the place on disk."""
    for mount in sorted(mounts, key=lambda m: len(m.target), reverse=True):
        before, found, after = text.partition(mount.target)
        if found and before[-1:] in ("", "=", ":") and after[:1] in ("", "/", ","):
            return before + mount.source + after
    return text
