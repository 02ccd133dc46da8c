"""The questions a kubelet asks of a pod, as tables."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from grove_operator.api.kinds import CONFIG_MAP, SECRET
from grove_operator.localcluster.agent.admission import (
    PVC,
    RESOURCE_CLAIM,
    Ledger,
    Reference,
    admit,
    effective_requests,
    fault_of,
    quantity,
    references,
)

Json = dict[str, Any]


def container(name: str = "c", **requests: str) -> Json:
    return {
        "name": name,
        "image": "i",
        "resources": {"requests": {k.replace("gpu", "nvidia.com/gpu"): v for k, v in requests.items()}},
    }


def pod(*containers: Json, **spec: Any) -> Json:
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": "u"},
        "spec": {"containers": list(containers) or [container()], **spec},
    }


def node(labels: dict[str, str] | None = None, **allocatable: str) -> Json:
    room = {
        "cpu": "4",
        "memory": "8Gi",
        "pods": "10",
        **{k.replace("gpu", "nvidia.com/gpu"): v for k, v in allocatable.items()},
    }
    return {"metadata": {"name": "node-a", "labels": labels or {}}, "status": {"allocatable": room}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", "2"),
        ("500m", "0.5"),
        ("1Ki", "1024"),
        ("1k", "1000"),
        ("1.5Gi", "1610612736"),
        ("1e3", "1000"),
        ("3u", "0.000003"),
    ],
)
def test_quantities_are_exact(text: str, value: str) -> None:
    assert quantity(text) == Decimal(value)


def test_effective_requests_are_the_larger_of_running_and_initialising() -> None:
    spec = {
        "initContainers": [
            container("first", cpu="3"),
            {**container("proxy", cpu="1"), "restartPolicy": "Always"},
            container("second", cpu="5", gpu="1"),
        ],
        "containers": [container("a", cpu="2"), container("b", cpu="1500m")],
        "overhead": {"cpu": "250m"},
    }
    assert effective_requests(spec) == {"cpu": Decimal("6.25"), "nvidia.com/gpu": 1}


def test_pod_level_requests_take_the_place_of_the_sum_for_cpu_and_memory_only() -> None:
    spec = {"containers": [container(cpu="2", gpu="1")], "resources": {"requests": {"cpu": "3"}}}
    assert effective_requests(spec) == {"cpu": 3, "nvidia.com/gpu": 1}


def test_a_limit_without_request_counts_as_request() -> None:
    assert effective_requests({"containers": [{"resources": {"limits": {"nvidia.com/gpu": "2"}}}]}) == {
        "nvidia.com/gpu": 2
    }


@pytest.mark.parametrize(
    ("candidate", "where", "used", "reason"),
    [
        (pod(container(cpu="4")), node(), {}, None),
        (pod(container(cpu="4")), node(), {"cpu": "1m"}, "OutOfcpu"),
        (pod(container(memory="9Gi")), node(), {}, "OutOfmemory"),
        (pod(container(gpu="2")), node(gpu="2"), {"nvidia.com/gpu": "1"}, "OutOfnvidia.com/gpu"),
        (pod(container(gpu="1")), node(), {}, "OutOfnvidia.com/gpu"),
        (pod(container(gpu="0")), node(), {}, None),
        (pod(), node(pods="3"), {"pods": "3"}, "OutOfpods"),
        (pod(nodeSelector={"rack": "r1"}), node({"rack": "r1"}), {}, None),
        (pod(nodeSelector={"rack": "r2"}), node({"rack": "r1"}), {}, "NodeAffinity"),
    ],
)
def test_a_node_takes_what_fits_and_says_what_it_is_out_of(
    candidate: Json, where: Json, used: dict[str, str], reason: str | None
) -> None:
    rejection = admit(candidate, where, {k: Decimal(v.replace("1m", "0.001")) for k, v in used.items()})
    assert (rejection.reason if rejection else None) == reason


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ({"key": "rack", "operator": "In", "values": ["r1", "r2"]}, True),
        ({"key": "rack", "operator": "NotIn", "values": ["r1"]}, False),
        ({"key": "shelf", "operator": "NotIn", "values": ["r1"]}, True),
        ({"key": "rack", "operator": "Exists"}, True),
        ({"key": "shelf", "operator": "DoesNotExist"}, True),
        ({"key": "size", "operator": "Gt", "values": ["3"]}, True),
        ({"key": "size", "operator": "Lt", "values": ["3"]}, False),
    ],
)
def test_required_affinity_is_honoured(expression: Json, holds: bool) -> None:
    required = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    rejection = admit(pod(affinity=affinity), node({"rack": "r1", "size": "4"}), {})
    assert (rejection is None) is holds


def test_a_ledger_gives_back_what_it_took() -> None:
    ledger = Ledger()
    ledger.charge("a", "1", {"cpu": Decimal(2)})
    ledger.charge("a", "2", {"cpu": Decimal(1)})
    ledger.release("1")
    ledger.release("1")
    assert ledger.used("a") == {"cpu": 1, "pods": 1}
    assert "2" in ledger
    assert "1" not in ledger


def test_required_references_are_found_once_and_optional_ones_are_not() -> None:
    spec = pod(
        {
            "name": "c",
            "envFrom": [{"secretRef": {"name": "s"}}, {"configMapRef": {"name": "maybe", "optional": True}}],
            "env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}],
        },
        volumes=[
            {"name": "v", "secret": {"secretName": "s"}},
            {"name": "w", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "ca", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}},
        ],
        resourceClaims=[{"name": "gpus", "resourceClaimName": "claim"}],
    )
    assert set(references(spec)) == {
        Reference(SECRET, "s"),
        Reference(CONFIG_MAP, "m", "k"),
        Reference(PVC, "data"),
        Reference(RESOURCE_CLAIM, "claim"),
    }


@pytest.mark.parametrize(
    ("reference", "obj", "fault"),
    [
        (Reference(SECRET, "s"), None, 'secret "s" not found'),
        (Reference(SECRET, "s"), {"data": {}}, ""),
        (Reference(CONFIG_MAP, "m", "k"), {"data": {"other": ""}}, 'couldn\'t find key k in configmap "m"'),
        (Reference(PVC, "d"), {"status": {"phase": "Pending"}}, 'persistentvolumeclaim "d" is not bound'),
        (Reference(PVC, "d"), {"status": {"phase": "Bound"}}, ""),
        (Reference(RESOURCE_CLAIM, "c"), {"status": {}}, 'resourceclaim "c" is not reserved for this pod'),
        (Reference(RESOURCE_CLAIM, "c"), {"status": {"reservedFor": [{"uid": "u"}]}}, ""),
    ],
)
def test_what_a_reference_lacks_is_said_as_a_kubelet_says_it(
    reference: Reference, obj: Json | None, fault: str
) -> None:
    assert fault_of(reference, obj, "u") == fault
