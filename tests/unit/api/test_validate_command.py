"""`grove validate` and `grove crds` as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from click.testing import CliRunner

from grove_operator.cli import crds, validate
from tests.unit.api.manifests import TOPOLOGY, changed, clique, pcs, podgangset, quickstart


def text(*documents: object) -> str:
    return yaml.safe_dump_all(documents)


def test_good_manifests_exit_with_0_and_foreign_kinds_are_left_alone(tmp_path: Path) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hf-token-secret"}}
    file = tmp_path / "graph.yaml"
    file.write_text(text(secret, quickstart()))
    result = CliRunner().invoke(validate.command, [str(file)])
    assert result.exit_code == 0, result.output
    assert "dynamographdeployment dynamo-grove: ok" in result.output
    assert "secret hf-token-secret: not checked" in result.output


def test_every_fault_of_every_document_is_reported_from_standard_input() -> None:
    broken = changed(quickstart(), "spec.services.Frontend.replcas", 1)
    result = CliRunner().invoke(validate.command, ["-"], input=text(broken, pcs(clique("A"), clique("b"))) + "---\n3\n")
    assert result.exit_code == 1
    assert "spec.services.Frontend.replcas: unknown field; did you mean replicas?" in result.output
    assert "podcliqueset web: spec.template.cliques[0].name" in result.output
    assert "document 3: : is not an object" in result.output
    assert "3 checked, 3 faults" in result.output


def test_json_output_has_one_entry_for_each_document_and_the_topology_of_the_input_is_used() -> None:
    placed = pcs(clique("a"), topologyConstraint={"topologyName": "default", "pack": {"required": "rak"}})
    both = {"apiVersion": "v1", "kind": "List", "items": [TOPOLOGY, placed]}
    result = CliRunner().invoke(validate.command, ["-o", "json", "-"], input=text(both))
    first, second = json.loads(result.stdout)
    assert (first["kind"], first["faults"]) == ("ClusterTopologyBinding", [])
    (fault,) = second["faults"]
    assert fault["field"] == "spec.template.topologyConstraint.pack.required"
    assert (fault["reason"], fault["remedy"]) == ("Invalid", "use one of zone, block, rack")
    assert result.exit_code == 1


def test_text_that_is_not_yaml_is_one_clear_error() -> None:
    result = CliRunner().invoke(validate.command, ["-"], input="a: [")
    assert result.exit_code == 1
    assert "not YAML" in result.output


def test_help_shows_examples() -> None:
    assert "grove validate graph.yaml" in CliRunner().invoke(validate.command, ["--help"]).output
    assert "kubectl apply --server-side -f -" in CliRunner().invoke(crds.command, ["--help"]).output


def test_crds_are_printed_written_and_checked(tmp_path: Path) -> None:
    run = CliRunner().invoke
    printed = list(yaml.safe_load_all(run(crds.command, []).output))
    assert {crd["metadata"]["name"] for crd in printed} >= {"podcliquesets.grove.io", "podgangs.scheduler.grove.io"}
    where = ["--dir", str(tmp_path)]
    assert run(crds.command, ["--check", *where]).exit_code == 1
    assert run(crds.command, ["--write", *where]).exit_code == 0
    assert run(crds.command, ["--check", *where]).exit_code == 0
    assert run(crds.command, ["--check", "--write", *where]).exit_code == 2


def test_a_podgangset_is_judged_as_the_podcliqueset_it_becomes_and_its_losses_are_warnings() -> None:
    result = CliRunner().invoke(validate.command, ["-"], input=text(podgangset()))
    assert result.exit_code == 0, result.output
    assert "warning: spec.template.schedulingPolicyConfig.networkPackGroupConfigs[0]: packing of" in result.output
    broken = changed(podgangset(), "spec.template.podCliqueScalingGroups.0.cliqueNames", ["nobody"])
    result = CliRunner().invoke(validate.command, ["-"], input=text(broken))
    assert "podCliqueScalingGroups[0].cliqueNames[0]: clique 'nobody' does not exist" in result.output


def test_files_may_be_named_as_kubectl_has_it(tmp_path: Path) -> None:
    file = tmp_path / "set.yaml"
    file.write_text(text(pcs(clique("a"))))
    assert "podcliqueset web: ok" in CliRunner().invoke(validate.command, ["-f", str(file)]).output
    assert CliRunner().invoke(validate.command, []).exit_code == 2


def test_advice_is_a_warning() -> None:
    result = CliRunner().invoke(validate.command, ["-"], input=text(pcs(clique("a", pod={"restartPolicy": "Never"}))))
    assert result.exit_code == 0
    assert "warning: spec.template.cliques[0].spec.podSpec.restartPolicy: Never: containers that end" in result.output
