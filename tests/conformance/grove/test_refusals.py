"""Every row of the admission tables, by the pure functions and by a real API server with the webhooks in place."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest

from grove_operator.api import conditions
from grove_operator.api.defaults import default_podcliqueset
from grove_operator.api.kinds import (
    BY_KIND,
    CLUSTER_TOPOLOGY_BINDING,
    MUTATING_WEBHOOKS,
    POD_CLIQUE_SET,
    POD_GANG_SET,
    VALIDATING_WEBHOOKS,
    Json,
    Kind,
)
from grove_operator.api.validation import (
    advise_podcliqueset,
    validate_clustertopologybinding,
    validate_podcliqueset,
)
from grove_operator.engine.ports import ApiError, Conflict
from grove_operator.kube.client import HttpKubeApi
from grove_operator.localcluster.tools import locate
from tests.conformance.grove.accepted import DEFAULTS, WARNINGS, Advised, Default, at, bare
from tests.conformance.grove.changes import ALLOWED, REFUSED
from tests.conformance.grove.refusals import STRUCTURE, base
from tests.conformance.grove.refusals_others import ANNOTATION_ROWS, BACKEND_ROWS, BINDING_ROWS
from tests.conformance.grove.refusals_topology import TOPOLOGY_ROWS
from tests.conformance.grove.rows import TOPOLOGIES, Row, bent
from tests.support.installation import Installation, eventually, installed
from tests.unit.api.manifests import TOPOLOGY, podgangset

ROWS = [*STRUCTURE, *TOPOLOGY_ROWS, *ANNOTATION_ROWS, *BACKEND_ROWS]
EVERY = [*ROWS, *REFUSED, *BINDING_ROWS]
PATH = POD_CLIQUE_SET.path("default")
WRITTEN = {"CREATE", "UPDATE"}
REGISTRATION = {
    "podcliqueset-defaulting-webhook": (
        MUTATING_WEBHOOKS,
        "pcs.defaulting.webhooks.grove.io",
        "/webhooks/default-podcliqueset",
        {"podcliquesets"},
        WRITTEN,
    ),
    "podcliqueset-validating-webhook": (
        VALIDATING_WEBHOOKS,
        "pcs.validating.webhooks.grove.io",
        "/webhooks/validate-podcliqueset",
        {"podcliquesets"},
        WRITTEN,
    ),
    "clustertopology-validating-webhook": (
        VALIDATING_WEBHOOKS,
        "clustertopology.validating.webhooks.grove.io",
        "/webhooks/validate-clustertopology",
        {"clustertopologybindings"},
        WRITTEN,
    ),
    "authorizer-webhook": (
        VALIDATING_WEBHOOKS,
        "authorizer.webhooks.grove.io",
        "/webhooks/authorizer-webhook",
        {
            "secrets", "serviceaccounts", "services", "pods", "roles", "rolebindings", "horizontalpodautoscalers",
            "podcliques", "podcliquescalinggroups", "podgangs",
        },
        {"CREATE", "UPDATE", "DELETE"},
    ),
}  # fmt: skip
STRICT = {"dryRun": "All", "fieldValidation": "Strict"}


def test_no_rule_is_twice_in_the_tables() -> None:
    told = [str(row) for row in EVERY]
    assert len(set(told)) == len(told)


def test_what_the_rows_bend_is_fine_by_itself() -> None:
    assert validate_podcliqueset(base()) == []


@pytest.mark.parametrize("row", [*ROWS, *REFUSED, *ALLOWED], ids=str)
def test_the_pure_function_tells_exactly_these_faults(row: Row) -> None:
    faults = validate_podcliqueset(row.obj, row.old, topologies=TOPOLOGIES, config=row.config)
    assert sorted(f"{fault.field} {fault.reason}" for fault in faults) == sorted(row.faults)
    assert all(fault.message and fault.remedy for fault in faults)


@pytest.mark.parametrize("row", BINDING_ROWS, ids=str)
def test_the_pure_function_tells_exactly_these_faults_of_a_topology(row: Row) -> None:
    faults = validate_clustertopologybinding(row.obj, config=row.config)
    assert sorted(f"{fault.field} {fault.reason}" for fault in faults) == sorted(row.faults)


def kubectl(installation: Installation, *args: str, stdin: Json | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(locate("kubectl")), "--kubeconfig", str(installation.plane.kubeconfig), *args]
    text = json.dumps(stdin) if stdin is not None else None
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("rows"), {"authorizer": {"enabled": True}}) as made:
        yield made


@pytest.fixture
async def api(installation: Installation) -> AsyncIterator[HttpKubeApi]:
    async with HttpKubeApi.from_kubeconfig(installation.plane.kubeconfig) as client:
        if not installation.processes:
            await installation.serve()
            await client.create(CLUSTER_TOPOLOGY_BINDING, None, TOPOLOGY)
        yield client


@pytest.mark.parametrize("row", DEFAULTS, ids=str)
def test_the_pure_function_fills_it_in(row: Default) -> None:
    filled = default_podcliqueset(bent(bare(), *row.changes), with_schema_defaults=True)
    assert at(filled, row.place) == row.value
    assert validate_podcliqueset(filled) == []


@pytest.mark.parametrize("row", WARNINGS, ids=str)
def test_the_pure_function_advises(row: Advised) -> None:
    obj = default_podcliqueset(row.obj, with_schema_defaults=True)
    assert validate_podcliqueset(obj, topologies=TOPOLOGIES) == []
    assert [row.says in str(advice) for advice in advise_podcliqueset(obj, topologies=TOPOLOGIES)] == [True]


async def submitted(api: HttpKubeApi, row: Row) -> Json:
    """Answer of a dry run: the creation of the row's object, or its change over an old one that is really there."""
    kind = BY_KIND[row.obj["kind"]]
    namespace = "default" if kind is POD_CLIQUE_SET else None
    if row.old is None:
        return await api.raw("POST", kind.path(namespace), body=row.obj, params=STRICT)
    name = "".join(c if c.isalnum() else "-" for c in row.rule.lower())[:20].strip("-")
    await api.create(kind, namespace, bent(row.old, ("metadata.name", name), ("spec.replicas", 0)))
    try:
        return await _changed(api, kind, namespace, name, row)
    finally:
        await api.delete(kind, namespace, name)


