"""What a graph finds around it: registries' secrets, MPI keys, KAI's queues, and the pool of an endpoint picker."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from grove_operator.api.kinds import Json
from grove_operator.dynamo import mapping
from grove_operator.dynamo.around import Around, pull_secrets, registries_of, registry_of
from grove_operator.dynamo.graph import Graph, MappingError
from grove_operator.dynamo.mpi import mpi_trouble
from grove_operator.dynamo.settings import DynamoSettings
from tests.golden.dynamo import story
from tests.unit.dynamo.test_mapping import graph, worker
from tests.unit.dynamo.test_surroundings import annotated

NGC = Around(pull_secrets={"nvcr.io": ["ngc-b", "ngc-a"], "docker.io": ["hub"]})


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.0.0", "nvcr.io"),
        ("host:5000/a/b@sha256:00", "host:5000"),
        ("localhost/a", "localhost"),
        ("nats", "docker.io"),
        ("library/nats:2", "docker.io"),
        ("index.docker.io/library/nats", "docker.io"),
    ],
)
def test_the_registry_of_an_image(image: str, registry: str) -> None:
    assert registry_of(image) == registry


def config(*addresses: str) -> Json:
    text = json.dumps({"auths": {address: {"auth": "x"} for address in addresses}})
    return {"data": {".dockerconfigjson": base64.b64encode(text.encode()).decode()}}


def test_the_registries_of_a_secret_whatever_their_spelling() -> None:
    assert registries_of(config("https://index.docker.io/v1/", "nvcr.io", "https://host:5000/v2")) == (
        "docker.io",
        "host:5000",
        "nvcr.io",
    )


@pytest.mark.parametrize("secret", [{}, {"data": None}, {"data": {".dockerconfigjson": "%%"}}, config()])
def test_a_secret_that_cannot_be_read_is_for_no_registry(secret: Json) -> None:
    assert registries_of(secret) == ()
    assert pull_secrets(Around(), ["nvcr.io/a"]) == []


def pod_of(dgd: Json, around: Around) -> Json:
    (pcs,) = [obj for obj in mapping.children(dgd, around=around) if obj["kind"] == "PodCliqueSet"]
    pod: Json = pcs["spec"]["template"]["cliques"][0]["spec"]["podSpec"]
    return pod


def with_image(image: str, **extra: Any) -> Json:
    service = worker()
    service["extraPodSpec"]["mainContainer"]["image"] = image
    service["extraPodSpec"] |= extra
    return graph({"A": service})


def test_pods_get_the_secrets_of_their_images_registries_behind_their_own() -> None:
    mine = with_image("nvcr.io/x:1", imagePullSecrets=[{"name": "mine"}, {"name": "ngc-b"}])
    assert pod_of(mine, NGC)["imagePullSecrets"] == [{"name": "mine"}, {"name": "ngc-b"}, {"name": "ngc-a"}]
    assert pod_of(with_image("x:1"), NGC)["imagePullSecrets"] == [{"name": "hub"}]
    assert "imagePullSecrets" not in pod_of(with_image("quay.io/x:1"), NGC)


def test_an_annotation_switches_the_search_for_secrets_off() -> None:
    dgd = annotated(with_image("nvcr.io/x:1"), disable_image_pull_secret_discovery="true")
    assert "imagePullSecrets" not in pod_of(dgd, NGC)


def mpi_graph() -> Json:
    return graph({"A": worker(["python3", "-m", "dynamo.trtllm"], multinode={"nodeCount": 2})})


KEYS: Json = {"metadata": {"name": "mpi-run-ssh-secret", "namespace": "grove-system"}, "data": {"private.key": "eA=="}}


def test_mpi_keys_are_copied_into_a_namespace_that_needs_them_and_has_none() -> None:
    (copy,) = [
        obj for obj in mapping.shared_children(mpi_graph(), around=Around({}, KEYS, False)) if obj["kind"] == "Secret"
    ]
    assert copy["metadata"]["namespace"] == mpi_graph()["metadata"].get("namespace", "default")
    assert copy["data"] == KEYS["data"]
    assert "ownerReferences" not in copy["metadata"]
    assert mapping.shared_children(mpi_graph(), around=Around({}, KEYS, True)) == []
    assert mapping.shared_children(graph({"A": worker()}), around=Around({}, KEYS, False)) == []


def test_keys_that_nobody_has_are_asked_for_with_the_commands() -> None:
    said = mpi_trouble(Graph(mpi_graph(), around=Around({}, None, False)))
    assert "is missing" in said
    assert "kubectl create secret generic mpi-run-ssh-secret" in said
    assert mpi_trouble(Graph(mpi_graph(), around=Around({}, KEYS, False))) == ""
    assert mpi_trouble(Graph(mpi_graph())) == ""


def test_a_queue_that_kai_does_not_have_refuses_the_graph() -> None:
    kai = DynamoSettings(scheduler="kai-scheduler")
    dgd = annotated(graph({"A": worker()}), kai_scheduler_queue="team-a")
    mapping.children(dgd, kai, around=Around(queues=frozenset({"team-a"})))
    mapping.children(dgd, kai, around=Around(queues=None))
    with pytest.raises(MappingError, match="KAI has no queue team-a; create that Queue, or name another"):
        mapping.children(dgd, kai, around=Around(queues=frozenset({"dynamo"})))


def test_an_endpoint_picker_gets_a_pool_of_the_workers_frontends() -> None:
    dgd = story.graph("llama70b-vllm-gateway")
    (pool,) = [obj for obj in mapping.children(dgd) if obj["kind"] == "InferencePool"]
    name = dgd["metadata"]["name"]
    assert pool["apiVersion"] == "inference.networking.k8s.io/v1"
    assert pool["metadata"]["name"] == f"{name}-pool"
    assert pool["spec"]["targetPorts"] == [{"number": 8000}]
    assert pool["spec"]["endpointPickerRef"]["port"] == {"number": 9002}
    services = {obj["metadata"]["name"] for obj in mapping.children(dgd) if obj["kind"] == "Service"}
    assert pool["spec"]["endpointPickerRef"]["name"] in services
    pcs = mapping.pod_clique_set(dgd)
    wanted = pool["spec"]["selector"]["matchLabels"].items()
    chosen = [c["name"] for c in pcs["spec"]["template"]["cliques"] if wanted <= c["labels"].items()]
    assert chosen == ["vllmprefillworker"]
