"""The rules of `grove simulate`, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.api.kinds import Json
from grove_operator.engine.whatif.documents import InputError
from grove_operator.engine.whatif.expansion import expand
from grove_operator.engine.whatif.inputs import gather
from grove_operator.engine.whatif.simulation import simulate
from tests.unit.whatif.manifests import GATE, RACKS, clique_set, gang, node, pod


def nodes_of(*objects: Json, dump: tuple[Json, ...] = ()) -> dict[str, str | None]:
    """Node by pod of every placed gang."""
    placements = simulate(objects, dump).to_json()["placements"]
    return {p["name"]: p["node"] for placement in placements for p in placement["pods"]}


def reasons_of(*objects: Json) -> dict[str, list[Any]]:
    """Reasons by unplaced gang."""
    return {entry["gang"]: entry["reasons"] for entry in simulate(objects).to_json()["unplaced"]}


def test_the_shape_is_the_documented_one() -> None:
    done = simulate([node("a", 2), node("b", 0), pod("p"), gang("g", "p"), pod("q", 9), gang("h", "q")]).to_json()
    assert list(done) == ["placements", "unplaced", "preempted"]
    assert done["placements"] == [
        {"gang": "g", "namespace": "ns", "score": 1.0, "pods": [{"namespace": "ns", "name": "p", "node": "a"}]}
    ]
    (unplaced,) = done["unplaced"]
    assert (unplaced["gang"], unplaced["namespace"]) == ("h", "ns")
    (reason,) = unplaced["reasons"]
    assert reason["scope"] == "podgang h"
    assert "nvidia.com/gpu" in reason["message"]
    assert (reason["reason"], reason["resource"], reason["short"], reason["proven"]) == (
        "Insufficient",
        "nvidia.com/gpu",
        8,
        True,
    )
    assert done["preempted"] == []


def test_a_missing_initialized_counts_as_true() -> None:
    assert nodes_of(node("a", 1), pod("p"), gang("g", "p")) == {"p": "a"}


def test_a_gang_that_says_it_is_not_initialized_is_not_tried() -> None:
    status = {"conditions": [{"type": "Initialized", "status": "False", "message": "1 of 2 pods exist"}]}
    reasons = reasons_of(node("a", 1), pod("p"), gang("g", "p", status=status))
    assert [r["reason"] for r in reasons["g"]] == ["NotInitialized"]
    assert "1 of 2 pods exist" in reasons["g"][0]["message"]


def test_groves_gate_counts_as_lifted_other_gates_hold() -> None:
    assert nodes_of(node("a", 1), pod("p", gates=(GATE,)), gang("g", "p")) == {"p": "a"}
    reasons = reasons_of(node("a", 1), pod("p", gates=(GATE, "quota.example/wait")), gang("g", "p"))
    assert [r["reason"] for r in reasons["g"]] == ["PodGated"]
    assert "quota.example/wait" in reasons["g"][0]["message"]
    assert GATE not in reasons["g"][0]["message"]


def test_a_gated_member_beyond_the_minimum_has_no_node_and_holds_nobody_back() -> None:
    held = pod("q", gates=("quota.example/wait",))
    assert nodes_of(node("a", 9), pod("p"), held, gang("g", "p", "q", minimum=1)) == {"p": "a", "q": None}


@pytest.mark.parametrize("scheduler", ["default-scheduler", "kai-scheduler", "grove-scheduler"])
def test_the_scheduler_name_of_a_gangs_member_is_ignored(scheduler: str) -> None:
    assert nodes_of(node("a", 1), pod("p", schedulerName=scheduler), gang("g", "p")) == {"p": "a"}


def test_pods_with_a_node_name_count_as_running_whatever_their_scheduler() -> None:
    running = pod("other", 1, on="a", schedulerName="default-scheduler")
    assert nodes_of(node("a", 1), node("b", 1), running, pod("p"), gang("g", "p")) == {"p": "b"}


def test_a_running_member_is_an_anchor() -> None:
    there = (RACKS, node("a", 1, "r1"), node("b", 1, "r2"), node("c", 1, "r2"))
    placed = nodes_of(*there, pod("p", on="c"), pod("q"), gang("g", "p", "q", required="rack"))
    assert placed == {"p": "c", "q": "b"}


def test_ended_pods_hold_nothing() -> None:
    over = {**pod("other", 1, on="a"), "status": {"phase": "Succeeded"}}
    assert nodes_of(node("a", 1), over, pod("p"), gang("g", "p")) == {"p": "a"}


def test_terminating_pods_hold_their_place() -> None:
    going = pod("other", 1, on="a", meta={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    assert list(reasons_of(node("a", 1), going, pod("p"), gang("g", "p"))) == ["g"]


def test_a_terminating_member_is_a_reason() -> None:
    going = pod("p", on="a", meta={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    reasons = reasons_of(node("a", 1), going, gang("g", "p"))
    assert [(r["reason"], r["pods"]) for r in reasons["g"]] == [("PodTerminating", ["ns/p"])]


def test_a_terminating_gang_is_not_placed_and_not_told_of() -> None:
    going = gang("g", "p")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    done = simulate([node("a", 1), pod("p"), going]).to_json()
    assert (done["placements"], done["unplaced"]) == ([], [])


def test_a_reference_to_an_absent_pod_is_an_unplaced_reason_that_names_it() -> None:
    reasons = reasons_of(node("a", 9), pod("p"), gang("g", "p", "ghost"))
    assert [(r["scope"], r["reason"]) for r in reasons["g"]] == [("podgroup g-w", "PodMissing")]
    assert "ns/ghost" in reasons["g"][0]["message"]


def test_an_absent_pod_beyond_the_minimum_has_no_node_and_a_reason() -> None:
    (placed,) = simulate([node("a", 9), pod("p"), gang("g", "p", "ghost", minimum=1)]).to_json()["placements"]
    assert [(p["name"], p["node"]) for p in placed["pods"]] == [("p", "a"), ("ghost", None)]
    assert [r["reason"] for r in placed["reasons"]] == ["PodMissing"]


def test_fewer_references_than_the_minimum_is_a_reason() -> None:
    reasons = reasons_of(node("a", 9), pod("p"), gang("g", "p", minimum=2))
    assert [r["reason"] for r in reasons["g"]] == ["TooFewReferences"]


def test_a_member_beyond_the_minimum_without_room_has_no_node_and_the_gang_is_placed() -> None:
    done = simulate([node("a", 1), pod("p"), pod("q"), gang("g", "p", "q", minimum=1)])
    assert done.is_all_placed
    (placed,) = done.to_json()["placements"]
    assert [p["node"] for p in placed["pods"]] == ["a", None]
    assert [r["pods"] for r in placed["reasons"]] == [["ns/q"]]


def test_a_pod_of_ours_without_a_gang_is_a_gang_of_one_and_other_schedulers_pods_are_left_alone() -> None:
    ours, other = pod("solo", schedulerName="grove-scheduler"), pod("theirs")
    done = simulate([node("a", 1), ours, other]).to_json()
    assert [(p["gang"], p["pods"][0]["node"]) for p in done["placements"]] == [("pod solo", "a")]
    assert done["unplaced"] == []


def test_an_unknown_topology_is_a_reason_and_other_gangs_are_placed() -> None:
    lost = gang("g", "p", required="rack")
    lost["metadata"]["annotations"] = {"grove.io/topology-name": "nowhere"}
    objects = [RACKS, node("a", 2), pod("p"), lost, pod("q"), gang("h", "q")]
    assert [r["reason"] for r in reasons_of(*objects)["g"]] == ["UnknownTopology"]
    assert nodes_of(*objects) == {"q": "a"}


def test_a_hand_written_node_is_ready_and_takes_pods_unless_it_says_otherwise() -> None:
    sick = node("a", 1)
    sick["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    full = node("b", 1)
    full["status"]["allocatable"]["pods"] = "0"
    assert nodes_of(sick, full, node("c", 1), pod("p"), gang("g", "p")) == {"p": "c"}


def test_priority_classes_of_the_input_decide_who_comes_first() -> None:
    urgent = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "urgent"}, "value": 7}
    objects = (node("a", 1), pod("p"), gang("a-first", "p"), pod("q", priorityClassName="urgent"), gang("g", "q"))
    assert nodes_of(*objects) == {"p": "a"}
    assert nodes_of(*objects, urgent) == {"q": "a"}


def test_pods_of_an_expanded_set_are_named_by_podclique_and_index() -> None:
    assert nodes_of(node("a", 2), clique_set("web")) == {"web-0-w-0": "a", "web-0-w-1": "a"}


def test_a_set_whose_constraint_names_an_absent_topology_is_bad_input_as_it_is_to_admission() -> None:
    with pytest.raises(InputError, match=r"podcliqueset ns/web: .*topologyName.*does not exist; create it first"):
        simulate([node("a", 2), clique_set("web", required="rack")])


def test_a_scaled_gang_behind_an_unplaced_base_says_so() -> None:
    web = clique_set("web", pods=1, gpus=9)
    web["spec"]["template"]["podCliqueScalingGroups"] = [{"name": "s", "cliqueNames": ["w"], "replicas": 2}]
    reasons = reasons_of(node("a", 9), node("b", 8), clique_set("first", pods=1, gpus=9), web)
    assert [r["reason"] for r in reasons["web-0"]] == ["Insufficient"]
    assert [r["reason"] for r in reasons["web-0-s-0"]] == ["BaseGangNotPlaced"]


def test_what_the_files_hold_replaces_what_the_dump_holds() -> None:
    there = (node("a", 1), node("b", 1), pod("old", on="a"))
    bigger = node("b", 4)
    assert nodes_of(bigger, clique_set("web", pods=4), dump=there) == {f"web-0-w-{i}": "b" for i in range(4)}


def test_gangs_of_the_dump_that_wait_for_nothing_are_left_out_those_that_wait_compete() -> None:
    there = (node("a", 2), pod("r", on="a"), gang("runs", "r"), pod("w"), gang("waits", "w"))
    done = simulate([clique_set("web", pods=1)], there).to_json()
    assert [p["gang"] for p in done["placements"]] == ["waits"], "equally new: the name decides"
    assert [p["gang"] for p in done["unplaced"]] == ["web-0"]


def test_a_changed_set_is_brought_up_to_date_as_the_operator_would() -> None:
    live = list(expand(gather([node("a", 9), clique_set("web", replicas=1)])).objects.values())
    more = simulate([clique_set("web", replicas=2)], live).to_json()
    assert [p["gang"] for p in more["placements"]] == ["web-0", "web-1"]
    assert nodes_of(clique_set("web", replicas=0), dump=tuple(live)) == {}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({**node("a", 1), "status": {"allocatable": {"cpu": "many"}}}, "node a: can't be read: 'many' is not a"),
        ({**gang("g", "p"), "apiVersion": "scheduler.grove.io/v9"}, "podgang g: apiVersion scheduler.grove.io/v9"),
        ({**gang("g", "p"), "spec": {}}, "podgang ns/g: spec.podgroups: is missing"),
        (clique_set("web", minAvailable=7), "podcliqueset ns/web: .*minAvailable"),
    ],
)
def test_bad_input_names_the_object_and_the_fact(broken: Json, said: str) -> None:
    with pytest.raises(InputError, match=said):
        simulate([broken])


def test_a_bound_claim_sends_its_pod_to_where_the_volume_can_be_used_and_an_unbound_one_is_a_reason() -> None:
    zone = {"matchExpressions": [{"key": "rack", "operator": "In", "values": ["r2"]}]}
    volume: Json = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "v"},
        "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [zone]}}},
    }
    claim: Json = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c", "namespace": "ns"},
        "spec": {"volumeName": "v"},
        "status": {"phase": "Bound"},
    }
    one = pod("p")
    one["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}]
    there = (node("a", 8), node("b", 1, rack="r2"), one, gang("g", "p"))
    assert nodes_of(*there, volume, claim) == {"p": "b"}
    (reason,) = reasons_of(*there, volume)["g"]
    assert "claim c is not bound to a volume" in reason["message"]


def test_a_set_that_shares_claims_of_template_objects_has_its_pods_though_no_snapshot_holds_these() -> None:
    """What the scheduler says of claims is its own matter; the gang has to come before it."""
    sharing = clique_set("s")
    sharing["spec"]["template"]["resourceSharing"] = [{"name": "nic", "namespace": "pool", "scope": "AllReplicas"}]
    objects = expand(gather((node("a", 2), sharing), ())).objects.values()
    pods = [obj for obj in objects if obj["kind"] == "Pod"]
    assert sorted(pod["metadata"]["name"] for pod in pods) == ["s-0-w-0", "s-0-w-1"]
    assert [pod["spec"]["resourceClaims"][0]["resourceClaimName"] for pod in pods] == ["s-all-nic"] * 2
