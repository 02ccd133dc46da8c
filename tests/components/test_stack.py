"""What a stack registers with Pulumi, without an engine."""

from __future__ import annotations

import os
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest

from grove_components import (
    ClusterTopology,
    DynamoGraphDeployment,
    GroveCrds,
    InvalidInputError,
    Placement,
    PodCliqueSet,
    build_stack,
)
from tests.components.collect import Registration, Run, Secret, collect
from tests.components.test_config import ROOT, local_config

GOLDEN = Path(__file__).parent / "registrations.txt"
TOKEN = "canary-token"
WORKER = {"roleName": "w", "replicas": 2, "podSpec": {"containers": [{"name": "main", "image": "i"}]}}
SPEC: dict[str, Any] = {"replicas": 3, "template": {"cliques": [{"name": "w", "spec": WORKER}]}}


def local_stack() -> Mapping[str, Any]:
    return build_stack(local_config())


@pytest.mark.parametrize("preview", [True, False])
def test_the_local_stack_registers_the_same_resources_in_preview_and_in_up(preview: bool) -> None:
    run = collect(local_stack, preview=preview)
    lines = "".join(f"{r.line}\n" for r in run.registrations)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(lines)
    assert lines == GOLDEN.read_text()


def test_the_program_is_deterministic() -> None:
    assert collect(local_stack).registrations == collect(local_stack).registrations


def test_the_main_program_registers_one_provider_and_everything_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch()
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    run = collect(
        lambda: runpy.run_path(str(ROOT / "__main__.py")) and None,
        config={f"grove:{key}": value for key, value in _values().items()},
        secret=("grove:hfToken",),
    )
    providers = run.of_type("pulumi:providers:kubernetes")
    assert [p.name for p in providers] == ["cluster"]
    assert providers[0].inputs["kubeconfig"] == str(kubeconfig)
    assert {r.provider for r in run.of_type("kubernetes:") if r not in providers} == {"cluster"}


def _values() -> dict[str, str]:
    from tests.components.test_config import local_values

    return {**local_values(), "hfToken": TOKEN}


def ancestors(run: Run, name: str, type_part: str) -> set[str]:
    """Names of everything that must exist before a resource: what it and its parents depend on, transitively."""
    by_name: dict[str, list[Registration]] = {}
    for registration in run.registrations:
        by_name.setdefault(registration.name, []).append(registration)
    seen: set[str] = set()
    todo = [run.named(name, type_part)]
    while todo:
        registration = todo.pop()
        for other in {*registration.depends_on, registration.parent} - {"", *seen}:
            seen.add(other)
            todo += by_name[other]
    return seen


def test_the_graph_comes_after_admission_its_namespace_its_token_and_its_topology() -> None:
    run = collect(local_stack)
    before = ancestors(run, "dynamo-grove", "nvidia.com/v1alpha1")
    assert {
        "operator-deployment-grove-operator",
        "operator-deployment-grove-scheduler",
        "namespace-vllm-v1-disagg-router",
        "secret-hf-token-secret",
        "topology",
        "crds-dynamographdeployments.nvidia.com",
    } <= before


def test_every_object_has_a_name_of_its_own_and_a_namespace_where_it_needs_one() -> None:
    for registration in collect(local_stack).of_type("kubernetes:"):
        metadata = registration.inputs["metadata"]
        assert metadata["name"]
        assert "generateName" not in metadata


def test_the_token_is_a_secret_and_nowhere_in_the_open() -> None:
    run = collect(local_stack)
    secret = run.named("secret-hf-token-secret")
    assert secret.inputs["stringData"]["HF_TOKEN"] == Secret("t")
    config = local_config().model_copy(update={"hf_token": None})
    assert collect(lambda: build_stack(config)).of_type("Secret secret-hf") == []


def test_crds_are_protected_and_retained_unless_the_stack_says_otherwise() -> None:
    kept = collect(lambda: GroveCrds("crds") and None).of_type("CustomResourceDefinition")
    deleted = collect(lambda: GroveCrds("crds", delete_crds=True) and None).of_type("CustomResourceDefinition")
    assert {(r.protect, r.retain_on_delete) for r in kept} == {(True, True)}
    assert {(r.protect, r.retain_on_delete) for r in deleted} == {(False, False)}
    assert {r.inputs["metadata"]["annotations"]["pulumi.com/waitFor"] for r in kept} == {"condition=Established"}


def test_nothing_is_registered_when_the_input_is_bad() -> None:
    config = local_config(placement={"preferred": "row"}, services__Frontend__replica=1)

    def program() -> None:
        with pytest.raises(InvalidInputError, match=r"stacks/Pulumi\.local\.yaml: 2 faults"):
            build_stack(config)

    assert collect(program).registrations == []


