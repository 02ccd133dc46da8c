"""`grove status`: what runs, asked of the operating system and of the API server just now."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from grove_operator.cli.cluster import read_cluster
from grove_operator.kube.rival import operators
from grove_operator.localcluster.controlplane_client import ready_nodes
from grove_operator.localcluster.pki import Pki
from grove_operator.localcluster.state import DEFAULT_NAME, ClusterPaths, ClusterState, LocalClusterError, read_state
from grove_operator.localcluster.supervisor_control import why_unhealthy


@click.command()
@click.option("--name", default=DEFAULT_NAME, show_default=True)
@click.option("--check", is_flag=True, help="Exit 1 unless it runs and is healthy, with one operator at most.")
@click.option(
    "--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="Tell of this cluster's operators only."
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(name: str, check: bool, kubeconfig: str | None, output: str) -> None:
    """Show whether the local cluster runs, what it runs, and which operators reconcile it.

    \b
    Examples:
      grove status
      grove status -o json
      grove status --check && kubectl get nodes
      grove status --kubeconfig production.yaml
    """
    if kubeconfig:
        _tell_operators(kubeconfig, check, output)
        return
    try:
        paths = ClusterPaths.of(name)
        state = read_state(name)
    except LocalClusterError as error:
        raise click.ClickException(str(error)) from error
    seen = describe(name, state, paths)
    seen["operators"] = _local_operators(seen)
    if output == "json":
        click.echo(json.dumps(seen, indent=2))
    else:
        _print(seen)
    if check and (not seen["running"] or len(seen["operators"]) > 1):
        raise click.exceptions.Exit(1)


def _tell_operators(kubeconfig: str, check: bool, output: str) -> None:
    found = _operators(kubeconfig)
    click.echo(json.dumps({"operators": found}, indent=2) if output == "json" else "\n".join(_sentences(found)))
    if check and len(found) != 1:
        raise click.exceptions.Exit(1)


def _local_operators(seen: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        return _operators(seen["kubeconfig"]) if seen["running"] else []
    except click.ClickException:
        return []  # it went down meanwhile; the next status says so


def _operators(kubeconfig: str) -> list[dict[str, Any]]:
    found = read_cluster(kubeconfig, lambda api: operators(api, datetime.now(UTC)))
    return [{"namespace": o.namespace, "holder": o.holder, "isOurs": o.is_ours, "since": o.since} for o in found]


def _sentences(found: list[dict[str, Any]]) -> list[str]:
    """What `operators` says; an operator of this project doesn't reconcile beside another."""
    if not found:
        return ["no Grove operator reconciles this cluster"]
    said = []
    for other in found:
        whose = "this project's operator" if other["isOurs"] else "NVIDIA's Grove operator"
        said.append(f"operator    {whose} in namespace {other['namespace']} ({other['holder']})")
    if len(found) > 1:
        said.append("            more than one: this project's stands back; remove one of them (docs/take-over.md)")
    return said


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
    for sentence in _sentences(seen["operators"]) if seen["operators"] else ():
        click.echo(sentence)
    for component in seen["components"]:
        mark = "ok" if component["healthy"] else component["detail"] or "died"
        click.echo(f"  {component['name']:24} pid {component['pid']:<8} {mark}")
