"""Claims that pods share and NVLink domains: they come before their pods, and go and come back with their owners."""

from __future__ import annotations

from grove_operator.api import conditions
from grove_operator.api.kinds import (
    COMPUTE_DOMAIN,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    RESOURCE_CLAIM,
    RESOURCE_CLAIM_TEMPLATE,
    SCALING_GROUP,
    Json,
)
from grove_operator.core.settings import Settings
from tests.sim.shapes import clique, group, podcliqueset
from tests.sim.world import World, world

NVLINK = Settings(nvlink_enabled=True)
DEVICES: Json = {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "nic"}}]}}
INNER: Json = [{"name": "nic", "templateSpec": {"spec": DEVICES}}]


def shared_at_all_levels() -> Json:
    front = {**clique("fe", 3, 1), "resourceSharing": [{"name": "nic", "scope": "PerReplica"}]}
    back = group("g", ["w"], 2, resourceSharing=[{"name": "nic", "scope": "PerReplica"}])
    sharing: Json = [{"name": "nic", "scope": "PerReplica"}]
    return podcliqueset(
        [front, clique("w", 1)], [back], replicas=2, resourceClaimTemplates=INNER, resourceSharing=sharing
    )


def outside() -> Json:
    return podcliqueset([clique("a", 2)], resourceSharing=[{"name": "nic", "namespace": "pool", "scope": "PerReplica"}])


def template() -> Json:
    return {"metadata": {"name": "nic"}, "spec": {"spec": DEVICES}}


async def scale(w: World, kind: object, name: str, replicas: int) -> None:
    await w.api.patch(kind, "ml", name, {"spec": {"replicas": replicas}}, subresource="scale")  # type: ignore[arg-type]
    await w.rest()


async def test_without_its_template_object_no_pod_is_made_and_with_it_all_come_at_once() -> None:
    async with world() as w:
        await w.apply(outside())
        await w.rest()
        assert w.names(POD) == w.names(RESOURCE_CLAIM) == []
        owner = w.api.objects(POD_CLIQUE_SET)[0]
        (error,) = owner["status"]["lastErrors"]
        assert error["code"] == "ERR_SYNC_PCS_RESOURCE_CLAIM"
        assert "ResourceClaimTemplate pool/nic does not exist; create it" in error["description"]
        assert conditions.is_true(owner, "Degraded")
        writes = w.writes_of("operator")
        await w.rest(600)
        assert w.writes_of("operator") - writes <= 1  # the deadline is told, nothing is tried again

        await w.api.create(RESOURCE_CLAIM_TEMPLATE, "pool", template())
        await w.clock.advance(1.0)
        assert len(w.names(POD)) == 2
        assert w.names(RESOURCE_CLAIM) == ["web-0-nic"]
        await w.rest()
        owner = w.api.objects(POD_CLIQUE_SET)[0]
        assert "lastErrors" not in owner["status"]
        assert conditions.is_true(owner, "Available")


async def test_a_claim_keeps_the_spec_it_was_made_with() -> None:
    async with world() as w:
        await w.api.create(RESOURCE_CLAIM_TEMPLATE, "pool", template())
        await w.apply(outside())
        await w.rest()
        other: Json = {"spec": {"spec": {"devices": {"requests": [{"name": "other"}]}}}}
        await w.api.patch(RESOURCE_CLAIM_TEMPLATE, "pool", "nic", other)
        before = w.writes_of("operator")
        await w.rest()
        assert w.api.objects(RESOURCE_CLAIM)[0]["spec"] == DEVICES
        assert w.writes_of("operator") == before