async def _changed(api: HttpKubeApi, kind: Kind, namespace: str | None, name: str, row: Row) -> Json:
    """Again when the operator wrote its status between reading and changing."""
    for _ in range(10):
        stored = await api.get(kind, namespace, name)
        live = {"name": name, "resourceVersion": stored["metadata"]["resourceVersion"]}
        obj = {**row.obj, "metadata": {**row.obj["metadata"], **live}}
        try:
            return await api.raw("PUT", kind.path(namespace, name), body=obj, params=STRICT)
        except Conflict:
            continue
    raise AssertionError(f"{name} is written all the time")


@pytest.mark.needs_tools
@pytest.mark.parametrize("row", [row for row in EVERY if row.by_server], ids=str)
async def test_the_server_refuses_it_and_names_the_fields(api: HttpKubeApi, row: Row) -> None:
    with pytest.raises(ApiError) as refused:
        await submitted(api, row)
    assert refused.value.status in (400, 422), refused.value
    for field in row.named:
        assert field in str(refused.value), f"{field} is not named in: {refused.value}"


@pytest.mark.needs_tools
@pytest.mark.parametrize("row", [row for row in ALLOWED if row.by_server], ids=str)
async def test_the_server_lets_it_change(api: HttpKubeApi, row: Row) -> None:
    assert (await submitted(api, row))["kind"] == "PodCliqueSet"


@pytest.mark.needs_tools
@pytest.mark.parametrize("row", DEFAULTS, ids=str)
async def test_the_server_fills_it_in(api: HttpKubeApi, row: Default) -> None:
    stored = await api.raw("POST", PATH, body=bent(bare(), *row.changes), params=STRICT)
    assert at(stored, row.place) == row.value


@pytest.mark.needs_tools
@pytest.mark.parametrize("row", WARNINGS, ids=str)
def test_kubectl_shows_the_warning(api: HttpKubeApi, installation: Installation, row: Advised) -> None:
    said = kubectl(installation, "create", "--dry-run=server", "-f", "-", stdin=row.obj)
    assert said.returncode == 0, said.stderr
    assert f"Warning: {row.says}" in said.stderr
    assert said.stderr.count("Warning:") == 1


@pytest.mark.needs_tools
async def test_the_configuration_objects_are_groves(api: HttpKubeApi, installation: Installation) -> None:
    """2.1: names, paths, operations, and how they fail."""
    for name, (kind, webhook, path, resources, operations) in REGISTRATION.items():
        (live,) = (await api.get(kind, None, name))["webhooks"]
        assert live["name"] == webhook
        assert live["clientConfig"]["service"]["path"] == path
        assert {r for rule in live["rules"] for r in rule["resources"]} == resources
        assert {o for rule in live["rules"] for o in rule["operations"]} == operations
        fixed = ("failurePolicy", "matchPolicy", "sideEffects", "timeoutSeconds", "admissionReviewVersions")
        assert tuple(live[key] for key in fixed) == ("Fail", "Exact", "None", 10, ["v1"])
        assert live["clientConfig"]["caBundle"], "the operator wrote it"


@pytest.mark.needs_tools
async def test_scaling_goes_past_every_webhook(api: HttpKubeApi, installation: Installation) -> None:
    await api.create(POD_CLIQUE_SET, "default", bent(bare(), ("metadata.name", "scaled")))
    done = kubectl(installation, "scale", "pcs", "scaled", "--replicas=0")
    assert done.returncode == 0, done.stderr


@pytest.mark.needs_tools
async def test_a_podgangset_is_converted_with_the_rights_that_the_operator_has(
    api: HttpKubeApi, installation: Installation
) -> None:
    former = bent(podgangset(), ("metadata.name", "former"), ("spec.replicas", 0))
    await api.create(POD_GANG_SET, "default", former)

    async def is_done() -> bool:
        return conditions.is_true(await api.get(POD_GANG_SET, "default", "former"), "Converted")

    await eventually(is_done, lambda: installation.said("operator-0")[-2000:])
    made = await api.get(POD_CLIQUE_SET, "default", "former")
    assert made["spec"]["template"]["terminationDelay"] == "1m"
    assert "ownerReferences" not in made["metadata"]
    path = "jsonpath={.status.conditions[?(@.type=='Lossless')].message}"
    lost = kubectl(installation, "get", "pgs", "former", "-o", path)
    assert "networkPackGroupConfigs[0]" in lost.stdout
