"""The stand-in's protocol: configuration, refusals, several instances, and creates whose answer was lost."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from standin_provider.errors import ProviderError, Unmodelled
from standin_provider.settings import faults, read_settings, replaced_by, require_loopback
from tests.unit.standin.attached import Attached, attached
from tests.unit.standin.fake_apiserver import FakeApiServer, fake_apiserver, kubeconfig

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}


@pytest.fixture
def fake() -> Iterator[FakeApiServer]:
    with fake_apiserver() as running:
        yield running


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[Attached]:
    with attached(tmp_path / "creates") as running:
        yield running


def config_map(name: str = "a", **data: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}, "data": data}


def create(obj: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "kubernetes:core/v1:ConfigMap", "urn": "urn:x", "properties": obj, **more}


@pytest.mark.parametrize(
    "server", ["https://10.0.0.1:6443", "https://example.test", "https://127.0.0.1.example.test", ""]
)
def test_api_servers_that_are_not_on_loopback_are_refused(server: str) -> None:
    with pytest.raises(ProviderError, match="loopback only"):
        require_loopback(server)


@pytest.mark.parametrize(
    "server", ["https://127.0.0.1:6443", "https://localhost:1", "http://[::1]:8080", "https://127.3.2.1"]
)
def test_loopback_in_all_its_forms_is_accepted(server: str) -> None:
    require_loopback(server)


def test_a_foreign_cluster_is_refused_before_anything_is_configured(standin: Attached) -> None:
    args = {"kubeconfig": kubeconfig("https://203.0.113.7:6443")}
    answer = standin.connect().call("CheckConfig", {"news": args})
    assert "loopback only" in answer["failures"][0]["reason"]
    with pytest.raises(grpc.RpcError, match="loopback only"):
        standin.connect().call("Configure", {"args": args})


def test_provider_arguments_that_are_not_modelled_are_named() -> None:
    named = dict(
        faults({"renderYamlToDirectory": "out", "deleteUnreachable": "true", "skipUpdateUnreachable": "false"})
    )
    assert named.keys() == {"renderYamlToDirectory", "deleteUnreachable"}


def test_a_kubeconfig_is_found_by_content_then_path_then_environment(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(kubeconfig("https://127.0.0.1:1"))
    for args, environ in (
        ({"kubeconfig": file.read_text()}, {}),
        ({"kubeconfig": str(file)}, {}),
        ({}, {"KUBECONFIG": str(file)}),
    ):
        endpoint = read_settings(args, environ).endpoint
        assert endpoint is not None
        assert endpoint.server == "https://127.0.0.1:1"
    with pytest.raises(ProviderError, match=r"grove up"):
        read_settings({}, {"KUBECONFIG": str(tmp_path / "missing")})
    with pytest.raises(ProviderError, match="contexts has no 'other'"):
        read_settings({"kubeconfig": str(file), "context": "other"}, {})


def test_credentials_that_need_a_helper_program_are_not_modelled() -> None:
    content = kubeconfig("https://127.0.0.1:1").replace('"token": "t0ken"', '"exec": {}')
    with pytest.raises(Unmodelled, match="exec"):
        read_settings({"kubeconfig": content}, {})


def test_another_server_replaces_unless_a_cluster_identifier_says_it_is_the_same() -> None:
    old, new = ({"kubeconfig": kubeconfig(f"https://127.0.0.1:{port}")} for port in (1, 2))
    assert replaced_by(old, new) == ["kubeconfig"]
    assert replaced_by({**old, "clusterIdentifier": "x"}, {**new, "clusterIdentifier": "x"}) == []
    assert replaced_by(old, {**old, "namespace": "n"}) == []


def test_charts_bundles_patches_and_functions_raise_by_name(standin: Attached, fake: FakeApiServer) -> None:
    provider = standin.configured(kubeconfig(fake.url))
    for token in (
        "kubernetes:helm.sh/v3:Release",
        "kubernetes:yaml/v2:ConfigGroup",
        "kubernetes:core/v1:ConfigMapPatch",
    ):
        answer = provider.call("Check", {"type": token, "urn": "urn:x", "news": config_map()})
        assert token in answer["failures"][0]["reason"]
    for method, request, name in (
        ("Construct", {"type": "kubernetes:helm.sh/v4:Chart"}, "v4:Chart"),
        ("Invoke", {"tok": "kubernetes:yaml:decode"}, "yaml:decode"),
    ):
        with pytest.raises(grpc.RpcError, match=name) as caught:
            provider.call(method, request)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED  # type: ignore[attr-defined]


def test_two_differently_configured_instances_on_one_port_are_kept_apart(
    standin: Attached, fake: FakeApiServer
) -> None:
    with fake_apiserver() as other:
        first, second = standin.configured(kubeconfig(fake.url)), standin.configured(kubeconfig(other.url))
        first.call("Create", create(config_map("one")))
        second.call("Create", create(config_map("two")))
        assert [list(server.objects) for server in (fake, other)] == [
            ["/api/v1/namespaces/n/configmaps/one"],
            ["/api/v1/namespaces/n/configmaps/two"],
        ]
        with pytest.raises(grpc.RpcError, match="can't tell which"):
            standin.connect().call("Create", create(config_map("three")))


def test_a_create_without_a_namespace_goes_to_the_providers(standin: Attached, fake: FakeApiServer) -> None:
    provider = standin.configured(kubeconfig(fake.url), namespace="mine")
    request = {
        "type": "kubernetes:core/v1:ConfigMap",
        "urn": "urn:x",
        "news": {"apiVersion": "v1", "kind": "ConfigMap"},
    }
    inputs = provider.call("Check", {**request, "name": "cm"})["inputs"]
    assert inputs["metadata"]["namespace"] == "mine"
    assert inputs["metadata"]["name"].startswith("cm-")
    again = provider.call("Check", {**request, "name": "cm", "olds": inputs})["inputs"]
    assert again == inputs


def test_an_object_that_was_there_before_is_an_error_that_names_the_way_out(
    standin: Attached, fake: FakeApiServer
) -> None:
    provider = standin.configured(kubeconfig(fake.url))
    provider.call("Create", create(config_map(k="1")))
    for _ in range(2):
        with pytest.raises(grpc.RpcError, match=r"ConfigMap n/a already exists .* import"):
            provider.call("Create", create(config_map(k="2")))
    assert fake.objects["/api/v1/namespaces/n/configmaps/a"]["data"] == {"k": "1"}


def test_with_upserts_an_existing_crd_is_taken_over_and_nothing_else_is(standin: Attached, fake: FakeApiServer) -> None:
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "a.b", "annotations": {}},
        "spec": {"group": "b"},
    }
    provider = standin.configured(kubeconfig(fake.url), upsertExistingObjects="true")
    before = {**create(crd), "type": "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"}
    provider.call("Create", before)
    after = {**before, "properties": {**before["properties"], "spec": {"group": "c"}}}
    assert provider.call("Create", after)["id"] == "a.b"
    assert [body["spec"] for method, _, _, body in fake.requests if method == "PUT"] == [{"group": "c"}]
    provider.call("Create", create(config_map(k="1")))
    with pytest.raises(grpc.RpcError, match="upsertExistingObjects for anything but CRDs"):
        provider.call("Create", create(config_map(k="2")))


def test_a_create_whose_answer_was_lost_is_finished_by_the_next_run(tmp_path: Path, fake: FakeApiServer) -> None:
    fake.drop_answer_of = "a"
    with attached(tmp_path) as first, pytest.raises(grpc.RpcError, match="may or may not have been created"):
        first.configured(kubeconfig(fake.url)).call("Create", create(config_map(k="1")))
    fake.drop_answer_of = ""
    with attached(tmp_path) as second:
        made = second.configured(kubeconfig(fake.url)).call("Create", create(config_map(k="2")))
    assert made["id"] == "n/a"
    assert fake.objects["/api/v1/namespaces/n/configmaps/a"]["data"] == {"k": "2"}


def test_a_create_that_the_engine_did_not_live_to_record_is_finished_by_the_next_run(
    tmp_path: Path, fake: FakeApiServer
) -> None:
    with attached(tmp_path) as first:
        first.configured(kubeconfig(fake.url)).call("Create", create(config_map(k="1")))
    with attached(tmp_path) as second:
        assert second.configured(kubeconfig(fake.url)).call("Create", create(config_map(k="1")))["id"] == "n/a"


def test_a_preview_writes_nothing_and_falls_back_to_the_inputs(standin: Attached, fake: FakeApiServer) -> None:
    provider = standin.configured(kubeconfig(fake.url))
    shown = provider.call("Create", create(config_map(k="1"), preview=True))["properties"]
    assert shown["metadata"]["uid"] == "u1"
    unknown = config_map(k="04da6b54-80e4-46f7-96ec-b56ff0331ba9")
    assert provider.call("Create", create(unknown, preview=True))["properties"] == unknown
    fake.refuse = {"code": 403, "reason": "Forbidden", "message": "no"}
    assert provider.call("Create", create(config_map(k="1"), preview=True))["properties"] == config_map(k="1")
    assert fake.objects == {}
    assert {query.get("dryRun") for method, _, query, _ in fake.requests if method != "GET"} == {"All"}


def test_refusals_of_the_api_server_never_carry_a_secret(standin: Attached, fake: FakeApiServer) -> None:
    token = "canary-secret-value"
    encoded = base64.b64encode(token.encode()).decode()
    fake.refuse = {"code": 422, "reason": "Invalid", "message": f"bad value {token} ({encoded})"}
    obj = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "n"},
        "data": {**SECRET, "value": {"t": encoded, "u": token}},
    }
    with pytest.raises(grpc.RpcError, match=r"Secret n/s: bad value \[secret\]") as caught:
        standin.configured(kubeconfig(fake.url)).call("Create", {**create(obj), "type": "kubernetes:core/v1:Secret"})
    assert token not in str(caught.value)
    assert encoded not in str(caught.value)


def test_a_dead_api_server_is_named_with_what_to_do(standin: Attached) -> None:
    with fake_apiserver() as gone:
        server = gone.url
    with pytest.raises(grpc.RpcError, match=rf"no answer from the API server {server}: .*grove up"):
        standin.configured(kubeconfig(server)).call("Create", create(config_map()))


def test_a_read_of_something_gone_has_no_id(standin: Attached, fake: FakeApiServer) -> None:
    provider = standin.configured(kubeconfig(fake.url))
    request = {"id": "n/a", "type": "kubernetes:core/v1:ConfigMap", "urn": "urn:x", "inputs": config_map()}
    assert provider.call("Read", request) == {}


def test_an_import_takes_everything_but_what_the_server_fills_in(standin: Attached, fake: FakeApiServer) -> None:
    provider = standin.configured(kubeconfig(fake.url))
    provider.call("Create", create(config_map(k="1")))
    read = provider.call("Read", {"id": "n/a", "type": "kubernetes:core/v1:ConfigMap", "urn": "urn:x"})
    assert read["inputs"] == config_map(k="1")
