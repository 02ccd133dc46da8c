"""`grove rollout history` and `undo`: what a PodCliqueSet was made from before, and back to it."""

from __future__ import annotations

import functools
import json

import click
import yaml

from grove_operator.api.constants import PART_OF
from grove_operator.api.kinds import CONTROLLER_REVISION, DYNAMO_GRAPH_DEPLOYMENT, POD_CLIQUE_SET, Json
from grove_operator.cli.cluster import read_cluster
from grove_operator.cli.rollout_target import plain, target
from grove_operator.core.revisions import LackingCliqueError, restored
from grove_operator.engine.ports import KubeApi
from grove_operator.views.revisions import Revision, described, history, table
from grove_operator.views.rollout import is_paused


@click.command("history")
@target
@click.option("--revision", "wanted", type=click.IntRange(min=1), help="Show what this revision makes pods from.")
@click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
def history_command(name: str, namespace: str, kubeconfig: str | None, wanted: int | None, output: str) -> None:
    """List the revisions of a PodCliqueSet's pods, the current one last.

    The cause is the annotation kubernetes.io/change-cause that the set had. Former revisions are kept up to ten, or to
    the annotation grove.io/revision-history-limit.

    Exit codes: 0 done, 1 no such set or revision, 2 wrong usage.

    \b
    Examples:
      grove rollout history web -n ml
      grove rollout history web -n ml --revision 3
      grove rollout history web -n ml -o json | jq '.[] | select(.current).revision'
    """
    name = plain(name)
    _, found = read_cluster(kubeconfig, functools.partial(_history, namespace=namespace, name=name))
    shown = [_chosen(found, name, wanted)] if wanted else found
    if output != "text":
        said = [one.to_json() for one in shown]
        document = said[0] if wanted else said
        text = json.dumps(document, indent=2) if output == "json" else yaml.safe_dump(document, sort_keys=False)
        click.echo(text.rstrip())
    elif wanted:
        click.echo(f"podcliqueset {name} with revision #{wanted}\n{described(shown[0])}")
    else:
        click.echo(f"podcliqueset {name}\n{table(shown)}")


@click.command("undo")
@target
@click.option("--to-revision", "wanted", type=click.IntRange(min=0), default=0, help="0, the default: the one before.")
@click.option("--dry-run", is_flag=True, help="Show what would be restored and change nothing.")
def undo_command(name: str, namespace: str, kubeconfig: str | None, wanted: int, dry_run: bool) -> None:
    """Bring back an earlier revision of a PodCliqueSet's pods, as an update like any other.

    Restored are labels, annotations and pod specs of its cliques and the priority class; replicas, autoscaling and
    strategies stay as they are. Whoever applies the set from files applies the newer one again: change it there, too.

    Exit codes: 0 done or nothing to do, 1 refused or no such set or revision, 2 wrong usage.

    \b
    Examples:
      grove rollout undo web -n ml
      grove rollout undo web -n ml --to-revision 3
      grove rollout undo web -n ml --dry-run
    """
    name = plain(name)
    undo = functools.partial(_undo, namespace=namespace, name=name, wanted=wanted, dry_run=dry_run)
    for line in read_cluster(kubeconfig, undo):
        click.echo(line)


async def _history(api: KubeApi, namespace: str, name: str) -> tuple[Json, list[Revision]]:
    pcs = await api.get(POD_CLIQUE_SET, namespace, name)
    listed = await api.list(CONTROLLER_REVISION, namespace=namespace, label_selector=f"{PART_OF}={name}")
    return pcs, history(pcs, listed.items)


async def _undo(api: KubeApi, namespace: str, name: str, wanted: int, dry_run: bool) -> list[str]:
    pcs, found = await _history(api, namespace, name)
    _refuse(pcs, name)
    chosen = _chosen(found, name, wanted)
    if chosen.is_current:
        return [f"podcliqueset {name} skipped rollback (current template already matches revision {chosen.number})"]
    try:
        patch = restored(pcs, chosen.obj)
    except LackingCliqueError as error:
        raise click.ClickException(f"podcliqueset {name}: {error}") from error
    if dry_run:
        return [f"podcliqueset {name} would be rolled back to revision {chosen.number}", described(chosen)]
    patch["metadata"] = {"resourceVersion": pcs["metadata"]["resourceVersion"]}
    await api.patch(POD_CLIQUE_SET, namespace, name, patch)
    return [f"podcliqueset {name} rolled back to revision {chosen.number}"]


def _refuse(pcs: Json, name: str) -> None:
    if is_paused(pcs):
        raise click.ClickException(
            f"podcliqueset {name} is paused, it would not move; first: grove rollout resume {name}"
        )
    for owner in pcs["metadata"].get("ownerReferences") or ():
        if owner.get("controller") and owner["kind"] == DYNAMO_GRAPH_DEPLOYMENT.kind:
            raise click.ClickException(
                f"podcliqueset {name} is made from dynamographdeployment {owner['name']}, which would undo this; "
                "change that one"
            )


def _chosen(found: list[Revision], name: str, wanted: int) -> Revision:
    """The one with that number; with 0 the newest that isn't current."""
    numbers = ", ".join(str(one.number) for one in found) or "none"
    if wanted:
        chosen = next((one for one in found if one.number == wanted), None)
        if chosen is None:
            raise click.ClickException(f"podcliqueset {name} has no revision {wanted}; it has {numbers}")
        return chosen
    former = [one for one in found if not one.is_current]
    if not former:
        raise click.ClickException(f"podcliqueset {name} has no earlier revision; it has {numbers}")
    return former[-1]
