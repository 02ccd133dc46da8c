"""`grove rollout`: follow, hold and go on with the update of a PodCliqueSet, and go back."""

from __future__ import annotations

import functools
import json
import sys
from typing import Any

import click

from grove_operator.api.constants import ANNOTATION_ROLLOUT_PAUSED
from grove_operator.api.kinds import POD_CLIQUE_SET, Json
from grove_operator.cli.cluster import read_cluster
from grove_operator.cli.rollout_history import history_command, undo_command
from grove_operator.cli.rollout_target import plain, target
from grove_operator.engine.ports import KubeApi
from grove_operator.views.rollout import RolloutState, is_paused, rollout_state


@click.group()
def command() -> None:
    """Follow, pause, resume and undo the rolling update of a PodCliqueSet.

    \b
    Examples:
      grove rollout status web -n ml --wait
      grove rollout pause web -n ml
      grove rollout resume web -n ml
      grove rollout history web -n ml
      grove rollout undo web -n ml --to-revision 3
    """


command.add_command(history_command)
command.add_command(undo_command)


@command.command()
@target
@click.option("--wait", is_flag=True, help="Return when it is rolled out (0) or stuck (1).")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def status(name: str, namespace: str, kubeconfig: str | None, wait: bool, output: str) -> None:
    """Tell how far the update is. Exit code 1: it made no progress within its deadline.

    As JSON it is told once: how it stands, with --wait at the end.

    \b
    Examples:
      grove rollout status web -n ml --wait
      grove rollout status web -n ml -o json | jq .updateProgress
    """
    is_text = output == "text"
    follow = functools.partial(_follow, namespace=namespace, name=plain(name), wait=wait, say=is_text)
    state, pcs = read_cluster(kubeconfig, follow)
    if not is_text:
        click.echo(json.dumps(state.to_json(pcs), indent=2))
    elif not state.is_done:
        for line in state.failure:
            click.echo(line)
    sys.exit(1 if state.is_stuck else 0)


@command.command()
@target
def pause(name: str, namespace: str, kubeconfig: str | None) -> None:
    """Hold the update where it is: no further pod is replaced. Pods that are lost are still made anew."""
    _annotate(name, namespace, kubeconfig, "true", "paused")


@command.command()
@target
def resume(name: str, namespace: str, kubeconfig: str | None) -> None:
    """Go on with a paused update."""
    _annotate(name, namespace, kubeconfig, None, "resumed")


def _annotate(name: str, namespace: str, kubeconfig: str | None, value: str | None, done: str) -> None:
    async def write(api: KubeApi) -> bool:
        live = await api.get(POD_CLIQUE_SET, namespace, plain(name))
        if is_paused(live) == (value is not None):
            return False
        body: Json = {"metadata": {"annotations": {ANNOTATION_ROLLOUT_PAUSED: value}}}
        await api.patch(POD_CLIQUE_SET, namespace, plain(name), body)
        return True

    changed = read_cluster(kubeconfig, write)
    click.echo(f"podcliqueset {plain(name)} {done}" if changed else f"podcliqueset {plain(name)} is {done} already")


async def _follow(api: KubeApi, namespace: str, name: str, wait: bool, say: bool) -> tuple[RolloutState, Json]:
    live = await api.get(POD_CLIQUE_SET, namespace, name)
    state = _told(None, live, say=say)
    where: dict[str, Any] = {"namespace": namespace, "field_selector": f"metadata.name={name}"}
    version = live["metadata"]["resourceVersion"]
    while wait and not (state.is_done or state.is_stuck):
        async for event in api.watch(POD_CLIQUE_SET, version, **where):
            version = event.object["metadata"]["resourceVersion"]
            if event.type == "DELETED":
                raise click.ClickException(f"podcliqueset {name} was deleted")
            if event.type != "BOOKMARK":
                live, state = event.object, _told(state, event.object, say=say)
            if state.is_done or state.is_stuck:
                break
    return state, live


def _told(before: RolloutState | None, pcs: Json, *, say: bool) -> RolloutState:
    """The state now; what is other than before is said."""
    state = rollout_state(pcs)
    if say and (before is None or state.sentence != before.sentence):
        click.echo(state.sentence)
    if say and state.surge and (before is None or state.surge != before.surge):
        click.echo(state.surge)
    return state
