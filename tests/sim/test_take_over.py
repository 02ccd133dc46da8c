"""Workloads of Grove's own operator, or of an earlier version of this one, under this operator: counted pod by pod."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.api.kinds import (
    COMPUTE_DOMAIN,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    SCALING_GROUP,
    SECRET,
    Json,
)
from grove_operator.core.adoption import THEIRS
from grove_operator.core.settings import Settings
from grove_operator.sim.apiserver import Request
from tests.golden.graph import inputs
from tests.prove.take_over import take_overs
from tests.sim.shapes import clique, group, podcliqueset
from tests.sim.world import World, world
from tests.support.grove_elsewhere import Elsewhere, defaulted

HASH = "grove.io/pod-template-hash"
SHAPES = ("worked-example", "disaggregated", "leader-worker", "several-groups", "explicit-order", "replicated-set")


async def left_behind(w: World, pcs: Json) -> None:
    """No operator works yet."""
    await w.stop_operator()

    async def put(obj: Json) -> Json:
        return w.api.seed({**obj, "metadata": {"generation": 1, "creationTimestamp": "2026-01-01T08:00:00Z",
                                               **obj["metadata"]}})[0]  # fmt: skip

    await Elsewhere(put).leave(defaulted(pcs))
    await w.rest(1)


def uids(w: World, *kinds: Any) -> set[str]:
    return {obj["metadata"]["uid"] for kind in kinds or (POD,) for obj in w.api.objects(kind)}


def hashes(w: World) -> set[str]:
    return {o["metadata"]["labels"][HASH] for kind in (POD, POD_CLIQUE) for o in w.api.objects(kind)}


def pcs_status(w: World) -> Json:
    found: Json = w.api.objects(POD_CLIQUE_SET)[0]["status"]
    return found


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_take_over_from_groves_own_operator_replaces_nothing_and_relabels_all(shape: str) -> None:
    async with world() as w:
        await left_behind(w, inputs(shape)[0])
        kinds = (POD, POD_CLIQUE, POD_GANG, SCALING_GROUP)
        before, names = uids(w, *kinds), w.everything()
        updated: list[int] = []
        w.api.on_change(lambda user, old, new: updated.append(new["status"]["updatedReplicas"])
                        if new and new["kind"] == "PodCliqueSet" else None)  # fmt: skip
        w.start_operator()
        await w.rest()
        assert uids(w, *kinds) == before
        assert set(names) - set(w.everything()) <= {f"Secret/{inputs(shape)[0]['metadata']['name']}-ic-sat"}
        assert all(one.startswith("v1-") for one in hashes(w))
        assert "updateProgress" not in pcs_status(w)
        assert set(updated) == {pcs_status(w)["replicas"]}, "at no moment it looks as if something were not updated"
        for kind in kinds:
            assert not any(obj["metadata"].get("finalizers") for obj in w.api.objects(kind))
        written = w.writes_of("operator")
        await w.rest(120)
        assert w.writes_of("operator") == written, "written at rest"


async def test_a_template_that_changed_while_nobody_reconciled_is_rolled_and_nothing_else() -> None:
    async with world(start_s=2.0) as w:
        await left_behind(
            w, podcliqueset([clique("a", 2, 1), clique("b", 2, 1), clique("c", 1)], [group("g", ["c"], 2)])
        )
        kept = {p["metadata"]["uid"] for p in (*w.pods("web-0-b"), *w.pods("web-0-g-0-c"), *w.pods("web-0-g-1-c"))}
        pcs = w.api.objects(POD_CLIQUE_SET)[0]
        cliques = pcs["spec"]["template"]["cliques"]
        cliques[0]["spec"]["podSpec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}]
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"spec": {"template": {"cliques": cliques}}})
        w.start_operator()
        await w.rest(60)
        assert kept <= uids(w)
        assert len(w.pods("web-0-a")) == 2
        for pod in w.pods("web-0-a"):
            assert {"name": "A", "value": "1"} in pod["spec"]["containers"][0]["env"]
        assert pcs_status(w)["updateProgress"]["updateEndedAt"]
        assert pcs_status(w)["updatedReplicas"] == 1


async def test_pods_that_the_former_operator_itself_held_for_old_are_rolled_after_the_take_over() -> None:
    async with world(start_s=2.0) as w:
        await left_behind(w, podcliqueset([clique("a", 3, 1)]))
        old = w.pods("web-0-a")[0]["metadata"]
        await w.api.patch(POD, "ml", old["name"], {"metadata": {"labels": {HASH: "zzzzzzzzzz"}}})
        behind = {"currentPodTemplateHash": "zzzzzzzzzz", "currentPodCliqueSetGenerationHash": "xxxxxxxxxx"}
        await w.api.patch(POD_CLIQUE, "ml", "web-0-a", {"status": behind}, subresource="status")
        before = uids(w)
        w.start_operator()
        await w.rest(60)
        assert before - uids(w) == {old["uid"]}
        assert len(uids(w)) == 3
        assert pcs_status(w)["updateProgress"]["updateEndedAt"]


async def test_an_update_that_the_former_operator_had_almost_done_is_ended() -> None:
    async with world() as w:
        await left_behind(w, podcliqueset([clique("a", 2)]))
        running = {"updateStartedAt": "2026-01-01T08:00:00Z", "currentlyUpdating": [{"replicaIndex": 0}]}
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"status": {"updateProgress": running}}, subresource="status")
        before = uids(w)
        w.start_operator()
        await w.rest()
        assert uids(w) == before
        assert pcs_status(w)["updateProgress"]["updateEndedAt"]
        assert "currentlyUpdating" not in pcs_status(w)["updateProgress"]


@pytest.mark.parametrize("dies_after", range(1, 16))
async def test_an_operator_that_dies_between_any_two_writes_of_a_take_over_replaces_nothing(dies_after: int) -> None:
    async with world() as w:
        await left_behind(w, podcliqueset([clique("a", 2), clique("b", 1)], [group("g", ["b"], 2)]))
        before, seen = uids(w, POD, POD_CLIQUE), 0

        def die(request: Request) -> None:
            nonlocal seen
            seen += request.user == "operator" and request.is_write
            if seen == dies_after and "operator" in w._tasks:
                w.kill_operator()

        w.api.before_request(die)
        w.start_operator()
        await w.rest(5)
        w.start_operator_if_dead()
        await w.rest()
        assert uids(w, POD, POD_CLIQUE) == before
        assert all(one.startswith("v1-") for one in hashes(w))


async def test_a_change_right_after_the_take_over_rolls_what_was_taken_over() -> None:
    async with world(start_s=2.0) as w:
        await left_behind(w, podcliqueset([clique("a", 2, 1), clique("b", 1)], [group("g", ["b"], 2)]))
        before = uids(w)
        w.start_operator()
        await w.rest()
        cliques = w.api.objects(POD_CLIQUE_SET)[0]["spec"]["template"]["cliques"]
        for entry in cliques:
            entry["spec"]["podSpec"]["containers"][0]["image"] = "y"
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"spec": {"template": {"cliques": cliques}}})
        await w.rest(120)
        assert not before & uids(w)
        assert all(
            "grove.io/adopted-template-hash" not in p["metadata"].get("annotations", {}) for p in w.api.objects(POD)
        )
        assert pcs_status(w)["updateProgress"]["updateEndedAt"]


def earlier(mapping: Json) -> Json:
    """The same with hashes as an earlier version wrote them."""
    return {k: v.removeprefix("v1-") if isinstance(v, str) else v for k, v in mapping.items()}


async def test_a_workload_of_an_earlier_version_keeps_its_pods() -> None:
    """Which called the same template by the same ten characters without a prefix."""
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 2), clique("b", 1)], [group("g", ["b"], 2)], replicas=2))
        await w.rest()
        await w.stop_operator()

        for kind in (POD, POD_CLIQUE, SCALING_GROUP, POD_CLIQUE_SET):
            for obj in w.api.objects(kind):
                name = obj["metadata"]["name"]
                labels, status = earlier(obj["metadata"].get("labels") or {}), earlier(obj["status"])
                await w.api.patch(kind, "ml", name, {"metadata": {"labels": labels}})
                await w.api.patch(kind, "ml", name, {"status": status}, subresource="status")
        assert not any(one.startswith("v1-") for one in hashes(w))
        before = uids(w, POD, POD_CLIQUE)
        w.start_operator()
        await w.rest()
        assert uids(w, POD, POD_CLIQUE) == before
        assert all(one.startswith("v1-") for one in hashes(w))
        assert "updateProgress" not in pcs_status(w)


@pytest.mark.parametrize("how", ["background", "foreground"])
async def test_what_was_deleted_while_nobody_took_finalizers_off_goes_when_this_operator_comes(how: str) -> None:
    async with world() as w:
        await left_behind(w, podcliqueset([clique("a", 2), clique("b", 1)], [group("g", ["b"], 2)]))
        if how == "foreground":  # what the garbage collector adds is not ours to take
            both = ["grove.io/podcliqueset.grove.io", "foregroundDeletion"]
            await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"metadata": {"finalizers": both}})
        await w.api.delete(POD_CLIQUE_SET, "ml", "web")
        await w.rest(5)
        assert w.names(POD_CLIQUE_SET) == ["web"]
        w.start_operator()
        await w.rest()
        if how == "foreground":
            assert w.api.objects(POD_CLIQUE_SET)[0]["metadata"]["finalizers"] == ["foregroundDeletion"]
        else:
            assert w.everything() == []


async def test_the_token_of_early_releases_stays_while_the_set_does() -> None:
    async with world() as w:
        await left_behind(w, podcliqueset([clique("a", 1)]))
        w.start_operator()
        await w.rest()
        assert w.names(SECRET) == ["web-initc-sa-token-secret"]


async def test_nvlink_domains_lose_the_finalizer_that_nobody_would_take_off_alive_or_going() -> None:
    async with world(Settings(nvlink_enabled=True)) as w:
        gpu = {"containers": [{"name": "main", "image": "x", "resources": {"limits": {"nvidia.com/gpu": 1}}}]}
        pcs = podcliqueset([clique("a", 1, podSpec=gpu)])
        pcs["metadata"]["annotations"] = {"grove.io/mnnvl-group": "one"}
        await w.apply(pcs)
        await w.rest()
        await w.stop_operator()
        finalizers = {"metadata": {"finalizers": ["grove.io/computedomain-finalizer", "other.io/keep"]}}
        await w.api.patch(COMPUTE_DOMAIN, "ml", "web-0-one", finalizers)
        w.start_operator()
        await w.rest()
        assert w.api.objects(COMPUTE_DOMAIN)[0]["metadata"]["finalizers"] == ["other.io/keep"]
        await w.stop_operator()
        await w.api.patch(COMPUTE_DOMAIN, "ml", "web-0-one", {"metadata": {"finalizers": list(THEIRS)}})
        await w.api.delete(POD_CLIQUE_SET, "ml", "web")
        await w.rest()
        assert w.names(COMPUTE_DOMAIN) == ["web-0-one"]
        w.start_operator()
        await w.rest()
        assert w.everything() == []


def test_random_workloads_are_taken_over_with_every_object_by_operators_that_die() -> None:
    """Forty of the thousand that `make prove ISSUE=8` takes over."""
    figures = take_overs(70_000, 40, lambda done: None)
    assert figures["workloads"] == 40
    assert figures["operators_killed"] > 20
