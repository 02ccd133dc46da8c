"""`grove explain podgang`: why a gang waits, who holds what it lacks, and the smallest change that would unblock it."""

from __future__ import annotations

import functools
import json
import sys

import click

from grove_operator.api.constants import LABEL_SCALING_GROUP, PART_OF
from grove_operator.api.kinds import POD_CLIQUE, POD_CLIQUE_SET, POD_GANG, SCALING_GROUP
from grove_operator.cli.cluster import read_cluster
from grove_operator.cli.drawing import draw
from grove_operator.cli.simulate import BAD_INPUT, UNPLACED
from grove_operator.core.objects import label
from grove_operator.engine.ports import KubeApi, NotFound
from grove_operator.engine.whatif.documents import InputError
from grove_operator.engine.whatif.dump import dump_cluster
from grove_operator.engine.whatif.explanation import explain_gang
from grove_operator.kube.manifest_files import read
from grove_operator.views.failures import ToldFailure, told_failures
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
    """Explain why a PodGang is not placed or not whole, and what would unblock it.

    Scope by scope: the domain that comes closest, what is short there and who holds it. Each way out was tried on a
    copy of the cluster with the scheduler itself. Of a live cluster also which member failed first, with its exit code
    and last words, even when it has been replaced since.

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
    look = functools.partial(_failures, namespace=namespace, name=name)
    failures = [] if cluster else read_cluster(kubeconfig, look)
    if output == "json":
        said = explained.to_json() | {"lastFailures": [failure.to_json() for failure in failures]}
        click.echo(json.dumps(said, indent=2))
    else:
        draw([explanation_tree(explained, failures)])
    sys.exit(0 if explained.is_placed else UNPLACED)


async def _failures(api: KubeApi, namespace: str, name: str) -> list[ToldFailure]:
    """Of the set, the groups and the PodCliques that the gang is made of."""
    try:
        gang = await api.get(POD_GANG, namespace, name)
    except NotFound:
        return []  # it is of the manifests
    part_of = label(gang, PART_OF)
    members = {group["name"] for group in gang["spec"]["podgroups"]}
    selector = f"{PART_OF}={part_of}"
    cliques = (await api.list(POD_CLIQUE, namespace=namespace, label_selector=selector)).items
    cliques = [clique for clique in cliques if clique["metadata"]["name"] in members]
    of_gang = {label(clique, LABEL_SCALING_GROUP) for clique in cliques}
    groups = (await api.list(SCALING_GROUP, namespace=namespace, label_selector=selector)).items
    groups = [group for group in groups if group["metadata"]["name"] in of_gang]
    sets = (await api.list(POD_CLIQUE_SET, namespace=namespace, field_selector=f"metadata.name={part_of}")).items
    by_kind = ((POD_CLIQUE_SET, sets), (SCALING_GROUP, groups), (POD_CLIQUE, cliques))
    return told_failures({**obj, "kind": kind.kind} for kind, found in by_kind for obj in found)
