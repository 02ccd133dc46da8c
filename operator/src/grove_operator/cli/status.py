"""`grove status`: what runs, asked of the operating system and of the API server just now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from grove_operator.localcluster.controlplane_client import ready_nodes
from grove_operator.localcluster.pki import Pki
from grove_operator.localcluster.state import DEFAULT_NAME, ClusterPaths, ClusterState, LocalClusterError, read_state
from grove_operator.localcluster.supervisor_control import why_unhealthy


@click.command()
@click.option("--name", default=DEFAULT_NAME, show_default=True)
@click.option("--check", is_flag=True, help="Exit 1 unless it runs and is healthy.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(name: str, check: bool, output: str) -> None:
    """Show whether the local cluster runs, and what it runs.

    \b
    Examples:
      grove status
      grove status -o json
      grove status --check && kubectl get nodes
    """
    try:
        paths = ClusterPaths.of(name)
        state = read_state(name)
    except LocalClusterError as error:
        raise click.ClickException(str(error)) from error
    seen = describe(name, state, paths)
    if output == "json":
        click.echo(json.dumps(seen, indent=2))
    else:
        _print(seen)
    if check and not seen["running"]:
        raise click.exceptions.Exit(1)


def describe(name: str, state: ClusterState | None, paths: ClusterPaths) -> dict[str, Any]:
    """What `-o json` prints. `running`: ready and every component healthy; `nodes`: how many are Ready now."""
    if state is None:
        return {
            "name": name,
            "running": False,
            "reason": "not started",
            "kubeconfig": None,
            "apiserver": None,
            "nodes": 0,
            "components": [],
        }
    reason = why_unhealthy(state)
    return {
        "name": name,
        "running": not reason,
        "reason": reason,
        "kubeconfig": state.kubeconfig,
        "apiserver": state.apiserver,
        "nodes": _count_nodes(state, Pki(paths.pki)),
        "supervisor": {"pid": state.supervisor.pid, "healthy": state.supervisor.is_alive},
        "components": [
            {
                "name": component.name,
                "pid": component.id.pid,
                "healthy": component.healthy and component.id.is_alive,
                "detail": component.detail,
                "log": str(Path(paths.logs, f"{component.name}.log")),
            }
            for component in state.components
        ],
    }


def _count_nodes(state: ClusterState, pki: Pki) -> int:
    servers = [c for c in state.components if c.name == "kube-apiserver" and c.id.is_alive]
    return ready_nodes(state.apiserver, pki.ca, pki.token("admin")) if servers else 0


def _print(seen: dict[str, Any]) -> None:
    if not seen["components"]:
        click.echo(f"cluster {seen['name']} is not running; `grove up` starts it")
        return
    how = "runs" if seen["running"] else f"is broken ({seen['reason']}); `grove up` replaces it"
    click.echo(f"cluster {seen['name']} {how}")
    click.echo(f"apiserver   {seen['apiserver']}")
    click.echo(f"kubeconfig  {seen['kubeconfig']}")
    click.echo(f"nodes       {seen['nodes']} ready")
    for component in seen["components"]:
        mark = "ok" if component["healthy"] else component["detail"] or "died"
        click.echo(f"  {component['name']:24} pid {component['pid']:<8} {mark}")
