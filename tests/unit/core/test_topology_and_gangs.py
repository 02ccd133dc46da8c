"""Topology of PodGangs, start order, scale-in order: the rules that no story shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from grove_operator.api.kinds import Json
from grove_operator.core.observed import ReplicaView
from grove_operator.core.podclique import scale_in_order
from grove_operator.core.podgangs import expected_gangs, pod_gangs
from grove_operator.core.settings import Settings
from grove_operator.core.startup import starts_after
from grove_operator.core.template import Template
from grove_operator.core.topology import levels_condition

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEVELS: Json = {"spec": {"levels": [{"domain": "block", "key": "t/block"}, {"domain": "rack", "key": "t/rack"}]}}


def constraint(required: str = "", preferred: str = "", name: str = "") -> Json:
    pack = {k: v for k, v in (("required", required), ("preferred", preferred)) if v}
    return {"pack": pack} | ({"topologyName": name} if name else {})


def pcs(startup: str = "CliqueStartupTypeAnyOrder", **template: Any) -> Json:
    def clique(name: str) -> Json:
        spec: Json = {"roleName": name, "replicas": 1, "minAvailable": 1, "podSpec": {"containers": []}}
        return {"name": name, "spec": spec}

    group: Json = {"name": "g", "cliqueNames": ["b", "c"], "replicas": 2, "minAvailable": 1}
    content: Json = {
        "cliques": [clique("a"), clique("b"), clique("c")],
        "podCliqueScalingGroups": [group],
        "cliqueStartupType": startup,
        **template,
    }
    meta: Json = {"name": "p", "namespace": "ns", "uid": "u", "generation": 3}
    return {
        "apiVersion": "grove.io/v1alpha1",
        "kind": "PodCliqueSet",
        "metadata": meta,
        "spec": {"replicas": 1, "template": content},
    }


def test_a_groups_own_constraint_is_a_group_config_in_the_base_gang_and_the_whole_of_a_scaled_one() -> None:
    obj = pcs(topologyConstraint=constraint(required="block", name="fabric"))
    obj["spec"]["template"]["podCliqueScalingGroups"][0]["topologyConstraint"] = constraint(required="rack")
    base, scaled = expected_gangs(ReplicaView(Template.of(obj), 0, topology=LEVELS))
    assert base.topology == {"packConstraint": {"required": "t/block"}}
    assert base.group_configs == (
        {
            "name": "p-0-g-0",
            "podGroupNames": ["p-0-g-0-b", "p-0-g-0-c"],
            "topologyConstraint": {"packConstraint": {"required": "t/rack"}},
        },
    )
    assert (scaled.name, scaled.topology) == ("p-0-g-0", {"packConstraint": {"required": "t/rack"}})


def test_an_unknown_level_drops_its_half_and_the_condition_names_it() -> None:
    obj = pcs(topologyConstraint=constraint(required="zone", preferred="rack", name="fabric"))
    template = Template.of(obj)
    base = next(iter(expected_gangs(ReplicaView(template, 0, topology=LEVELS))))
    assert base.topology == {"packConstraint": {"preferred": "t/rack"}}
    said = levels_condition(template, LEVELS, enabled=True)
    assert said is not None
    assert (said["status"], said["reason"]) == ("True", "ClusterTopologyLevelsUnavailable")
    assert "zone" in said["message"]
    missing = levels_condition(template, None, enabled=True)
    assert missing is not None
    assert missing["reason"] == "ClusterTopologyNotFound"
    assert levels_condition(Template.of(pcs()), None, enabled=False) is None


def test_no_gang_is_written_before_all_its_pods_exist() -> None:
    assert list(pod_gangs(ReplicaView(Template.of(pcs()), 0), NOW, Settings())) == []


def test_explicit_parents_in_a_group_mean_every_base_replica_and_only_the_own_one_in_a_scaled_gang() -> None:
    obj = pcs("CliqueStartupTypeExplicit")
    obj["spec"]["template"]["cliques"][2]["spec"]["startsAfter"] = ["a", "b"]
    obj["spec"]["template"]["podCliqueScalingGroups"][0] |= {"replicas": 3, "minAvailable": 2}
    template = Template.of(obj)
    group, clique = template.groups[0], template.clique_by_name["c"]
    assert starts_after(template, 0, clique, group, 1) == ["p-0-a", "p-0-g-0-b", "p-0-g-1-b"]
    assert starts_after(template, 0, clique, group, 2) == ["p-0-g-2-b"]


def test_scale_in_takes_unbound_then_unready_then_outdated_then_newest() -> None:
    def pod(name: str, *, node: str = "n", ready: bool = True, hash_: str = "new", born: str = "1") -> Json:
        status: Json = {"phase": "Running" if node else "Pending"}
        status["conditions"] = [{"type": "Ready", "status": str(ready)}]
        labels = {"grove.io/pod-template-hash": hash_}
        meta: Json = {"name": name, "uid": name, "creationTimestamp": born, "labels": labels}
        return {"metadata": meta, "spec": {"nodeName": node} if node else {}, "status": status}

    pods = [
        pod("oldest"),
        pod("newest", born="3"),
        pod("outdated", hash_="old"),
        pod("unready", ready=False),
        pod("unbound", node=""),
    ]
    order = [p["metadata"]["name"] for p in scale_in_order(pods, "new")]
    assert order == ["unbound", "unready", "outdated", "newest", "oldest"]


def test_defaults_of_admission_do_not_change_a_hash() -> None:
    bare, filled = pcs(), pcs()
    for clique in filled["spec"]["template"]["cliques"]:
        clique["spec"]["podSpec"] |= {"restartPolicy": "Always", "terminationGracePeriodSeconds": 30}
    assert Template.of(bare).generation_hash == Template.of(filled).generation_hash
    more = pcs()
    more["spec"]["template"]["cliques"][0]["spec"]["replicas"] = 7
    assert Template.of(more).generation_hash == Template.of(bare).generation_hash
    other = pcs(priorityClassName="high")
    assert Template.of(other).generation_hash != Template.of(bare).generation_hash
