"""`grove tree`: PodCliqueSets with their gangs, cliques and pods, and where each pod runs."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from grove_operator.api import constants as c
from grove_operator.api import kinds
from grove_operator.engine.ports import ApiError, NotFound
from grove_operator.kube.client import HttpKubeApi
from grove_operator.kube.connection import ConnectionConfigError
from grove_operator.localcluster.state import read_state
from grove_operator.views.placement import ClusterView, TreeNode, workload_trees

PIPE_WIDTH = 400
COLOURS = {"good": "green", "waiting": "yellow", "bad": "red", "plain": ""}


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
    try:
        trees = asyncio.run(_load(kubeconfig, None if all_namespaces else namespace))
    except ConnectionConfigError as error:
        raise click.ClickException(f"no cluster: {error}, or start the local one by `grove up`") from error
    except NotFound as error:
        raise click.ClickException(
            f"the cluster has no Grove CRDs: {error}; `grove pulumi -- up` installs them"
        ) from error
    except ApiError as error:
        raise click.ClickException(f"cannot read the cluster: {error}; is it up? see `grove status`") from error
    if output == "json":
        click.echo(json.dumps([tree.to_json() for tree in trees], indent=2))
        return
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    for tree in trees:
        console.print(_draw(tree))
    if not trees:
        print("no PodCliqueSets" + (f" in namespace {namespace}" if namespace else ""), file=sys.stderr)


async def _load(kubeconfig: str | None, namespace: str | None) -> list[TreeNode]:
    state = None if kubeconfig else read_state("local")
    path = kubeconfig or (str(state.kubeconfig) if state and state.running else None)
    api = HttpKubeApi.from_kubeconfig(Path(path) if path else None)
    managed = f"{c.MANAGED_BY}={c.MANAGED_BY_VALUE}"
    try:
        sets, cliques, gangs, pods, nodes, topologies = await asyncio.gather(
            api.list(kinds.POD_CLIQUE_SET, namespace=namespace),
            api.list(kinds.POD_CLIQUE, namespace=namespace),
            api.list(kinds.POD_GANG, namespace=namespace),
            api.list(kinds.POD, namespace=namespace, label_selector=managed),
            api.list(kinds.NODE),
            api.list(kinds.CLUSTER_TOPOLOGY_BINDING),
        )
    finally:
        await api.close()
    return workload_trees(
        ClusterView(sets.items, cliques.items, gangs.items, pods.items, nodes.items, topologies.items)
    )


def _draw(node: TreeNode) -> Tree:
    line = Text.assemble((node.kind, "dim"), " ", (node.name, "bold"), "  ")
    line.append("  ".join(node.facts), style=COLOURS[node.health])
    tree = Tree(line)
    for child in node.children:
        tree.add(_draw(child))
    return tree
