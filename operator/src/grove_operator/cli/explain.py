"""`grove explain podgang`: why a gang waits, who holds what it lacks, and the smallest change that would unblock it."""

from __future__ import annotations

import json
import sys

import click

from grove_operator.cli.cluster import read_cluster
from grove_operator.cli.drawing import draw
from grove_operator.cli.simulate import BAD_INPUT, UNPLACED
from grove_operator.engine.whatif.documents import InputError
from grove_operator.engine.whatif.dump import dump_cluster
from grove_operator.engine.whatif.explanation import explain_gang
from grove_operator.kube.manifest_files import read
from grove_operator.views.whatif import explanation_tree

KINDS = ("podgang", "podgangs", "podgangs.scheduler.grove.io")


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@click.option("-n", "--namespace", default="default", show_default=True)
@click.option(
    "-f", "--filename", "files", multiple=True, metavar="FILE", help="Manifests beside the cluster's objects."
)
@click.option("--cluster", metavar="SNAPSHOT", help="A dump by `grove snapshot` instead of the live cluster.")
@click.option(
    "--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="Default: the local cluster, else KUBECONFIG."
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    kind: str,
    name: str,
    namespace: str,
    files: tuple[str, ...],
    cluster: str | None,
    kubeconfig: str | None,
    output: str,
) -> None:
    """Explain why a PodGang is not placed, and what would unblock it.

    Scope by scope: the domain that comes closest, what is short there and who holds it. Each way out was tried on a
    copy of the cluster with the scheduler itself.

    Exit codes: 0 it is placed, 3 it isn't, 2 bad input or wrong usage, 1 the cluster can't be read.

    \b
    Examples:
      grove explain podgang dynamo-grove-0 -n vllm-v1-disagg-router
      grove explain podgang web-0 --cluster now.yaml -o json | jq '.waysOut[].message'
      grove explain podgang web-0 --cluster now.yaml -f web.yaml
    """
    try:
        there = read([cluster], sys.stdin) if cluster else read_cluster(kubeconfig, dump_cluster)["items"]
        explained = explain_gang(read(files, sys.stdin), there, namespace, name)
    except InputError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(BAD_INPUT)
    if output == "json":
        click.echo(json.dumps(explained.to_json(), indent=2))
    else:
        draw([explanation_tree(explained)])
    sys.exit(0 if explained.is_placed else UNPLACED)
