"""The environment in which pulumi runs for this project, and which Kubernetes provider it gets.

```
<home>/pulumi/state/      Pulumi's file backend
             /home/       PULUMI_HOME: plugins, workspaces, credentials
             /creates/    the stand-in's record of unfinished creates
             /bin/pulumi  a shim that runs `grove pulumi -- "$@"`, for shells that took `grove env`
```

The official provider is used wherever there is one: on PATH, in our PULUMI_HOME, or in the user's own. Otherwise the
stand-in (toolchain/standin_provider) is started for the time of one command and attached by PULUMI_DEBUG_PROVIDERS.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from grove_operator.localcluster.state import LocalClusterError, project_home, read_state, write_file, write_json

OFFICIAL = "pulumi-resource-kubernetes"
DEFAULT_PASSPHRASE = "grove-local"  # noqa: S105 - the local stack's, printed in the README


class PulumiFolders:
    """Where pulumi keeps things below the project's home. Nothing is made before `create()`."""

    def __init__(self, home: Path | None = None):
        self.root = (home or project_home()) / "pulumi"
        self.state = self.root / "state"
        self.home = self.root / "home"
        self.creates = self.root / "creates"
        self.shims = self.root / "bin"
        self.failed_install = self.root / "official-provider-failed.json"

    def create(self) -> None:
        for folder in (self.state, self.home):
            folder.mkdir(parents=True, exist_ok=True)


def find_official(folders: PulumiFolders, path: str) -> Path | None:
    """The official provider's program on `path`, else the newest in our PULUMI_HOME or the user's own."""
    if found := shutil.which(OFFICIAL, path=path):
        return Path(found)
    for home in (folders.home, Path.home() / ".pulumi"):
        programs = [p for p in home.glob(f"plugins/resource-kubernetes-v*/{OFFICIAL}") if os.access(p, os.X_OK)]
        if programs:
            return max(programs, key=lambda p: p.stat().st_mtime)
    return None


def pulumi_environment(
    tool_folders: Sequence[Path] = (),
    *,
    cluster: str = "local",
    home: Path | None = None,
    environ: Mapping[str, str] | None = None,
    standin_port: int | None = None,
) -> dict[str, str]:
    """The variables to set (and only those) for pulumi to work on this project unattended.

    `tool_folders` hold pulumi and its language host. A passphrase that the user has set stays. KUBECONFIG is the
    running local cluster's, if there is one.
    """
    env = os.environ if environ is None else environ
    folders = PulumiFolders(home)
    official = find_official(folders, env.get("PATH", ""))
    first = [
        Path(sys.executable).parent,
        *tool_folders,
        *([official.parent] if official and standin_port is None else []),
    ]
    entries = [str(folder) for folder in first]
    entries += [p for p in env.get("PATH", "").split(os.pathsep) if p and p not in entries]
    chosen = {
        "PATH": os.pathsep.join(p for p in entries if p != str(folders.shims)),
        "PULUMI_HOME": str(folders.home),
        "PULUMI_BACKEND_URL": folders.state.as_uri(),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    if "PULUMI_CONFIG_PASSPHRASE" not in env and "PULUMI_CONFIG_PASSPHRASE_FILE" not in env:
        chosen["PULUMI_CONFIG_PASSPHRASE"] = DEFAULT_PASSPHRASE
    if standin_port is not None:
        chosen["PULUMI_DEBUG_PROVIDERS"] = f"kubernetes:{standin_port}"
    if official is None or standin_port is not None:
        chosen["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    state = read_state(cluster, home)
    if state is not None and state.running:
        chosen["KUBECONFIG"] = state.kubeconfig
    return chosen


def shell_environment(tool_folders: Sequence[Path] = (), *, cluster: str = "local") -> dict[str, str]:
    """As pulumi_environment(), for a user's shell: a plain `pulumi` there goes through `grove pulumi`, so that the
    stand-in is attached where the official provider is missing. Writes the shim."""
    folders = PulumiFolders()
    folders.create()
    chosen = pulumi_environment(tool_folders, cluster=cluster)
    write_shim(folders, cluster)
    return {**chosen, "PATH": os.pathsep.join([str(folders.shims), chosen["PATH"]])}


def write_shim(folders: PulumiFolders, cluster: str) -> Path:
    grove = f"{shlex.quote(sys.executable)} -c 'from grove_operator.cli.main import main; main()'"
    shim = folders.shims / "pulumi"
    write_file(shim, f'#!/bin/sh\nexec {grove} pulumi --as-is --cluster {shlex.quote(cluster)} -- "$@"\n', 0o755)
    return shim


def provider_version() -> str:
    """The version of the installed Pulumi SDK for Kubernetes: the provider of that version fits it."""
    try:
        return importlib.metadata.version("pulumi-kubernetes")
    except importlib.metadata.PackageNotFoundError as error:
        raise LocalClusterError(
            "the Python package pulumi-kubernetes is not installed; install requirements/components.txt"
        ) from error


def install_official(pulumi: Path, env: Mapping[str, str], folders: PulumiFolders, timeout_s: float) -> str:
    """Lets pulumi download the official provider, for at most `timeout_s`, once per home. Returns "" or what failed."""
    if folders.failed_install.exists():
        return f"an earlier try failed; remove {folders.failed_install} to try again"
    version = provider_version()
    command = [str(pulumi), "plugin", "install", "resource", "kubernetes", f"v{version}", "--non-interactive"]
    allowed = {k: v for k, v in env.items() if k != "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"}
    try:
        done = subprocess.run(
            command,
            env=allowed,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        reason = (
            ""
            if done.returncode == 0
            else ((done.stderr or done.stdout).strip()[-400:] or f"exit code {done.returncode}")
        )
    except subprocess.TimeoutExpired:
        reason = f"no answer within {timeout_s:g} s"
    if reason:
        write_json(folders.failed_install, {"version": version, "reason": reason})
    return reason


def standin_source() -> Path:
    """The folder to put on PYTHONPATH for the stand-in; it exists in a checkout only, on purpose."""
    folder = Path(__file__).resolve().parents[4] / "toolchain"
    if not (folder / "standin_provider" / "__main__.py").is_file():
        raise LocalClusterError(
            f"Pulumi's kubernetes provider ({OFFICIAL}) is missing, and the stand-in for it comes with a checkout of "
            "the project only; install the official one: pulumi plugin install resource kubernetes"
        )
    return folder


@contextlib.contextmanager
def standin(folders: PulumiFolders, env: Mapping[str, str]) -> Iterator[StandinProcess]:
    """A running stand-in; gone when the block ends, and also if this process dies (it watches its stdin)."""
    command = [sys.executable, "-m", "standin_provider", "--port", "0", "--until-stdin-closes"]
    child = subprocess.Popen(
        [*command, "--journal", str(folders.creates)],
        env={**env, "PYTHONPATH": str(standin_source()), "GRPC_VERBOSITY": env.get("GRPC_VERBOSITY", "NONE")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    process = StandinProcess(child)
    try:
        process.read_port()
        yield process
    finally:
        process.stop()


class StandinProcess:
    """`orderly` is cleared when pulumi was killed: then its state may lack objects that exist."""

    def __init__(self, child: subprocess.Popen[str]):
        self._child = child
        self.port = 0
        self.orderly = True

    def read_port(self) -> None:
        line = self._child.stdout.readline().strip() if self._child.stdout else ""
        if not line.isdigit():
            raise LocalClusterError(f"the kubernetes stand-in did not start (it said {line!r}); see its message above")
        self.port = int(line)

    def stop(self) -> None:
        if self._child.poll() is None and self.orderly:
            self._child.terminate()
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                stream.close()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
