"""`grove pulumi -- ARGS`: the real pulumi with this project's state, tools, cluster and provider.

Exit code: pulumi's own (255 when it failed or was interrupted), 128 + signal if it was killed, 1 if it could not start.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

import click

from grove_operator.localcluster.pulumi_env import (
    PulumiFolders,
    find_official,
    install_official,
    pulumi_environment,
    standin,
)
from grove_operator.localcluster.state import DEFAULT_NAME, LocalClusterError

_NEED_A_PROVIDER = {"up", "update", "preview", "pre", "refresh", "destroy", "dn", "down", "import", "watch"}
_NEED_A_STACK = _NEED_A_PROVIDER | {"config", "cancel", "console", "env", "logs", "query", "state"}
_STACK_VERBS_ON_ONE = {"change-secrets-provider", "export", "graph", "history", "import", "output", "tag", "unselect"}
_WITH_VALUE = {"-C", "--cwd", "--color", "-v", "--verbose", "--tracing", "--profiling"}


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--stack", default="", help="Stack to select, and to create if there is none.  [default: local]")
@click.option("--cluster", default=DEFAULT_NAME, show_default=True, help="Local cluster whose kubeconfig to use.")
@click.option(
    "--install-official-timeout",
    type=float,
    default=0.0,
    envvar="GROVE_INSTALL_OFFICIAL_TIMEOUT",
    help="Seconds to try downloading Pulumi's own kubernetes provider first, once per home.  [default: don't try]",
)
@click.option("--as-is", is_flag=True, help="Don't select or create a stack; pass the arguments on as they are.")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def command(stack: str, cluster: str, install_official_timeout: float, as_is: bool, args: tuple[str, ...]) -> None:
    """Run pulumi with this project's settings: grove pulumi -- ARGS.

    State is kept below the project's home, the passphrase of the local stack is preset, KUBECONFIG is the running local
    cluster's. Pulumi's own kubernetes provider is used where it is installed; else a stand-in is attached for this one
    command.

    \b
    Examples:
      grove pulumi -- preview --diff
      grove pulumi -- up --yes --skip-preview
      grove pulumi --stack dev -- config set replicas 4
    """
    try:
        code = run(args, stack=stack, cluster=cluster, install_timeout_s=install_official_timeout, as_is=as_is)
    except LocalClusterError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(code)


def run(
    args: Sequence[str],
    *,
    stack: str = "",
    cluster: str = DEFAULT_NAME,
    install_timeout_s: float = 0.0,
    as_is: bool = False,
) -> int:
    """Pulumi's exit code; 128 + signal if it was killed. Raises LocalClusterError if it can't be started."""
    folders = PulumiFolders()
    folders.create()
    with without_shims(folders):
        pulumi, tool_folders = find_pulumi()
    env = {**os.environ, **pulumi_environment(tool_folders, cluster=cluster)}
    verbs = verbs_of(args)
    needs_provider = bool(verbs) and verbs[0] in _NEED_A_PROVIDER
    if needs_provider and install_timeout_s > 0 and find_official(folders, env["PATH"]) is None:
        if reason := install_official(pulumi, env, folders, install_timeout_s):
            click.echo(f"Pulumi's official kubernetes provider could not be installed: {reason}", err=True)
        env.update(pulumi_environment(tool_folders, cluster=cluster))
    if not as_is and needs_stack(verbs):
        select_stack(pulumi, env, stack_in(args) or stack or "local", args)
    if not needs_provider or find_official(folders, env["PATH"]) is not None:
        return exit_code(run_in_foreground([str(pulumi), *args], env))
    with standin(folders, env) as provider:
        env.update(pulumi_environment(tool_folders, cluster=cluster, standin_port=provider.port))
        returned = run_in_foreground([str(pulumi), *args], env)
        provider.orderly = returned >= 0
        return exit_code(returned)


def find_pulumi() -> tuple[Path, list[Path]]:
    """The program, and the folders of it and of its Python language host."""
    from grove_operator.localcluster.tools import locate  # building them takes long; nothing else here needs it

    pulumi, host = locate("pulumi"), locate("pulumi-language-python")
    return pulumi, list(dict.fromkeys([pulumi.parent, host.parent]))


@contextlib.contextmanager
def without_shims(folders: PulumiFolders) -> Iterator[None]:
    """PATH without our shim, which would otherwise be taken for pulumi itself."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join(p for p in before.split(os.pathsep) if p != str(folders.shims))
    try:
        yield
    finally:
        os.environ["PATH"] = before


def verbs_of(args: Sequence[str]) -> list[str]:
    """The words of the command line that aren't flags or values of global flags."""
    verbs, skip = [], False
    for arg in args:
        if skip or arg.startswith("-"):
            skip = not skip and arg in _WITH_VALUE | {"-s", "--stack"}
            continue
        verbs.append(arg)
    return verbs


def needs_stack(verbs: Sequence[str]) -> bool:
    if not verbs:
        return False
    if verbs[0] == "stack":
        return len(verbs) == 1 or verbs[1] in _STACK_VERBS_ON_ONE
    return verbs[0] in _NEED_A_STACK


def stack_in(args: Sequence[str]) -> str:
    """The stack that the arguments name by -s or --stack, "" if they don't."""
    for position, arg in enumerate(args):
        if arg in ("-s", "--stack") and position + 1 < len(args):
            return args[position + 1]
        for prefix in ("--stack=", "-s="):
            if arg.startswith(prefix):
                return arg.removeprefix(prefix)
    return ""


def select_stack(pulumi: Path, env: Mapping[str, str], stack: str, args: Sequence[str]) -> None:
    where = [a for i, a in enumerate(args) if a in ("-C", "--cwd") or (i and args[i - 1] in ("-C", "--cwd"))]
    where += [a for a in args if a.startswith("--cwd=")]
    command_line = [str(pulumi), "stack", "select", "--create", "--non-interactive", "--stack", stack, *where]
    done = subprocess.run(
        command_line, env=dict(env), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise LocalClusterError(f"stack {stack} can't be selected: {(done.stderr or done.stdout).strip()}")


def run_in_foreground(command_line: list[str], env: Mapping[str, str]) -> int:
    """Waits for the program, whatever is pressed: Ctrl-C reaches it through the terminal, the rest is passed on.

    The exit code, or minus the signal that killed it.
    """
    child = subprocess.Popen(command_line, env=dict(env))

    def pass_on(number: int, _: FrameType | None) -> None:
        if number != signal.SIGINT or not sys.stdin.isatty():
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code


def exit_code(returned: int) -> int:
    """As a shell has it: 128 + signal for a program that was killed."""
    return returned if returned >= 0 else 128 - returned
