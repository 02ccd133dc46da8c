"""Runs inside a container's own mount namespace: makes its mounts, then becomes the container's program.

Started as `unshare -rm -- PYTHON -I -S enter.py SPEC.json`, or without unshare when mounts are impossible. It imports
only the standard library. Exit code 125: a mount failed; 126/127: the program can't be run or found.

A mount point that doesn't exist must not be made on the host. Its nearest existing directory is mirrored instead:

    /etc  ──becomes──>  tmpfs on /etc: every entry of the old /etc bound in place, plus the new directories
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from typing import Any

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC = 1, 32, 4096, 16384
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    if LIBC.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), f"mount of {source} on {target}")


def mirror(directory: str, stage: str) -> None:
    """Puts a writable tmpfs with the same entries over `directory`."""
    os.makedirs(stage, exist_ok=True)
    mount("tmpfs", stage, "tmpfs", 0, "mode=0755")
    for entry in os.scandir(directory):
        target = os.path.join(stage, entry.name)
        with contextlib.suppress(OSError):  # an entry that may not be bound is left empty
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), target)
                continue
            make_point(target, entry.is_dir())
            mount(entry.path, target, "", MS_BIND | MS_REC)
    if directory == "/":  # a mount over the root isn't seen by those who stand on it
        os.chroot(stage)
        os.chdir("/")
    else:
        mount(stage, directory, "", MS_BIND | MS_REC)


def make_point(path: str, is_directory: bool) -> None:
    if is_directory:
        os.makedirs(path, exist_ok=True)
    elif not os.path.exists(path):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


class Mounts:
    """Places of the new namespace that may get new files without leaving a trace on the host."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._mirrors: set[int] = set()
        self._targets: list[str] = []

    def _is_ours(self, directory: str) -> bool:
        inside = any(directory == t or directory.startswith(t + "/") for t in self._targets)
        return inside or os.stat(directory).st_dev in self._mirrors

    def bind(self, source: str, target: str, read_only: bool) -> None:
        """Binds an opened source, so that an earlier mount can't have hidden it."""
        is_directory = os.path.isdir(source)
        target = os.path.realpath(target)
        if not os.path.exists(target):
            parent = os.path.dirname(target)
            while not os.path.exists(parent):
                parent = os.path.dirname(parent)
            if not self._is_ours(parent):
                mirror(parent, os.path.join(self._stage, str(len(self._targets))))
                self._mirrors.add(os.stat(parent).st_dev)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            make_point(target, is_directory)
        mount(source, target, "", MS_BIND | MS_REC)
        self._targets.append(target)
        if read_only:
            with contextlib.suppress(OSError):
                mount("", target, "", MS_BIND | MS_REMOUNT | MS_RDONLY)


def main(path: str) -> None:
    with open(path) as file:
        spec: dict[str, Any] = json.load(file)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # an agent that is killed takes its containers along
    if os.getppid() != spec["parent"]:
        sys.exit(125)
    try:
        opened = [os.open(m["source"], os.O_PATH) for m in spec["mounts"]]
        mounts = Mounts(spec["stage"])
        for handle, wanted in zip(opened, spec["mounts"], strict=True):
            mounts.bind(f"/proc/self/fd/{handle}", wanted["target"], wanted["read_only"])
        for handle in opened:
            os.close(handle)
    except OSError as error:
        sys.stderr.write(f"node agent: {error}\n")
        sys.exit(125)
    if spec["cwd"] and os.path.isdir(spec["cwd"]):
        os.chdir(spec["cwd"])
    try:
        os.execvp(spec["argv"][0], spec["argv"])  # noqa: S606 - this is what the file is for
    except OSError as error:
        sys.stderr.write(f"node agent: exec of {spec['argv'][0]}: {error.strerror}\n")
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


if __name__ == "__main__":
    main(sys.argv[1])
