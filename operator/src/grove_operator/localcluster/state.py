"""Where a local cluster keeps its files, and what is known about one from the outside.

```
<home>/clusters/<name>/          home: $GROVE_HOME, else <project root>/.grove, else the user's state folder
    kubeconfig                   admin, with the CA inside
    pki/  etcd/  agent/  logs/   keys and tokens; data; the node agent's files; one log per component
    request.json                 what `grove up` asked for; the supervisor's whole input
    state.json                   what runs; exists only while a supervisor does (or died without cleaning up)
<home>/clusters/<name>.lock      held by whoever starts or stops the cluster
<home>/pulumi/                   Pulumi's file backend
```
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import platformdirs
import psutil

DEFAULT_NAME = "local"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


class LocalClusterError(Exception):
    """The local cluster can't do what was asked; the message names the fact and the remedy."""


def project_root(start: Path | None = None) -> Path | None:
    """The nearest folder with a Pulumi.yaml, from `start` (default: the working directory) upwards."""
    here = (start or Path.cwd()).resolve()
    return next((folder for folder in (here, *here.parents) if (folder / "Pulumi.yaml").is_file()), None)


def project_home() -> Path:
    """The folder of all local state: `GROVE_HOME`, else `.grove` of the project, else the user's state folder."""
    if chosen := os.environ.get("GROVE_HOME"):
        return Path(chosen).resolve()
    root = project_root()
    return root / ".grove" if root else Path(platformdirs.user_state_dir("grove"))


@dataclass(frozen=True)
class ClusterPaths:
    """The files of one cluster. `home` defaults to `project_home()`; raises LocalClusterError for an unusable name."""

    name: str
    root: Path

    @classmethod
    def of(cls, name: str = DEFAULT_NAME, home: Path | None = None) -> ClusterPaths:
        if not _NAME.fullmatch(name):
            raise LocalClusterError(
                f"cluster name {name!r} can't be used; take 1 to 32 lower-case letters, digits and inner dashes"
            )
        return cls(name, (home or project_home()) / "clusters" / name)

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def etcd(self) -> Path:
        return self.root / "etcd"

    @property
    def agent(self) -> Path:
        return self.root / "agent"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def request(self) -> Path:
        return self.root / "request.json"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def lock(self) -> Path:
        return self.root.with_name(f"{self.name}.lock")


@dataclass(frozen=True)
class ProcessId:
    """A process that can't be confused with a later one that was given the same number.

    `started` is its start time in seconds since the epoch; clocks get corrected, so two seconds are tolerated.
    """

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """Raises psutil.NoSuchProcess if there is none."""
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process if it still lives; a zombie doesn't."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) < 2 and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    @property
    def is_alive(self) -> bool:
        return self.process() is not None


@dataclass(frozen=True)
class ComponentState:
    """One child of the supervisor. `detail` says why it isn't healthy; "" when it is."""

    name: str
    id: ProcessId
    healthy: bool
    detail: str = ""


@dataclass(frozen=True)
class ClusterState:
    """What the supervisor last wrote. `phase`: starting, ready, failed or stopping; `nodes`: how many it waits for."""

    name: str
    phase: str
    supervisor: ProcessId
    kubeconfig: str
    apiserver: str
    fleet: str = ""
    nodes: int = 0
    error: str = ""
    components: tuple[ComponentState, ...] = ()

    @property
    def running(self) -> bool:
        """Ready, and every process alive now (asks the operating system, not the network)."""
        alive = self.supervisor.is_alive and all(c.id.is_alive and c.healthy for c in self.components)
        return self.phase == "ready" and alive

    @property
    def pids(self) -> dict[str, int]:
        return {"supervisor": self.supervisor.pid} | {c.name: c.id.pid for c in self.components}


def read_state(name: str = DEFAULT_NAME, home: Path | None = None) -> ClusterState | None:
    """The last written state of a cluster; None if none was started or it was stopped cleanly."""
    return load_state(ClusterPaths.of(name, home).state)


def load_state(path: Path) -> ClusterState | None:
    """None if there is no such file or it isn't one of ours; a half-written file can't occur (see write_json)."""
    try:
        raw = json.loads(path.read_text())
        components = tuple(
            ComponentState(c["name"], ProcessId(**c["id"]), c["healthy"], c["detail"]) for c in raw.pop("components")
        )
        return ClusterState(supervisor=ProcessId(**raw.pop("supervisor")), components=components, **raw)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save_state(path: Path, state: ClusterState) -> None:
    write_json(path, asdict(state))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    write_file(path, json.dumps(value, indent=2) + "\n")


def write_file(path: Path, text: str, mode: int = 0o600) -> None:
    """Replaces the file in one step: a reader sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def exclusive(lock: Path, busy: str | None = None) -> Iterator[None]:
    """Holds a file lock. Waits for another holder, or raises LocalClusterError(`busy`) at once if that is given."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise LocalClusterError(busy) from error
        yield
