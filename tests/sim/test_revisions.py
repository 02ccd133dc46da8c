"""Revisions are kept as StatefulSets keep theirs, and an old one comes back as an update like any other."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from grove_operator.api.kinds import CONTROLLER_REVISION, POD, POD_CLIQUE_SET, Json
from grove_operator.cli import rollout_history
from grove_operator.cli.main import cli
from tests.sim.shapes import clique, group, podcliqueset
from tests.sim.test_updates import change_image, images, is_ended, uids
from tests.sim.world import World, world


def numbers(w: World) -> dict[int, str]:
    """Image of clique a by revision."""
    found = {}
    for obj in w.api.objects(CONTROLLER_REVISION):
        cliques = obj["data"]["spec"]["template"]["cliques"]
        found[obj["revision"]] = cliques[0]["spec"]["podSpec"]["containers"][0]["image"]
    return dict(sorted(found.items()))


async def changed(w: World, image: str) -> None:
    await change_image(w, "a", image=image)
    await w.rest(60)


async def undone(w: World, wanted: int = 0, *, dry_run: bool = False) -> str:
    lines = await rollout_history._undo(w.api, "ml", "web", wanted, dry_run)
    await w.rest(60)
    return lines[0]


async def test_each_change_of_the_pods_makes_one_revision_and_nothing_else_does() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 1), clique("b", 1)]))
        await w.rest()
        assert numbers(w) == {1: "x"}
        written = w.writes_of("operator")
        await w.rest(120)
        assert w.writes_of("operator") == written
        await changed(w, "y")
        assert numbers(w) == {1: "x", 2: "y"}
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"spec": {"replicas": 2}})
        await w.rest()
        assert numbers(w) == {1: "x", 2: "y"}
        await w.api.delete(POD_CLIQUE_SET, "ml", "web")
        await w.rest()
        assert w.everything() == []


async def test_undo_brings_back_what_was_before_and_its_revision_becomes_the_newest() -> None:
    async with world(start_s=1.0) as w:
        shape = podcliqueset([clique("a", 2, 1), clique("b", 1)], [group("g", ["b"], 2)])
        await w.apply(shape)
        await w.rest()
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"spec": {"replicas": 2}})
        await changed(w, "y")
        kept = {p["metadata"]["uid"] for p in w.api.objects(POD) if "-g-" in p["metadata"]["name"]}
        assert await undone(w) == "podcliqueset web rolled back to revision 1"
        assert is_ended(w)
        assert {image for name, found in images(w).items() if name.endswith("-a") for image in found} == {"x"}
        assert numbers(w) == {2: "y", 3: "x"}
        assert w.api.objects(POD_CLIQUE_SET)[0]["spec"]["replicas"] == 2, "sizes stay"
        assert kept <= uids(w), "what both revisions have in common is not replaced"
        assert await undone(w) == "podcliqueset web rolled back to revision 2"
        assert numbers(w) == {3: "x", 4: "y"}
        said = await undone(w, 4)
        assert said == "podcliqueset web skipped rollback (current template already matches revision 4)"


async def test_the_limit_drops_the_oldest_and_never_the_current_one() -> None:
    async with world() as w:
        pcs = podcliqueset([clique("a", 1)])
        pcs["metadata"]["annotations"] = {"grove.io/revision-history-limit": "2"}
        await w.apply(pcs)
        await w.rest()
        for image in "pqrs":
            await changed(w, image)
        assert numbers(w) == {3: "q", 4: "r", 5: "s"}
        await undone(w, 3)
        assert numbers(w) == {4: "r", 5: "s", 6: "q"}
        limit: Json = {"metadata": {"annotations": {"grove.io/revision-history-limit": "0"}}}
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", limit)
        await w.rest()
        assert numbers(w) == {6: "q"}


async def test_a_restored_revision_takes_back_labels_annotations_and_the_priority_class() -> None:
    async with world() as w:
        await w.apply(podcliqueset([{**clique("a", 1), "labels": {"tier": "gold"}}], priorityClassName="high"))
        await w.rest()
        template = w.api.objects(POD_CLIQUE_SET)[0]["spec"]["template"]
        cliques = [{**template["cliques"][0], "annotations": {"note": "new"}}]
        del cliques[0]["labels"]
        body: Json = {"spec": {"template": {"cliques": cliques, "priorityClassName": None}}}
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", body)
        await w.rest(60)
        await undone(w)
        template = w.api.objects(POD_CLIQUE_SET)[0]["spec"]["template"]
        assert template["priorityClassName"] == "high"
        assert template["cliques"][0]["labels"] == {"tier": "gold"}
        assert "annotations" not in template["cliques"][0]


async def test_an_operator_that_dies_after_any_write_keeps_one_history() -> None:
    for dies_after in range(1, 12):
        async with world() as w:
            await w.apply(podcliqueset([clique("a", 1)]))
            await w.rest()
            seen = 0

            def die(request: Any, w: World = w, dies_after: int = dies_after) -> None:
                nonlocal seen
                seen += request.user == "operator" and request.is_write
                if seen == dies_after and "operator" in w._tasks:
                    w.kill_operator()

            w.api.before_request(die)
            await change_image(w, "a")
            await w.rest(10)
            w.start_operator_if_dead()
            await w.rest(60)
            assert numbers(w) == {1: "x", 2: "y"}


async def test_undo_refuses_what_would_not_move_or_not_last() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 1)]))
        await w.rest()
        with pytest.raises(click.ClickException, match=r"has no earlier revision; it has 1$"):
            await undone(w)
        await changed(w, "y")
        with pytest.raises(click.ClickException, match=r"has no revision 7; it has 1, 2"):
            await undone(w, 7)
        assert await undone(w, dry_run=True) == "podcliqueset web would be rolled back to revision 1"
        assert numbers(w) == {1: "x", 2: "y"}
        paused: Json = {"metadata": {"annotations": {"grove.io/rollout-paused": "true"}}}
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", paused)
        with pytest.raises(click.ClickException, match="grove rollout resume web"):
            await undone(w)
        owner = {"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeployment", "name": "graph", "uid": "u"}
        owned: Json = {"ownerReferences": [{**owner, "controller": True}], **paused["metadata"]}
        owned["annotations"] = {"grove.io/rollout-paused": None}
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"metadata": owned})
        with pytest.raises(click.ClickException, match="made from dynamographdeployment graph"):
            await undone(w)


async def test_history_is_told_as_kubectl_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world() as w:
        pcs = podcliqueset([clique("a", 1)])
        await w.apply(pcs)
        await w.rest()
        cause = {"metadata": {"annotations": {"kubernetes.io/change-cause": "image y"}}}
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", cause)
        await changed(w, "y")
        told = await rollout_history._history(w.api, "ml", "web")
    monkeypatch.setattr(rollout_history, "read_cluster", lambda kubeconfig, read: told)

    def ran(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["rollout", "history", "pcs/web", "-n", "ml", *arguments])

    assert ran().output == "podcliqueset web\nREVISION  CHANGE-CAUSE\n1         image y\n2         image y\n"
    shown = ran("--revision", "2").output
    assert shown.startswith("podcliqueset web with revision #2\ncliques:\n- name: a\n")
    assert "image: y" in shown
    said = json.loads(ran("-o", "json").output)
    assert [(one["revision"], one["current"], one["changeCause"]) for one in said] == [
        (1, False, "image y"),
        (2, True, "image y"),
    ]
    missing = ran("--revision", "9")
    assert (missing.exit_code, "has no revision 9; it has 1, 2" in missing.output) == (1, True)
    assert ran("--revision", "x").exit_code == 2


async def test_undoing_a_bad_update_half_way_leaves_nothing_of_it() -> None:
    """The template comes back while hashes in statuses never went: found by seed 3000 of the disaggregated story."""
    async with world(start_s=1.0, is_healthy=lambda p: p["spec"]["containers"][0]["image"] != "bad") as w:
        await w.apply(podcliqueset([clique("a", 3, 1), clique("b", 1)], [group("g", ["b"], 2)], replicas=2))
        await w.rest()
        await change_image(w, image="bad")
        await w.rest(30)
        bad = [name for name, found in images(w).items() if "bad" in found]
        assert bad, "it began"
        assert len(bad) < len(images(w)), "and got stuck"
        assert await undone(w) == "podcliqueset web rolled back to revision 1"
        await w.rest(120)
        assert {image for found in images(w).values() for image in found} == {"x"}
        assert is_ended(w)
        status = w.api.objects(POD_CLIQUE_SET)[0]["status"]
        assert (status["updatedReplicas"], status["availableReplicas"]) == (2, 2)
