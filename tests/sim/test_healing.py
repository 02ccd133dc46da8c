"""What somebody changes or deletes by hand comes back, told by watches alone: no resync is waited for."""

from __future__ import annotations

from grove_operator.api.kinds import (
    EVENT,
    HPA,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    ROLE,
    ROLE_BINDING,
    SCALING_GROUP,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Json,
    Kind,
)
from tests.sim.shapes import clique, group, podcliqueset
from tests.sim.world import World, load, world

SOON_S = 1.0
"""Of virtual time; a resync, had we one, would take minutes."""
DELETED = [
    (SERVICE, "svc-0"),
    (HPA, "svc-0-fe"),
    (HPA, "svc-0-pre"),
    (POD_GANG, "svc-0"),
    (POD_GANG, "svc-0-pre-1"),
    (SECRET, "svc-ic-sat"),
    (SERVICE_ACCOUNT, "svc"),
    (ROLE, "grove.io:pcs:svc"),
    (ROLE_BINDING, "grove.io:pcs:svc"),
]
CHANGED: list[tuple[Kind, str, Json]] = [
    (SERVICE, "svc-0", {"spec": {"selector": {"stray": "yes"}}}),
    (SERVICE, "svc-0", {"spec": {"publishNotReadyAddresses": False}}),
    (SERVICE, "svc-0", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}),
    (SERVICE, "svc-0", {"metadata": {"labels": {"grove.io/podcliqueset-replica-index": None}}}),
    (HPA, "svc-0-fe", {"spec": {"maxReplicas": 99}}),
    (HPA, "svc-0-pre", {"spec": {"scaleTargetRef": {"name": "somebody-else"}}}),
    (POD_GANG, "svc-0", {"spec": {"podgroups": []}}),
    (POD_GANG, "svc-0-pre-0", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}),
    (SECRET, "svc-ic-sat", {"metadata": {"annotations": {"kubernetes.io/service-account.name": "other"}}}),
    (SERVICE_ACCOUNT, "svc", {"automountServiceAccountToken": False}),
    (ROLE, "grove.io:pcs:svc", {"rules": []}),
    (ROLE_BINDING, "grove.io:pcs:svc", {"subjects": []}),
    (POD_CLIQUE, "svc-0-fe", {"metadata": {"labels": {"grove.io/podcliqueset-replica-index": None}}}),
    (POD_CLIQUE, "svc-0-fe", {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}),
    (SCALING_GROUP, "svc-0-pre", {"metadata": {"labels": {"grove.io/podcliqueset-replica-index": None}}}),
    (SCALING_GROUP, "svc-0-pre", {"spec": {"minAvailable": 2}}),
]


def story() -> Json:
    """The worked example, with autoscalers."""
    obj = load("worked-example.yaml")
    template = obj["spec"]["template"]
    next(c for c in template["cliques"] if c["name"] == "fe")["spec"]["autoScalingConfig"] = {"maxReplicas": 5}
    template["podCliqueScalingGroups"][0]["scaleConfig"] = {"maxReplicas": 6}
    return obj


def contents(w: World) -> dict[str, Json]:
    """Everything but statuses, Events and what a server sets; references of gangs in name order."""
    found: dict[str, Json] = {}
    for kind in (*{kind for kind, _ in DELETED}, POD_CLIQUE, SCALING_GROUP, POD):
        for obj in w.api.objects(kind):
            meta = {k: obj["metadata"].get(k) for k in ("labels", "annotations", "ownerReferences")}
            rest = {k: v for k, v in obj.items() if k not in ("metadata", "status")}
            found[f"{kind.kind}/{obj['metadata']['name']}"] = {"metadata": meta, **rest}
    return found


async def test_a_deleted_object_is_made_again() -> None:
    async with world() as w:
        await w.apply(story())
        await w.rest()
        before = contents(w)
        for kind, name in DELETED:
            await w.api.delete(kind, "ml", name)
            await w.rest(SOON_S)
            assert contents(w) == before, f"{kind.kind} {name}"
        writes = w.writes_of("operator")
        await w.rest(600)
        assert w.writes_of("operator") == writes