async def test_a_template_object_that_goes_leaves_its_claims_and_the_pods_that_use_them() -> None:
    async with world() as w:
        await w.api.create(RESOURCE_CLAIM_TEMPLATE, "pool", template())
        own: Json = {**clique("b", 1), "resourceSharing": [{"name": "nic", "namespace": "pool", "scope": "PerReplica"}]}
        pcs = outside()
        pcs["spec"]["template"]["cliques"].append(own)
        await w.apply(pcs)
        await w.rest()
        assert w.names(RESOURCE_CLAIM) == ["web-0-b-0-nic", "web-0-nic"]
        await w.api.delete(RESOURCE_CLAIM_TEMPLATE, "pool", "nic")
        await w.rest()
        assert w.names(RESOURCE_CLAIM) == ["web-0-b-0-nic", "web-0-nic"]
        await w.api.delete(POD, "ml", w.pods("web-0-a")[0]["metadata"]["name"])
        await scale(w, POD_CLIQUE, "web-0-b", 2)
        assert (len(w.pods("web-0-a")), len(w.pods("web-0-b"))) == (2, 1)  # one has its claims, the other can't
        errors = (w.api.find(POD_CLIQUE, "ml", "web-0-b") or {})["status"]["lastErrors"]
        assert [error["code"] for error in errors] == ["ERR_SYNC_PCLQ_RESOURCE_CLAIM"]
        await w.api.create(RESOURCE_CLAIM_TEMPLATE, "pool", template())
        await w.rest()
        assert len(w.pods("web-0-b")) == 2


async def test_claims_follow_every_level_of_scaling_and_what_a_pod_uses_stays() -> None:
    async with world() as w:
        await w.apply(shared_at_all_levels())
        await w.rest()
        whole = w.names(RESOURCE_CLAIM)
        assert len(whole) == 2 + 2 * 2 + 2 * 3
        first = next(p for p in w.pods("web-0-fe") if p["spec"]["hostname"] == "web-0-fe-0")
        await w.stop_scheduler()
        await w.api.delete(POD, "ml", first["metadata"]["name"])
        await scale(w, POD_CLIQUE, "web-0-fe", 2)  # the unbound replacement at 0 goes: 1 and 2 are left
        assert {"web-0-fe-1-nic", "web-0-fe-2-nic"} <= set(w.names(RESOURCE_CLAIM))
        await scale(w, POD_CLIQUE, "web-0-fe", 0)
        await scale(w, SCALING_GROUP, "web-1-g", 1)
        left = set(w.names(RESOURCE_CLAIM))
        assert set(whole) - left == {"web-0-fe-0-nic", "web-0-fe-1-nic", "web-0-fe-2-nic", "web-1-g-1-nic"}
        await scale(w, POD_CLIQUE_SET, "web", 1)
        assert [name for name in w.names(RESOURCE_CLAIM) if name.startswith("web-1")] == []
        await scale(w, POD_CLIQUE_SET, "web", 0)
        assert w.names(RESOURCE_CLAIM) == []


async def test_domains_go_with_their_replica_also_the_last_and_come_back_when_deleted_by_hand() -> None:
    gpu: Json = {"containers": [{"name": "m", "image": "x", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}
    pcs = podcliqueset([clique("a", 1, podSpec=gpu)], replicas=2)
    pcs["metadata"]["annotations"] = {"grove.io/mnnvl-group": "wide"}
    async with world(NVLINK) as w:
        await w.apply(pcs)
        await w.rest()
        assert w.names(COMPUTE_DOMAIN) == ["web-0-wide", "web-1-wide"]
        await w.api.delete(COMPUTE_DOMAIN, "ml", "web-0-wide")
        await w.clock.advance(1.0)
        assert w.names(COMPUTE_DOMAIN) == ["web-0-wide", "web-1-wide"]
        await scale(w, POD_CLIQUE_SET, "web", 1)
        assert w.names(COMPUTE_DOMAIN) == ["web-0-wide"]
        await scale(w, POD_CLIQUE_SET, "web", 0)
        assert w.names(COMPUTE_DOMAIN) == []


async def test_an_operator_without_these_kinds_on_its_cluster_works_all_the_same() -> None:
    async with world(NVLINK) as w:
        await w.stop_operator()
        for kind in (RESOURCE_CLAIM, RESOURCE_CLAIM_TEMPLATE, COMPUTE_DOMAIN):
            w.api.serve(kind, is_served=False)
        w.start_operator()
        await w.apply(podcliqueset([clique("a", 2)]))
        await w.rest()
        assert len(w.names(POD)) == 2
        w.api.serve(RESOURCE_CLAIM, is_served=True)
        w.api.serve(RESOURCE_CLAIM_TEMPLATE, is_served=True)
        await w.rest(120)
        await w.api.create(RESOURCE_CLAIM_TEMPLATE, "pool", template())
        await w.api.delete(POD_CLIQUE_SET, "ml", "web")
        await w.rest()
        await w.apply(outside())
        await w.rest()
        assert w.names(RESOURCE_CLAIM) == ["web-0-nic"]
