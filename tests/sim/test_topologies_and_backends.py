"""Schedulers' own objects: kept in step with bindings and gangs, compared where somebody else keeps them."""

from __future__ import annotations

from grove_operator.api import conditions
from grove_operator.api.constants import SCHEDULER_NAME
from grove_operator.api.kinds import (
    CLUSTER_TOPOLOGY_BINDING,
    EVENT,
    KAI_POD_GROUP,
    KAI_TOPOLOGY,
    POD_CLIQUE_SET,
    POD_GANG,
    Json,
)
from grove_operator.core.settings import Settings
from tests.sim.shapes import clique, podcliqueset
from tests.sim.world import World, world

KAI = Settings(backends=(SCHEDULER_NAME, "default-scheduler", "kai-scheduler"))
DRIFT = "SchedulerTopologyDrift"


def binding(*domains: str, bound_to: str = "") -> Json:
    spec: Json = {"levels": [{"domain": d, "key": f"t/{d}"} for d in domains]}
    if bound_to:
        spec["schedulerTopologyBindings"] = [{"schedulerName": "kai-scheduler", "topologyReference": bound_to}]
    return {"metadata": {"name": "fabric"}, "spec": spec}


def keys_of(w: World, name: str = "fabric") -> list[str]:
    topology = w.api.find(KAI_TOPOLOGY, "", name) or {"spec": {"levels": []}}
    return [level["nodeLabel"] for level in topology["spec"]["levels"]]


def uid(w: World) -> str:
    return str((w.api.find(KAI_TOPOLOGY, "", "fabric") or {})["metadata"]["uid"])


def drift(w: World) -> tuple[str, str]:
    live = w.api.find(CLUSTER_TOPOLOGY_BINDING, "", "fabric")
    said = conditions.find(live, DRIFT) or {"status": "", "reason": ""}
    return said["status"], said["reason"]


def reasons(w: World) -> list[str]:
    return [e["reason"] for e in w.api.objects(EVENT) if e["involvedObject"]["kind"] == "ClusterTopologyBinding"]


async def test_a_topology_is_made_and_made_anew_when_the_levels_change_or_somebody_changes_it() -> None:
    async with world(KAI) as w:
        await w.api.create(CLUSTER_TOPOLOGY_BINDING, None, binding("zone", "rack"))
        await w.rest()
        assert keys_of(w) == ["t/zone", "t/rack"]
        assert drift(w) == ("False", "InSync")
        first = uid(w)
        levels = binding("zone", "block", "rack")["spec"]
        await w.api.patch(CLUSTER_TOPOLOGY_BINDING, None, "fabric", {"spec": levels})
        await w.rest()
        assert keys_of(w) == ["t/zone", "t/block", "t/rack"]
        assert uid(w) != first  # KAI refuses other levels in a patch
        await w.api.patch(KAI_TOPOLOGY, None, "fabric", {"spec": {"levels": [{"nodeLabel": "other"}]}})
        await w.rest()
        assert keys_of(w) == ["t/zone", "t/block", "t/rack"]
        await w.api.delete(KAI_TOPOLOGY, None, "fabric")
        await w.rest()
        assert keys_of(w) == ["t/zone", "t/block", "t/rack"]
        assert drift(w) == ("False", "InSync")
        status = (w.api.find(CLUSTER_TOPOLOGY_BINDING, "", "fabric") or {})["status"]
        assert status["observedGeneration"] == 2
        before = w.writes_of("operator")
        await w.rest(600)
        assert w.writes_of("operator") == before


async def test_somebody_elses_topology_is_compared_and_never_touched() -> None:
    async with world(KAI) as w:
        await w.api.create(CLUSTER_TOPOLOGY_BINDING, None, binding("zone", "rack", bound_to="theirs"))
        await w.rest()
        assert drift(w) == ("Unknown", "TopologyNotFound")
        theirs: Json = {"metadata": {"name": "theirs"}, "spec": {"levels": [{"nodeLabel": "t/zone"}]}}
        made = await w.api.create(KAI_TOPOLOGY, None, theirs)
        await w.rest()
        assert drift(w) == ("True", "Drift")
        entries = (w.api.find(CLUSTER_TOPOLOGY_BINDING, "", "fabric") or {})["status"]["schedulerTopologyStatuses"]
        assert (entries[0]["topologyReference"], entries[0]["inSync"]) == ("theirs", False)
        assert entries[0]["message"] == "topology theirs has levels t/zone, the binding t/zone, t/rack"
        assert w.api.find(KAI_TOPOLOGY, "", "theirs") == made
        levels = {"levels": [{"nodeLabel": "t/zone"}, {"nodeLabel": "t/rack"}]}
        await w.api.patch(KAI_TOPOLOGY, None, "theirs", {"spec": levels})
        await w.rest()
        assert drift(w) == ("False", "InSync")
        assert reasons(w) == ["TopologyDriftDetected", "TopologyInSync"]
        assert w.names(KAI_TOPOLOGY) == ["theirs"]


