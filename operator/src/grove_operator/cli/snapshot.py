"""`grove snapshot`: a live cluster as one List that `grove simulate` and `grove explain` read."""

from __future__ import annotations

import functools
from pathlib import Path

import click

from grove_operator.cli.cluster import read_cluster
from grove_operator.engine.whatif.documents import render
from grove_operator.engine.whatif.dump import dump_cluster


@click.command()
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="A file; JSON if it ends in .json, else YAML.")
@click.option("-n", "--namespace", help="Only this namespace's workloads; of others, what their pods hold on nodes.")
@click.option(
    "--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="Default: the local cluster, else KUBECONFIG."
)
def command(output: str | None, namespace: str | None, kubeconfig: str | None) -> None:
    """Dump what scheduling depends on: nodes, pods, gangs, topologies and the sets and graphs they come from.

    No Secrets, no ConfigMaps; of the rest no environment, commands, arguments, probes or foreign annotations.

    \b
    Examples:
      grove snapshot -o now.yaml
      grove snapshot -n team-a | grove simulate -f more.yaml --cluster -
    """
    text = render(read_cluster(kubeconfig, functools.partial(dump_cluster, namespace=namespace)), output or "")
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror}; name another file") from error
