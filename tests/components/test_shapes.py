"""Shapes and topology presets as plain data, and what makes a PodCliqueSet a different one."""

from __future__ import annotations

import copy
from typing import Any, get_args

import pytest

from grove_components import PodCliqueSet
from grove_components.immutability import fingerprint
from grove_components.podcliqueset import pod_clique_set_faults, pod_clique_set_manifest
from grove_components.shapes import Instances, Packing, Role, aggregated, disaggregated, leader_worker, pipeline
from grove_components.topology import topology_faults, topology_manifest
from grove_components.topology_presets import PRESETS, Preset, preset_levels
from tests.components.collect import collect

GPU = Role("registry.example/serve:1", gpus=8, replicas=2)
CPU = Role("registry.example/route:1")
BIG = Instances(leader=Role("i", gpus=4), workers=Role("i", gpus=4, replicas=7), count=2, pack="nvlink")
SPECS: dict[str, dict[str, Any]] = {
    "aggregated": aggregated(GPU, frontend=CPU, packing=Packing(preferred="rack")),
    "disaggregated": disaggregated(frontend=CPU, prefill=GPU, decode=GPU, replicas=2, packing=Packing(required="rack")),
    "leader_worker": leader_worker(BIG, frontend=CPU),
    "pipeline": pipeline({"planner": GPU, "coder": BIG, "critic": GPU}, frontend=CPU),
}


@pytest.mark.parametrize("shape", SPECS)
def test_every_shape_passes_admission(shape: str) -> None:
    topology = topology_manifest("default", [("rack", "r"), ("nvlink", "nvidia.com/gpu.clique")])
    assert pod_clique_set_faults(pod_clique_set_manifest("s", "n", SPECS[shape]), {"default": topology}) == []


def test_an_instance_is_one_group_and_is_packed_whole() -> None:
    (group,) = SPECS["leader_worker"]["template"]["podCliqueScalingGroups"]
    assert group["cliqueNames"] == ["leader", "worker"]
    assert group["topologyConstraint"]["pack"] == {"required": "nvlink"}
    assert group["replicas"] == 2


def test_the_frontend_of_a_pipeline_starts_when_its_models_are_up() -> None:
    template = SPECS["pipeline"]["template"]
    assert template["cliqueStartupType"] == "CliqueStartupTypeInOrder"
    names = [clique["name"] for clique in template["cliques"]]
    assert names == ["planner", "coder-leader", "coder-worker", "critic", "frontend"]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_topology_that_admission_takes_with_and_without_nvlink(preset: str) -> None:
    for nvlink in (False, True):
        levels = preset_levels(preset, nvlink=nvlink)
        assert topology_faults(topology_manifest("default", levels)) == []
        assert levels[-1][0] == "host"
        assert ("nvlink" in dict(levels)) >= nvlink


def test_the_presets_that_a_stack_file_may_name_are_those_that_exist() -> None:
    assert set(get_args(Preset)) == set(PRESETS)
    with pytest.raises(ValueError, match="use one of generic, eks"):
        preset_levels("azure")


def manifest(**changed: Any) -> dict[str, Any]:
    """The leader/worker set with parts of its template changed by path: `cliques__1__spec__replicas=3`."""
    spec = copy.deepcopy(SPECS["leader_worker"])
    for path, value in changed.items():
        node: Any = spec["template"]
        *keys, last = [int(key) if key.isdigit() else key for key in path.split("__")]
        for key in keys:
            node = node[key]
        node[last] = value
    return pod_clique_set_manifest("s", "n", spec)


@pytest.mark.parametrize(
    "change",
    [
        {"cliques__1__spec__replicas": 2},
        {"cliques__1__spec__podSpec__containers__0__image": "other"},
        {"podCliqueScalingGroups__0__replicas": 5},
        {"cliqueStartupType": "CliqueStartupTypeAnyOrder"},  # the default, written out
        {"podCliqueScalingGroups__0__minAvailable": 1},  # the default, written out
        {"podCliqueScalingGroups__0__topologyConstraint": {"topologyName": "default", "packDomain": "nvlink"}},
    ],
)
def test_what_may_change_in_place_makes_no_new_object(change: dict[str, Any]) -> None:
    assert fingerprint(manifest(**change)) == fingerprint(manifest())


@pytest.mark.parametrize(
    "change",
    [
        {"cliques__1__name": "boss"},
        {"cliques__1__spec__roleName": "boss"},
        {"cliques__2__spec__minAvailable": 5},
        {"cliques__1__spec__podSpec__schedulerName": "kai-scheduler"},
        {"cliqueStartupType": "CliqueStartupTypeInOrder"},
        {"podCliqueScalingGroups__0__minAvailable": 2},
        {"podCliqueScalingGroups__0__topologyConstraint__pack": {"required": "rack"}},
        {"topologyConstraint": {"topologyName": "default", "pack": {"preferred": "rack"}}},
    ],
)
def test_what_admission_holds_fast_makes_a_new_object(change: dict[str, Any]) -> None:
    assert fingerprint(manifest(**change)) != fingerprint(manifest())


def test_the_order_of_cliques_counts_only_where_it_is_the_order_of_start() -> None:
    template = SPECS["leader_worker"]["template"]
    swapped = {"cliques": template["cliques"][::-1]}
    assert fingerprint(manifest(**swapped)) == fingerprint(manifest())
    in_order = {"cliqueStartupType": "CliqueStartupTypeInOrder"}
    assert fingerprint(manifest(**swapped, **in_order)) != fingerprint(manifest(**in_order))


def test_replacing_deletes_first_and_only_where_it_was_asked_for() -> None:
    def made(**options: Any) -> Any:
        run = collect(lambda: PodCliqueSet("s", namespace="n", spec=SPECS["aggregated"], **options) and None)
        return run.named("s", "grove.io/v1alpha1")

    replacing = made(on_immutable_change="replace")
    assert (replacing.replacement_trigger, replacing.delete_before_replace) == (
        fingerprint(pod_clique_set_manifest("s", "n", SPECS["aggregated"])),
        True,
    )
    assert (made().replacement_trigger, made().delete_before_replace) == (None, False)


def test_replicas_of_an_autoscaled_set_belong_to_its_autoscaler() -> None:
    run = collect(lambda: PodCliqueSet("s", namespace="n", spec=SPECS["aggregated"], autoscaled=True) and None)
    made = run.named("s", "grove.io/v1alpha1")
    assert made.ignore_changes == ("spec.replicas",)
    assert "annotations" not in made.inputs["metadata"]