async def test_a_topology_of_the_bindings_name_that_is_not_ours_is_told_and_left_alone() -> None:
    async with world(KAI) as w:
        theirs: Json = {"metadata": {"name": "fabric"}, "spec": {"levels": [{"nodeLabel": "x"}]}}
        await w.api.create(KAI_TOPOLOGY, None, theirs)
        await w.api.create(CLUSTER_TOPOLOGY_BINDING, None, binding("zone"))
        await w.rest()
        assert keys_of(w) == ["x"]
        (entry,) = (w.api.find(CLUSTER_TOPOLOGY_BINDING, "", "fabric") or {})["status"]["schedulerTopologyStatuses"]
        assert not entry["inSync"]
        assert "is not controlled by this object" in entry["message"]


async def test_where_kai_is_not_installed_a_binding_has_nothing_to_be_in_step_with() -> None:
    async with world(KAI) as w:
        await w.stop_operator()
        w.api.serve(KAI_TOPOLOGY, is_served=False)
        w.start_operator()
        await w.api.create(CLUSTER_TOPOLOGY_BINDING, None, binding("zone"))
        await w.rest()
        assert drift(w) == ("", "")
        assert w.api.find(CLUSTER_TOPOLOGY_BINDING, "", "fabric")["status"] == {"observedGeneration": 1}  # type: ignore[index]


def for_kai(**template: object) -> Json:
    pods: Json = {"schedulerName": "kai-scheduler"}
    pcs = podcliqueset([clique("a", 2, 1, podSpec=pods)], **template)
    pcs["metadata"]["annotations"] = {"kai.scheduler/queue": "q"}
    return pcs


async def test_a_podgroup_follows_its_gang_keeps_what_kai_owns_and_comes_back() -> None:
    async with world(KAI) as w:
        await w.apply(for_kai())
        await w.rest()
        made = w.api.objects(KAI_POD_GROUP)[0]
        assert (made["spec"]["queue"], made["spec"]["minMember"]) == ("q", 1)
        theirs: Json = {"spec": {"queue": "moved", "markUnschedulable": True}}
        theirs["metadata"] = {"labels": {"kai.scheduler/node-pool": "p"}, "annotations": {"x": "y"}}
        await w.api.patch(KAI_POD_GROUP, "ml", "web-0", theirs)
        await w.api.patch(KAI_POD_GROUP, "ml", "web-0", {"spec": {"minMember": 9}})
        await w.rest()
        kept = w.api.objects(KAI_POD_GROUP)[0]
        assert (kept["spec"]["queue"], kept["spec"]["minMember"]) == ("moved", 1)
        assert kept["spec"]["markUnschedulable"] is True
        assert kept["metadata"]["labels"]["kai.scheduler/node-pool"] == "p"
        assert kept["metadata"]["annotations"]["x"] == "y"
        await w.api.delete(KAI_POD_GROUP, "ml", "web-0")
        await w.clock.advance(1.0)
        assert w.names(KAI_POD_GROUP) == ["web-0"]
        await w.api.delete(POD_GANG, "ml", "web-0")
        await w.rest()
        assert w.names(KAI_POD_GROUP) == w.names(POD_GANG) == ["web-0"]
        await w.api.patch(POD_CLIQUE_SET, "ml", "web", {"spec": {"replicas": 0}})
        await w.rest()
        assert w.names(KAI_POD_GROUP) == []


async def test_a_queue_that_only_the_cliques_name_is_the_gangs() -> None:
    pods: Json = {"schedulerName": "kai-scheduler"}
    named: Json = {**clique("a", 1, podSpec=pods), "annotations": {"kai.scheduler/queue": "from-clique"}}
    async with world(KAI) as w:
        await w.apply(podcliqueset([named, clique("b", 1, podSpec=pods)]))
        await w.rest()
        assert w.api.objects(KAI_POD_GROUP)[0]["spec"]["queue"] == "from-clique"


async def test_a_topology_level_that_vanishes_frees_the_gang_and_its_podgroup_and_one_that_returns_binds_them() -> None:
    pack: Json = {"topologyName": "fabric", "pack": {"required": "rack"}}
    async with world(KAI) as w:
        await w.api.create(CLUSTER_TOPOLOGY_BINDING, None, binding("zone", "rack"))
        await w.apply(for_kai(topologyConstraint=pack))
        await w.rest()
        bound = {"topology": "fabric", "requiredTopologyLevel": "t/rack"}
        assert w.api.objects(KAI_POD_GROUP)[0]["spec"]["topologyConstraint"] == bound
        uids = {p["metadata"]["uid"] for p in w.pods("web-0-a")}
        for domains, constraint, said in ((("zone",), None, "True"), (("zone", "rack"), bound, "False")):
            await w.api.patch(CLUSTER_TOPOLOGY_BINDING, None, "fabric", {"spec": binding(*domains)["spec"]})
            await w.rest()
            assert w.api.objects(KAI_POD_GROUP)[0]["spec"].get("topologyConstraint") == constraint
            condition = conditions.find(w.api.objects(POD_CLIQUE_SET)[0], "TopologyLevelsUnavailable") or {}
            assert condition["status"] == said
        assert {p["metadata"]["uid"] for p in w.pods("web-0-a")} == uids
