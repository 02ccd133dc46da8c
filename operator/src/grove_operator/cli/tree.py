"""`grove tree`: PodCliqueSets with their gangs, cliques and pods, and where each pod runs."""

from __future__ import annotations

import asyncio
import functools
import json
import sys

import click

from grove_operator.api import constants as c
from grove_operator.api import kinds
from grove_operator.cli.cluster import read_cluster
from grove_operator.cli.drawing import draw
from grove_operator.engine.ports import KubeApi
from grove_operator.views.failures import with_failures
from grove_operator.views.placement import ClusterView, TreeNode, workload_trees


@click.command()
@click.option("-n", "--namespace", help="Only this namespace (default: all).")
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces: the default, for kubectl habits.")
@click.option(
    "--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="Default: the local cluster, else KUBECONFIG."
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(namespace: str | None, all_namespaces: bool, kubeconfig: str | None, output: str) -> None:
    """Show PodCliqueSets, gangs and pods as a tree, each pod with its topology path.

    \b
    Examples:
      grove tree
      grove tree -n vllm-v1-disagg-router
      grove tree -o json
    """
    trees = read_cluster(kubeconfig, functools.partial(_load, namespace=None if all_namespaces else namespace))
    if output == "json":
        click.echo(json.dumps([tree.to_json() for tree in trees], indent=2))
        return
    draw(trees)
    if not trees:
        print("no PodCliqueSets" + (f" in namespace {namespace}" if namespace else ""), file=sys.stderr)


async def _load(api: KubeApi, namespace: str | None) -> list[TreeNode]:
    managed = f"{c.MANAGED_BY}={c.MANAGED_BY_VALUE}"
    sets, cliques, gangs, pods, nodes, topologies = await asyncio.gather(
        api.list(kinds.POD_CLIQUE_SET, namespace=namespace),
        api.list(kinds.POD_CLIQUE, namespace=namespace),
        api.list(kinds.POD_GANG, namespace=namespace),
        api.list(kinds.POD, namespace=namespace, label_selector=managed),
        api.list(kinds.NODE),
        api.list(kinds.CLUSTER_TOPOLOGY_BINDING),
    )
    view = ClusterView(sets.items, cliques.items, gangs.items, pods.items, nodes.items, topologies.items)
    return with_failures(workload_trees(view), sets.items)
