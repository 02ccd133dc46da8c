"""`grove env`: the environment of the local cluster and of Pulumi's settings, as shell exports."""

from __future__ import annotations

import shlex

import click

from grove_operator.localcluster.pulumi_env import shell_environment
from grove_operator.localcluster.state import DEFAULT_NAME, ClusterPaths, LocalClusterError
from grove_operator.localcluster.tools import locate


@click.command()
@click.option("--name", default=DEFAULT_NAME, show_default=True)
@click.option("--offline", is_flag=True, help="Don't look for vendors' archives of missing programs.")
def command(name: str, offline: bool) -> None:
    """Print the environment of the local cluster as shell exports: eval "$(grove env)".

    After that, plain `pulumi` and `kubectl` work on this project and cluster.

    \b
    Examples:
      eval "$(grove env)"
      eval "$(grove env --name big)"
    """
    try:
        ClusterPaths.of(name)  # refuses an unusable name
        folders = [locate(tool, offline=offline).parent for tool in ("pulumi", "pulumi-language-python", "kubectl")]
        for key, value in shell_environment(list(dict.fromkeys(folders)), cluster=name).items():
            click.echo(f"export {key}={shlex.quote(value)}")
    except LocalClusterError as error:
        raise click.ClickException(str(error)) from error
