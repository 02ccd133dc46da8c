"""`grove env`: the environment of the local cluster and of Pulumi's settings, as shell exports."""

from __future__ import annotations

import shlex

import click

from grove_operator.localcluster.state import DEFAULT_NAME, LocalClusterError


@click.command()
@click.option("--name", default=DEFAULT_NAME, show_default=True)
@click.option("--offline", is_flag=True, help="Don't look for vendors' archives of missing programs.")
def command(name: str, offline: bool) -> None:
    """Print the environment of the local cluster as shell exports: eval "$(grove env)"."""
    try:
        for key, value in environment(name, offline=offline).items():
            click.echo(f"export {key}={shlex.quote(value)}")
    except LocalClusterError as error:
        raise click.ClickException(str(error)) from error
