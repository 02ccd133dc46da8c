"""`grove up`: start the local cluster, or find that it runs."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import click

from grove_operator.localcluster.state import DEFAULT_NAME, ClusterState, LocalClusterError
from grove_operator.localcluster.supervisor_control import Started, UpOptions, down, up
from grove_operator.localcluster.tools_report import default_report


@click.command()
@click.option("--name", default=DEFAULT_NAME, show_default=True, help="Several clusters may run side by side.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the API server.  [default: a free one]")
@click.option(
    "--fleet",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file of the nodes to pretend.  [default: 16 GPU nodes in 2 blocks x 2 racks]",
)
@click.option("--foreground", is_flag=True, help="Stay, and end the cluster on Ctrl-C.")
@click.option("--offline", is_flag=True, help="Don't look for vendors' archives of missing programs.")
@click.option("--no-agent", is_flag=True, help="Without nodes: the control plane alone.")
def command(name: str, port: int | None, fleet: Path | None, foreground: bool, offline: bool, no_agent: bool) -> None:
    """Start the local cluster and return when it is ready.

    A healthy cluster of that name is reused, a broken one is replaced on its own data. Ctrl-C leaves nothing behind.

    \b
    Examples:
      grove up
      grove up --fleet my-fleet.yaml --name big
      grove up --port 6443 --foreground
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    options = UpOptions(name, port, fleet, not no_agent, offline)
    try:
        started = up(options, default_report())
    except LocalClusterError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise click.ClickException(f"interrupted; cluster {name} was taken down again") from None
    try:
        _tell(name, started)
        if foreground:
            _stay(started.state)
    except KeyboardInterrupt:
        if foreground:
            down(name)
            click.echo(f"cluster {name} is down")


def _tell(name: str, started: Started) -> None:
    state = started.state
    click.echo(f"cluster {name} {'already runs' if started.is_reused else 'is ready'}: {state.apiserver}")
    click.echo(f"{state.nodes} nodes; go on with")
    click.echo(f"  export KUBECONFIG={state.kubeconfig}")
    click.echo(f"  grove down{'' if name == DEFAULT_NAME else f' --name {name}'}")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _stay(state: ClusterState) -> None:
    """Until interrupted, or until somebody else takes the cluster down."""
    click.echo("Ctrl-C ends it")
    while state.supervisor.is_alive:
        time.sleep(0.25)
