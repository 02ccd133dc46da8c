"""The environments: each stack file is right, and can be split in two or rendered without an engine."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from grove_components import InvalidInputError, build_stack
from grove_components.render import INDEX, read_stack, render, write
from grove_components.stack_checks import stack_faults
from grove_components.stack_objects import stages
from tests.components.collect import Registration, collect
from tests.components.random_stacks import random_stack, told_and_written
from tests.components.stacks import IMAGE, STACKS, stack_config, written

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PLATFORM = "organization/grove/platform"
RACKS = {"default": [{"domain": "block", "key": "b"}, {"domain": "rack", "key": "r"}]}


def as_object(registration: Registration) -> dict[str, Any]:
    return {key: value for key, value in registration.inputs.items() if key != "status" and value is not None}


def by_identity(objects: list[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, Any]]:
    keys = [(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in objects]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, objects, strict=True))


@pytest.mark.parametrize("stack", STACKS)
def test_what_is_rendered_is_what_pulumi_is_told_to_apply(stack: str) -> None:
    config = stack_config(stack)
    registered = collect(lambda: build_stack(config), stack=stack).of_type("kubernetes:")
    told = by_identity([as_object(r) for r in registered if not r.name.startswith("secret-")])
    files = render(config).files
    rendered = by_identity([yaml.load(text, LOADER) for name, text in files.items() if name != INDEX])
    assert rendered == told


@pytest.mark.parametrize("seed", range(8))
def test_that_holds_for_random_stacks_too(seed: int) -> None:
    """A sample; `make prove ISSUE=5` runs 1,000."""
    told, written_ = told_and_written(random_stack(seed))
    assert told == written_
    assert told


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_is_right_and_its_workloads_fit_its_topology(stack: str) -> None:
    config = stack_config(stack)
    assert stack_faults(config) == []
    assert config.topology is not None
    assert config.sets or config.graph


@pytest.mark.parametrize("stack", [stack for stack in STACKS if stack != "local"])
def test_outside_the_local_stack_an_image_without_digest_is_refused_with_the_remedy(stack: str) -> None:
    faults = stack_faults(stack_config(stack, operator=written(stack)["operator"]))
    assert len(faults) == 1
    assert faults[0].startswith("grove:operator.image: ghcr.io/grove-py/grove-operator:0.1.0 has no digest")
    assert "ghcr.io/grove-py/grove-operator@sha256:" in faults[0]
    short = {"image": "ghcr.io/grove-py/grove-operator@sha256:abc"}
    assert "has no digest" in stack_faults(stack_config(stack, operator=short))[0]


def test_an_existing_installation_is_left_as_it_is() -> None:
    config = stack_config("h100", operator={"install": "existing"})
    kinds = {stage.name for stage in stages(config)}
    assert kinds == {"topology", "namespaces", "workloads"}
    run = collect(lambda: build_stack(config), stack="h100")
    assert run.of_type("Deployment") == []
    assert run.of_type("CustomResourceDefinition") == []
    assert run.of_type("PodCliqueSet")
    assert sorted(run.reads) == [
        "clustertopologybindings.grove.io",
        "grove-system/grove-operator",
        "podcliquesets.grove.io",
    ]


class TestTwoStacks:
    def platform(self) -> Any:
        return stack_config("multi-tenant", part="platform", workloads=None)

    def workloads(self, **changed: Any) -> Any:
        return stack_config(
            "multi-tenant", part="workloads", platformStack=PLATFORM, topology=None, operator=None, **changed
        )

    def collected(self, config: Any, topologies: Mapping[str, Any] = RACKS) -> Any:
        stacks = {PLATFORM: {"topologies": topologies}}
        return collect(lambda: build_stack(config), stack="multi-tenant", stacks=stacks)

    def test_together_they_make_what_one_makes(self) -> None:
        whole = collect(lambda: build_stack(stack_config("multi-tenant")), stack="multi-tenant")
        parts = [collect(lambda: build_stack(self.platform()), stack="p"), self.collected(self.workloads())]
        made = by_identity([as_object(r) for part in parts for r in part.of_type("kubernetes:")])
        assert made == by_identity([as_object(r) for r in whole.of_type("kubernetes:")])

    def test_the_platform_tells_its_topologies(self) -> None:
        exports = collect(lambda: build_stack(self.platform()), stack="p").exports
        assert [level["domain"] for level in exports["topologies"]["default"]] == ["zone", "block", "rack", "host"]

    def test_a_workload_that_the_platforms_topology_has_no_level_for_is_refused(self) -> None:
        with pytest.raises(InvalidInputError, match="'rack' does not exist"):
            self.collected(self.workloads(), {"default": [{"domain": "zone", "key": "z"}]})

    def test_keys_of_the_other_part_are_refused(self) -> None:
        faults = stack_faults(stack_config("h100", part="workloads"))
        assert any(fault.startswith("grove:platformStack: is missing") for fault in faults)
        assert any(fault.startswith("grove:topology: belongs to the platform") for fault in faults)
        faults = stack_faults(stack_config("h100", part="platform", platformStack=PLATFORM))
        assert any("which makes its own platform" in fault for fault in faults)
        assert any(fault.startswith("grove:part: a platform has no workloads") for fault in faults)


def test_a_tenants_sets_carry_its_queue_and_its_namespace_comes_with_its_quota() -> None:
    run = collect(lambda: build_stack(stack_config("multi-tenant")), stack="multi-tenant")
    ranker = run.named("pcs-team-search-ranker", "grove.io/v1alpha1")
    assert ranker.inputs["metadata"]["labels"] == {"kai.scheduler/queue": "search"}
    assert run.named("quota-team-search").inputs["spec"]["hard"]["requests.nvidia.com/gpu"] == "16"
    assert "quota-team-search" in run.named("pcs-team-search-ranker", "grove-components").depends_on


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"shape": "disaggregated"}, "lacks the role decode, prefill"),
        ({"shape": "pipeline", "roles": {"frontend": {"image": "i"}}}, "pipeline has no model"),
        ({"shape": "aggregated"}, "lacks the role worker"),
        ({"roles": {"model": {"image": "i"}}}, "role model must be leader and workers"),
    ],
)
def test_a_shape_with_the_wrong_roles_says_which(change: dict[str, Any], expected: str) -> None:
    workload = {**copy.deepcopy(written("multi-tenant")["workloads"][0]), **change}
    with pytest.raises(InvalidInputError, match=expected):
        stack_config("multi-tenant", workloads=[workload])


class TestRenderedFiles:
    def test_a_second_run_changes_nothing_and_a_gone_object_takes_its_file_along(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        first = write(render(stack_config("multi-tenant")), out)
        assert write(render(stack_config("multi-tenant")), out) == []
        fewer = stack_config("multi-tenant", workloads=written("multi-tenant")["workloads"][:1])
        assert write(render(fewer), out) == [INDEX, "workloads/podcliqueset-team-agents-helpdesk.yaml"]
        left = {str(path.relative_to(out)) for path in out.rglob("*.yaml")}
        assert left == set(first) - {"workloads/podcliqueset-team-agents-helpdesk.yaml"}

    def test_a_folder_with_other_things_in_it_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").touch()
        with pytest.raises(ValueError, match="holds other files"):
            write(render(stack_config("h100")), tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]

    def test_the_token_is_left_out_and_named(self) -> None:
        rendered = render(stack_config("local"))
        assert rendered.left_out == ("Secret vllm-v1-disagg-router/hf-token-secret (key HF_TOKEN, from grove:hfToken)",)
        assert not any("HF_TOKEN" in text for text in rendered.files.values())

    def test_the_stack_file_is_read_as_the_engine_reads_it(self, tmp_path: Path) -> None:
        (tmp_path / "stacks").mkdir()
        operator = {"image": IMAGE}
        text = yaml.safe_dump({"config": {"grove:operator": operator, "grove:deleteCrds": True, "aws:region": "x"}})
        (tmp_path / "stacks/Pulumi.prod.yaml").write_text(text)
        config = read_stack(tmp_path, "prod")
        assert (config.operator.image, config.delete_crds) == (IMAGE, True)
        with pytest.raises(InvalidInputError, match="no such file; stacks here: prod"):
            read_stack(tmp_path, "dev")