def test_the_main_program_makes_not_even_a_provider_when_the_input_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    values = {**_values(), "graph": '{"name": "g", "namespace": "n", "release": "1", "services": {"A": {"x": 1}}}'}

    def program() -> None:
        with pytest.raises(InvalidInputError, match=r"stacks/Pulumi\.local\.yaml: 1 fault"):
            runpy.run_path(str(ROOT / "__main__.py"))

    config = {f"grove:{key}": value for key, value in values.items()}
    assert collect(program, config=config, secret=("grove:hfToken",)).registrations == []


def test_up_ends_when_the_graph_is_ready_and_the_set_is_available() -> None:
    def program() -> Mapping[str, Any]:
        pcs = PodCliqueSet("web", namespace="n", spec=SPEC)
        return {"available": pcs.available_replicas}

    run = collect(program, statuses={"PodCliqueSet": {"availableReplicas": 3}})
    waits = run.named("web", "grove.io/v1alpha1").inputs["metadata"]["annotations"]
    assert waits == {"pulumi.com/waitFor": "jsonpath={.status.availableReplicas}=3"}
    assert run.exports == {"available": 3}
    assert run.outputs["web"]["gpusRequested"] == 0
    assert collect(program, preview=True).exports == {"available": None}
    graph = collect(local_stack).named("dynamo-grove", "nvidia.com/v1alpha1")
    assert graph.inputs["metadata"]["annotations"] == {"pulumi.com/waitFor": "condition=Ready"}


def test_a_leaf_may_be_an_output_and_stays_secret() -> None:
    def program() -> None:
        key = {"name": "KEY", "value": pulumi.Output.secret("canary")}
        main = {"mainContainer": {"image": pulumi.Output.from_input("i")}}
        spec = {"services": {"Frontend": {"componentType": "frontend", "envs": [key], "extraPodSpec": main}}}
        DynamoGraphDeployment("g", namespace=pulumi.Output.from_input("n"), spec=spec)

    run = collect(program)
    frontend = run.named("g", "nvidia.com/v1alpha1").inputs["spec"]["services"]["Frontend"]
    assert frontend["envs"] == [{"name": "KEY", "value": Secret("canary")}]
    assert frontend["extraPodSpec"] == {"mainContainer": {"image": "i"}}
    assert "canary" not in str(run.named("g", "grove-components").inputs)


def test_structure_must_be_plain_so_that_the_preview_is_complete() -> None:
    def program() -> None:
        spec = {**SPEC, "replicas": pulumi.Output.from_input(3)}
        with pytest.raises(InvalidInputError, match=r"spec\.replicas: must be a plain value"):
            PodCliqueSet("web", namespace="n", spec=spec)

    collect(program, preview=True)


def test_all_faults_of_a_set_come_in_one_error() -> None:
    cliques = [
        {"name": "w", "spec": {**WORKER, "minAvailable": 9}},
        {"name": "w", "spec": {**WORKER, "roleName": "x", "replicaz": 1}},
    ]

    def refused(spec: dict[str, Any]) -> tuple[str, ...]:
        faults: list[str] = []

        def program() -> None:
            with pytest.raises(InvalidInputError) as raised:
                PodCliqueSet("web", namespace="n", spec=spec)
            faults.extend(raised.value.faults)

        collect(program)
        return tuple(faults)

    assert any("replicaz" in fault for fault in refused({"template": {"cliques": cliques}}))
    del cliques[1]["spec"]["replicaz"]  # type: ignore[attr-defined]
    faults = refused({"template": {"cliques": cliques}})
    assert len(faults) >= 2
    assert any("minAvailable" in fault for fault in faults)


def test_a_constraint_on_a_level_that_doesnt_exist_is_refused() -> None:
    def program() -> None:
        topology = ClusterTopology("t", levels={"rack": "example.com/rack"})
        constraint = {"topologyName": "default", "pack": {"required": "row"}}
        spec = {**SPEC, "template": {**SPEC["template"], "topologyConstraint": constraint}}
        with pytest.raises(InvalidInputError, match="row"):
            PodCliqueSet("web", namespace="n", spec=spec, topology=topology)
        with pytest.raises(InvalidInputError, match="no level 'row'"):
            DynamoGraphDeployment("g", namespace="n", spec={}, topology=topology, placement=Placement(required="row"))

    collect(program)


@pytest.mark.parametrize("example", ["leader-worker", "graph"])
def test_the_examples_run(example: str) -> None:
    run = collect(lambda: runpy.run_path(str(ROOT / "examples" / example / "__main__.py")) and None)
    assert len(run.registrations) == 2
    assert len((ROOT / "examples" / example / "__main__.py").read_text().splitlines()) <= 25