async def test_a_changed_object_is_changed_back() -> None:
    async with world() as w:
        await w.apply(story())
        await w.rest()
        before = contents(w)
        for kind, name, change in CHANGED:
            await w.api.patch(kind, "ml", name, change)
            assert contents(w) != before, f"{kind.kind} {name}: {change} changes nothing"
            await w.rest(SOON_S)
            assert contents(w) == before, f"{kind.kind} {name}: {change}"
        writes = w.writes_of("operator")
        await w.rest(600)
        assert w.writes_of("operator") == writes


async def test_a_pod_that_lost_a_label_gets_it_back_and_is_not_replaced() -> None:
    async with world() as w:
        await w.apply(story())
        await w.rest()
        before = contents(w)
        for key in ("grove.io/podgang", "grove.io/podclique", "grove.io/podcliqueset-replica-index"):
            pod = w.pods("svc-0-pre-0-work")[0]["metadata"]["name"]
            await w.api.patch(POD, "ml", pod, {"metadata": {"labels": {key: None}}})
            await w.rest(SOON_S)
            assert contents(w) == before, key


async def test_a_status_that_somebody_overwrote_tells_the_truth_again_with_the_next_change() -> None:
    async with world() as w:
        await w.apply(story())
        await w.rest()
        lie: Json = {"status": {"readyReplicas": 0, "replicas": 77}}
        await w.api.patch(POD_CLIQUE, "ml", "svc-0-fe", lie, subresource="status")
        await w.api.delete(POD, "ml", w.pods("svc-0-fe")[0]["metadata"]["name"])
        await w.rest()
        status = (w.api.find(POD_CLIQUE, "ml", "svc-0-fe") or {})["status"]
        assert (status["readyReplicas"], status["replicas"]) == (2, 2)


async def test_the_loss_of_all_scheduled_pods_is_told_once_and_a_wanted_zero_is_not() -> None:
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 2)], [group("g", ["a"], 1)]))
        await w.rest()
        await w.stop_scheduler()
        for pod in w.api.objects(POD):
            await w.api.delete(POD, "ml", pod["metadata"]["name"])
        await w.rest()
        lost = [e for e in w.api.objects(EVENT) if e["reason"] == "AllScheduledReplicasLost"]
        about = sorted((e["involvedObject"]["kind"], e["type"]) for e in lost)
        assert about == [("PodClique", "Warning"), ("PodCliqueScalingGroup", "Warning")]
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 2)]))
        await w.rest()
        await w.api.patch(POD_CLIQUE, "ml", "web-0-a", {"spec": {"replicas": 0}})
        await w.rest()
        assert not [e for e in w.api.objects(EVENT) if e["reason"] == "AllScheduledReplicasLost"]


async def test_a_gang_gains_and_loses_its_sets_labels_and_keeps_those_of_others() -> None:
    pcs = podcliqueset([clique("a", 1)])
    pcs["metadata"] |= {"labels": {"team": "x", "grove.io/own": "y"}, "annotations": {"note": "1"}}
    async with world() as w:
        await w.apply(pcs)
        await w.rest()
        theirs: Json = {"metadata": {"labels": {"their": "label"}, "annotations": {"their": "note"}}}
        await w.api.patch(POD_GANG, "ml", "web-0", theirs)
        change: Json = {"metadata": {"labels": {"team": None, "new": "z"}, "annotations": {"note": None}}}
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", change)
        await w.rest()
        meta = w.api.objects(POD_GANG)[0]["metadata"]
        assert "team" not in meta["labels"]
        assert (meta["labels"]["new"], meta["labels"]["their"]) == ("z", "label")
        assert "grove.io/own" not in meta["labels"]
        assert "note" not in meta["annotations"]
        assert meta["annotations"]["their"] == "note"


async def test_metrics_that_leave_the_template_leave_the_autoscaler() -> None:
    metrics: Json = [{"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization"}}}]
    async with world() as w:
        await w.apply(podcliqueset([clique("a", 1, autoScalingConfig={"maxReplicas": 3, "metrics": metrics})]))
        await w.rest()
        assert w.api.objects(HPA)[0]["spec"]["metrics"] == metrics
        template = podcliqueset([clique("a", 1, autoScalingConfig={"maxReplicas": 3})])["spec"]["template"]
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"spec": {"template": template}})
        await w.rest()
        assert [m["resource"]["name"] for m in w.api.objects(HPA)[0]["spec"]["metrics"]] == ["cpu"]
