"""`grove simulate`: where the scheduler would place what the manifests hold, without touching anything."""

from __future__ import annotations

import json
import sys

import click

from grove_operator.cli.drawing import draw
from grove_operator.engine.whatif.documents import InputError
from grove_operator.engine.whatif.simulation import simulate
from grove_operator.kube.manifest_files import read
from grove_operator.views.whatif import simulation_trees

UNPLACED = 3
BAD_INPUT = 2


@click.command()
@click.option(
    "-f", "--filename", "named", multiple=True, metavar="FILE", help="A file, a directory, or - (repeatable)."
)
@click.argument("more", nargs=-1, metavar="[FILE...]")
@click.option("--cluster", metavar="SNAPSHOT", help="A dump of the cluster by `grove snapshot`: what is there already.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(named: tuple[str, ...], more: tuple[str, ...], cluster: str | None, output: str) -> None:
    """Tell where the gangs of manifests would be placed, or why they can't be.

    FILE holds Nodes, Pods, PodGangs, ClusterTopologyBindings, PodCliqueSets and DynamoGraphDeployments; the last two
    are expanded as the operator would. What FILE holds replaces what the snapshot holds under the same name.

    Exit codes: 0 every gang is placed, 3 one isn't, 2 bad input or wrong usage.

    \b
    Examples:
      grove simulate -f nodes.yaml -f graph.yaml
      grove snapshot -o now.yaml && grove simulate -f graph.yaml --cluster now.yaml
      kustomize build . | grove simulate -f - --cluster now.yaml -o json | jq '.unplaced[].reasons'
    """
    if not named and not more:
        raise click.UsageError("name at least one manifest with -f")
    try:
        simulation = simulate(read((*named, *more), sys.stdin), read([cluster], sys.stdin) if cluster else ())
    except InputError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(BAD_INPUT)
    if output == "json":
        click.echo(json.dumps(simulation.to_json(), indent=2))
    else:
        draw(simulation_trees(simulation))
    if not simulation.verdicts:
        click.echo("nothing to place: the input holds no gang, PodCliqueSet or graph that waits", err=True)
    sys.exit(0 if simulation.is_all_placed else UNPLACED)
