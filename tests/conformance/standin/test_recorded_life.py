"""The official provider's recorded life of a stack, replayed at the stand-in against a real API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from grove_operator.localcluster.controlplane_bare import BareControlPlane, bare_control_plane
from standin_provider.apiserver import ApiServer
from standin_provider.settings import find_endpoint
from tests.conformance.standin.collected import garbage_collector
from tests.unit.standin.attached import Connection, attached
from tests.unit.standin.recordings import STEPS, Exchange, comparable, exchanges

pytestmark = pytest.mark.needs_tools
NOT_FOR_COMPARISON = {"Handshake", "GetPluginInfo", "Configure"}
FIRST_DELETION = "5-up-update.jsonl"
DRIFT_BEFORE = "6-refresh.jsonl"


@pytest.fixture
def empty_cluster(tmp_path: Path) -> Iterator[BareControlPlane]:
    """A control plane of its own: the recordings begin with an empty cluster."""
    with bare_control_plane(tmp_path / "cluster") as running:
        yield running


def test_every_recorded_answer_is_given_again(empty_cluster: BareControlPlane, tmp_path: Path) -> None:
    differences = []
    with attached(tmp_path / "creates") as standin, ExitStack() as stack:
        provider = standin.configured(empty_cluster.kubeconfig.read_text())
        uids: dict[str, str] = {}
        for step in STEPS:
            if step == DRIFT_BEFORE:
                patch_behind_our_back(empty_cluster)
            if step == FIRST_DELETION:  # a collector that starts after the CRD was made knows its kind at once
                stack.enter_context(garbage_collector(empty_cluster.kubeconfig, tmp_path / "gc.log"))
            for exchange in exchanges(step):
                if exchange.method not in NOT_FOR_COMPARISON and not same(provider, exchange, uids):
                    differences.append(f"{step}: {exchange.method} {exchange.name}")
    assert differences == []
    assert uids


def same(provider: Connection, exchange: Exchange, uids: dict[str, str]) -> bool:
    """`uids`: recorded UID -> UID here. An engine hands back the UID that it was given, and a deletion has ended only
    when the object of that very UID is gone."""
    answer = provider.call(exchange.method, with_uids_of_here(exchange.request, uids))
    if (recorded_uid := uid_of(exchange.response)) and (uid := uid_of(answer)):
        uids[recorded_uid] = uid
    given, recorded = without_progress(comparable(answer)), without_progress(comparable(exchange.response))
    if given != recorded:
        print(f"{exchange.method} {exchange.name}\n  given    {given}\n  recorded {recorded}")
    return bool(given == recorded)


def with_uids_of_here(request: dict[str, Any], uids: dict[str, str]) -> dict[str, Any]:
    text = json.dumps(request)
    for recorded, here in uids.items():
        text = text.replace(recorded, here)
    return dict(json.loads(text))


def uid_of(answer: dict[str, Any] | None) -> str:
    return str(((answer or {}).get("properties") or {}).get("metadata", {}).get("uid", ""))


def without_progress(value: Any) -> Any:
    """What the API server itself may or may not have got round to when it was asked: CRDs and namespaces."""
    if not isinstance(value, dict):
        return value
    properties = value.get("properties")
    if isinstance(properties, dict) and properties.get("kind") in ("CustomResourceDefinition", "Namespace"):
        fields = [f for f in properties.get("metadata", {}).get("managedFields", []) if "subresource" not in f]
        metadata = {**properties.get("metadata", {}), "managedFields": fields}
        kept = {key: item for key, item in properties.items() if key != "status"}
        return {**value, "properties": {**kept, "metadata": metadata}}
    return value


def patch_behind_our_back(cluster: BareControlPlane) -> None:
    api = ApiServer(find_endpoint(str(cluster.kubeconfig), "", "", {}))
    api.request(
        "PATCH",
        "/api/v1/namespaces/rec/configmaps/settings",
        {"data": {"a": "drift"}},
        query={"fieldManager": "kubectl-patch"},
        content_type="application/merge-patch+json",
    )
    api.close()
