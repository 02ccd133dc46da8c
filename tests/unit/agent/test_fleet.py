"""Fleet files: what they describe, and how their faults are told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from grove_operator.localcluster.fleet import FleetError, default_fleet_path, load_fleet, parse_fleet, repository

CAPACITY = {"cpu": 8, "memory": "32Gi", "pods": 10}


def pool(**fields: Any) -> dict[str, Any]:
    return {"name": "p", "capacity": CAPACITY, **({} if "topology" in fields else {"count": 1}), **fields}


def test_the_local_fleet_has_two_blocks_of_two_racks_of_four_hosts_of_two_gpus() -> None:
    gpu = [n for n in load_fleet(default_fleet_path()).nodes() if "nvidia.com/gpu" in n.capacity]
    racks = Counter(n.labels["topology.kubernetes.io/rack"] for n in gpu)
    assert len(gpu) == 16
    assert racks == {"b0-r0": 4, "b0-r1": 4, "b1-r0": 4, "b1-r1": 4}
    assert {n.labels["topology.kubernetes.io/block"] for n in gpu} == {"b0", "b1"}
    assert {n.capacity["nvidia.com/gpu"] for n in gpu} == {"2"}
    assert all(n.labels["kubernetes.io/hostname"] == n.name for n in gpu)


def test_the_local_fleet_is_partly_used_so_that_packing_matters() -> None:
    free_by_rack: Counter[str] = Counter()
    free_by_host = set()
    for node in load_fleet(default_fleet_path()).nodes():
        if "nvidia.com/gpu" in node.capacity:
            free = 2 - sum(int(load.get("nvidia.com/gpu", 0)) for load in node.load)
            free_by_rack[node.labels["topology.kubernetes.io/rack"]] += free
            free_by_host.add(free)
    assert free_by_host == {0, 1, 2}
    assert sorted(free_by_rack.values()) == [2, 2, 4, 6]


def test_a_topology_multiplies_its_counts_and_names_by_template() -> None:
    names = {"rack": "r{zone_index}{rack_index}", "host": "{rack}-h{host_index}"}
    fleet = parse_fleet({"pools": [pool(topology={"zones": 2, "racks": 3, "hosts": 4}, names=names)]})
    found = [n.name for n in fleet.nodes()]
    assert len(found) == 24
    assert (found[0], found[-1]) == ("r00-h0", "r12-h3")


def test_five_thousand_nodes_expand_with_unique_names() -> None:
    fleet = parse_fleet({"pools": [pool(topology={"zones": 5, "blocks": 10, "racks": 10, "hosts": 10})]})
    assert len({n.name for n in fleet.nodes()}) == 5000


def test_a_share_of_load_touches_about_that_share_of_nodes_and_always_the_same() -> None:
    data = {"pools": [pool(count=1000, used=[{"share": 0.4, "requests": {"cpu": 1}}])]}
    loaded = [n.name for n in parse_fleet(data).nodes() if n.load]
    assert 350 < len(loaded) < 450
    assert loaded == [n.name for n in parse_fleet(data).nodes() if n.load]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"count": 0}, "pools[0].count"),
        ({"count": None}, "exactly one of count and topology"),
        ({"topology": {"hosts": 1}, "count": 1}, "exactly one of count and topology"),
        ({"capacity": {"cpu": 1, "memory": "1Gi"}}, "lacks pods"),
        ({"capacity": {**CAPACITY, "nvidia.com/gpu": "two"}}, "nvidia.com/gpu: 'two' is not a quantity"),
        ({"colour": "red"}, "pools[0].colour"),
        ({"playedBy": "docker"}, "pools[0].playedBy"),
        ({"taints": [{"key": "k", "effect": "Never"}]}, "pools[0].taints[0].effect"),
        ({"used": [{"requests": {}}]}, "pools[0].used[0].requests"),
        ({"labels": {"rack": "{shelf}"}}, "pool p: a template names 'shelf'"),
        ({"count": 2, "names": {"host": "same"}}, "node name same is used twice"),
    ],
)
def test_a_fault_in_a_pool_names_its_field(change: dict[str, Any], told: str) -> None:
    with pytest.raises(FleetError) as error:
        parse_fleet({"pools": [pool(**change)]}, "f.yaml")
    assert told in str(error.value)
    assert "f.yaml" in str(error.value)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"none\.yaml: No such file"):
        load_fleet(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("pools: [")
    with pytest.raises(FleetError, match=r"bad\.yaml is no YAML"):
        load_fleet(tmp_path / "bad.yaml")


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("nginx", "nginx"),
        ("nginx:1.27", "nginx"),
        ("ghcr.io/a/b:v1", "ghcr.io/a/b"),
        ("ghcr.io/a/b@sha256:0123", "ghcr.io/a/b"),
        ("ghcr.io/a/b:v1@sha256:0123", "ghcr.io/a/b"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("localhost:5000/a/b:v1", "localhost:5000/a/b"),
    ],
)
def test_tag_and_digest_are_ignored_and_a_registry_port_is_not(image: str, expected: str) -> None:
    assert repository(image) == expected


def test_an_image_entry_matches_by_repository_arguments_and_labels() -> None:
    entry = {"match": "*/real", "argv": r"^serve( |$)", "labels": {"real": "yes"}, "run": ["x"]}
    fleet = parse_fleet({"pools": [pool()], "images": [entry]})
    assert fleet.image_for("host:5000/real:v1", ["serve", "--now"], {"real": "yes"})
    assert not fleet.image_for("host:5000/other:v1", ["serve"], {"real": "yes"})
    assert not fleet.image_for("host:5000/real:v1", ["observe"], {"real": "yes"})
    assert not fleet.image_for("host:5000/real:v1", ["serve"], {})


def test_the_local_fleet_tells_operator_and_scheduler_apart_by_their_command() -> None:
    fleet = load_fleet(default_fleet_path())
    image = "ghcr.io/grove-py/grove-operator:0.1.0"
    operator = fleet.image_for(image, ["grove-operator", "--config", "/etc/grove-scheduler.yaml"], {})
    scheduler = fleet.image_for(image, ["/usr/bin/grove-scheduler"], {})
    assert operator
    assert scheduler
    assert "grove_operator.kube.operator_main" in operator.run
    assert "grove_operator.kube.scheduler_main" in scheduler.run
    assert fleet.image_for("nvcr.io/nvidia/ai-dynamo/vllm-runtime:0.5.1", ["grove-operator"], {}) is None
