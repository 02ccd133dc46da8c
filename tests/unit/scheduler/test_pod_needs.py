"""Quantities, effective requests and predicates, read from manifests."""

from __future__ import annotations

import pytest

from grove_operator.api.kinds import Json
from grove_operator.scheduler.model import Expression, Needs, Node, Taint, Toleration
from grove_operator.scheduler.predicates import claims_collide, objection, objections
from grove_operator.scheduler.quantity import amount, spell
from grove_operator.scheduler.requests import effective_requests, needs_of


@pytest.mark.parametrize(
    ("resource", "text", "expected"),
    [
        ("cpu", "2", 2000),
        ("cpu", "1500m", 1500),
        ("cpu", "0.1", 100),
        ("cpu", "1u", 1),
        ("memory", "1Gi", 2**30),
        ("memory", "1500m", 2),
        ("memory", "1e3", 1000),
        ("memory", "1E", 10**18),
        ("memory", "16G", 16 * 10**9),
        ("nvidia.com/gpu", 8, 8),
    ],
)
def test_quantities_become_whole_units_rounded_up(resource: str, text: str | int, expected: int) -> None:
    assert amount(resource, text) == expected


@pytest.mark.parametrize("text", ["", "many", "1Qi", "1.2.3"])
def test_what_is_no_quantity_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a Kubernetes quantity"):
        amount("cpu", text)


def test_amounts_read_like_kubernetes() -> None:
    assert [spell("cpu", 1500), spell("cpu", 2000), spell("memory", 3 * 2**29), spell("nvidia.com/gpu", 1)] == [
        "1500m cpu",
        "2 cpu",
        "1.5Gi memory",
        "1 nvidia.com/gpu",
    ]


def box(restart: str = "", **requests: str) -> Json:
    found: Json = {"name": "c", "resources": {"requests": requests}}
    return {**found, "restartPolicy": restart} if restart else found


def test_a_large_init_container_counts_with_the_sidecars_started_before_it() -> None:
    spec = {
        "initContainers": [box("Always", cpu="1"), box(cpu="6"), box("Always", cpu="2")],
        "containers": [box(cpu="1"), box(cpu="1")],
        "overhead": {"cpu": "250m"},
    }
    assert effective_requests(spec) == {"cpu": 7250, "pods": 1}
    spec["containers"].append(box(cpu="10"))
    assert effective_requests(spec)["cpu"] == 15250


def test_limits_stand_in_for_absent_requests_and_pod_level_requests_replace_the_sum() -> None:
    limited = {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "2"}}}]}
    assert effective_requests(limited)["nvidia.com/gpu"] == 2
    assert effective_requests({**limited, "resources": {"requests": {"cpu": "3"}}})["cpu"] == 3000


def a_node(**fields: object) -> Node:
    labels = {"gpu": "H100", "gen": "4"}
    return Node(**{"name": "n", "labels": labels, "allocatable": (), **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("needs", "node", "why"),
    [
        (Needs(()), a_node(), None),
        (Needs(()), a_node(ready=False), "not ready"),
        (Needs(()), a_node(unschedulable=True), "unschedulable (cordoned)"),
        (Needs(()), a_node(taints=(Taint("t", "v", "PreferNoSchedule"),)), None),
        (Needs(()), a_node(taints=(Taint("t", "v", "NoExecute"),)), "untolerated taint t=v:NoExecute"),
        (
            Needs((), tolerations=(Toleration("t", "Equal", "v"),)),
            a_node(taints=(Taint("t", "v", "NoSchedule"),)),
            None,
        ),
        (Needs((), tolerations=(Toleration(operator="Exists"),)), a_node(unschedulable=True), None),
        (Needs((), selector=(("gpu", "B200"),)), a_node(), "don't match the pod's nodeSelector"),
        (Needs((), affinity=((Expression("gpu", "In", ("H100",)),),)), a_node(), None),
        (Needs((), affinity=((Expression("gen", "Gt", ("4",)),),)), a_node(), "don't match the pod's node affinity"),
        (Needs((), affinity=((Expression("x", "Exists"),), (Expression("x", "DoesNotExist"),))), a_node(), None),
        (Needs((), affinity=((),)), a_node(), "don't match the pod's node affinity"),
        (Needs((), affinity=((Expression("metadata.name", "In", ("n",), True),),)), a_node(), None),
    ],
)
def test_a_rule_that_keeps_a_pod_off_a_node_is_named(needs: Needs, node: Node, why: str | None) -> None:
    assert objection(needs, node) == why
    assert objections(needs, [node]).total() == (why is not None)


def test_host_claims_collide_on_the_same_or_any_address() -> None:
    assert claims_collide([("0.0.0.0", "TCP", 80)], [("10.0.0.1", "TCP", 80)])
    assert not claims_collide([("10.0.0.2", "TCP", 80)], [("10.0.0.1", "TCP", 80)])
    assert not claims_collide([("0.0.0.0", "TCP", 80)], [("0.0.0.0", "UDP", 80)])


def test_features_that_are_not_modelled_are_listed_by_name() -> None:
    spec: Json = {
        "containers": [],
        "resourceClaims": [{"name": "gpu"}],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "rack"}]}},
        "topologySpreadConstraints": [{"whenUnsatisfiable": "DoNotSchedule"}, {"whenUnsatisfiable": "ScheduleAnyway"}],
    }
    assert needs_of(spec).unsupported == (
        "resourceClaims",
        "required podAntiAffinity by rack",
        "topologySpreadConstraints with DoNotSchedule",
    )
