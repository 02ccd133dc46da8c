"""Stack files: every fault at once, by its key, and no secret in the open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from grove_components import InvalidInputError, StackConfig
from grove_components.provider import find_kubeconfig
from grove_components.stack_checks import stack_faults

ROOT = Path(__file__).parents[2]


def local_values() -> dict[str, Any]:
    """The local stack's config as the engine hands it over, its secret decrypted."""
    config = yaml.safe_load((ROOT / "stacks/Pulumi.local.yaml").read_text())["config"]
    values = {key.removeprefix("grove:"): value for key, value in config.items()}
    return {k: json.dumps(v) if isinstance(v, dict | list | bool) else v for k, v in values.items()} | {"hfToken": "t"}


def local_config(**changed: Any) -> StackConfig:
    """The local stack with parts of `graph` changed: `services__Frontend__replicas=2`."""
    values = local_values()
    graph = json.loads(values["graph"])
    for path, value in changed.items():
        node, *keys = graph, *path.split("__")
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value
    return StackConfig.parse({**values, "graph": json.dumps(graph)}, {"hfToken"}, "stacks/Pulumi.local.yaml")


def test_the_local_stack_is_the_quickstart_of_the_article() -> None:
    config = local_config()
    documents = list(yaml.safe_load_all((ROOT / "examples/manifests/quickstart.yaml").read_text()))

    assert config.delete_crds
    assert config.graph is not None
    assert config.graph.namespace == "vllm-v1-disagg-router"
    assert config.graph.spec() == documents[1]["spec"]
    assert stack_faults(config) == []


def test_the_local_stack_file_holds_no_plain_token() -> None:
    stack = yaml.safe_load((ROOT / "stacks/Pulumi.local.yaml").read_text())
    assert set(stack["config"]["grove:hfToken"]) == {"secure"}
    assert stack["encryptionsalt"]


def test_four_decode_workers_are_one_line_of_the_stack_file() -> None:
    text = (ROOT / "stacks/Pulumi.local.yaml").read_text()
    decode = text[text.index("VllmDecodeWorker:\n") :]
    changed = yaml.safe_load(text.replace(decode, decode.replace("replicas: 2", "replicas: 4", 1)))
    assert changed["config"]["grove:graph"]["services"]["VllmDecodeWorker"]["replicas"] == 4


def test_every_fault_of_a_stack_file_is_listed_in_one_error_that_names_the_file() -> None:
    values = {
        "deleteCrds": "perhaps",
        "operator": json.dumps({"replicas": "two", "webhookPort": 70000}),
        "topology": json.dumps({"levels": []}),
        "graph": json.dumps({"name": "g", "namespace": "n", "release": "1", "servces": {}}),
        "colour": "blue",
    }
    with pytest.raises(InvalidInputError) as raised:
        StackConfig.parse(values, stack_file="stacks/Pulumi.prod.yaml")

    text = str(raised.value)
    assert text.startswith("stacks/Pulumi.prod.yaml: 7 faults\n")
    for key in (
        "grove:deleteCrds: ",
        "grove:operator.replicas: ",
        "grove:operator.webhookPort: ",
        "grove:topology.levels: ",
        "grove:graph.services: is missing",
        "grove:graph.servces: unknown key",
        "grove:colour: unknown key",
    ):
        assert f"  - {key}" in text


def test_a_secret_where_it_would_end_up_in_the_open_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="grove:graph: holds a secret"):
        StackConfig.parse(local_values(), {"hfToken", "graph"})


def test_a_wrong_type_of_a_secret_doesnt_print_it() -> None:
    with pytest.raises(InvalidInputError) as raised:
        StackConfig.parse({"hfToken": ["canary"]}, {"hfToken"})
    assert "grove:hfToken" in str(raised.value)
    assert "canary" not in str(raised.value)


def test_a_config_doesnt_show_its_token() -> None:
    assert "canary" not in repr(StackConfig.parse({"hfToken": "canary"}, {"hfToken"}))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"placement": {"preferred": "row"}}, "topology default has no level 'row'; it has zone, block, rack, host"),
        ({"placement": {"required": "row"}}, "placement.required: topology default has no level 'row'"),
        ({"services__Frontend__replica": 1}, "replica"),
        ({"services__Frontend__replicas": "one"}, "replicas"),
        ({"services__VllmDecodeWorker__envFromSecret": 3}, "envFromSecret"),
        ({"name": "dynamo-grove-with-a-name-that-goes-on-and-on"}, "shorten one of them by 3 characters"),
        ({"services__Frontend__extraPodSpec": "image"}, "extraPodSpec"),
    ],
)
def test_bad_input_in_the_graph_is_met_before_anything_is_registered(change: dict[str, Any], expected: str) -> None:
    faults = stack_faults(local_config(**change))
    assert faults
    assert all(fault.startswith("grove:graph: ") for fault in faults)
    assert any(expected in fault for fault in faults), faults


def test_a_placement_without_a_topology_says_what_is_missing() -> None:
    values = {key: value for key, value in local_values().items() if key != "topology"}
    faults = stack_faults(StackConfig.parse(values, {"hfToken"}))
    assert len(faults) == 1
    assert faults[0].startswith("grove:graph: placement: needs grove:topology")


class TestWhichCluster:
    def test_the_stacks_own_kubeconfig_wins(self, tmp_path: Path) -> None:
        (tmp_path / "mine").touch()
        assert find_kubeconfig("mine", tmp_path, {"KUBECONFIG": "/env"}) == str(tmp_path / "mine")
        assert find_kubeconfig("a: 1\nb: 2", tmp_path, {}) == "a: 1\nb: 2"

    def test_then_the_environment_and_then_the_local_cluster(self, tmp_path: Path) -> None:
        local = tmp_path / ".grove/clusters/local/kubeconfig"
        local.parent.mkdir(parents=True)
        local.touch()
        assert find_kubeconfig(None, tmp_path, {"KUBECONFIG": "/env"}) == "/env"
        assert find_kubeconfig(None, tmp_path, {}) == str(local)
        assert find_kubeconfig(None, Path("/nowhere"), {"GROVE_HOME": str(tmp_path / ".grove")}) == str(local)

    def test_none_at_all_names_the_ways_to_get_one(self, tmp_path: Path) -> None:
        with pytest.raises(LookupError, match="grove up"):
            find_kubeconfig(None, tmp_path, {})
        with pytest.raises(LookupError, match="lost is not a file"):
            find_kubeconfig("lost", tmp_path, {})
