"""The gate before kopf's webhooks: what nobody judges is refused, what the authorizer rules is answered."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.api.authorizer import trusted_users
from grove_operator.api.constants import PART_OF
from grove_operator.api.kinds import CLUSTER_TOPOLOGY_BINDING, DEPLOYMENT, POD_CLIQUE, POD_CLIQUE_SET, Json, Kind
from grove_operator.engine.ports import Overloaded
from grove_operator.kube.gate import PROBE_PREFIX, REMEMBERED_PROBES, Authorizer, DeletionGuard, Gate
from grove_operator.kube.webhooks import SERVED


class Behind:
    """A gate with its switch, the sets that exist, and what came through to kopf."""

    def __init__(self, *, is_enabled: bool = True) -> None:
        self.sets: dict[tuple[str, str], Json] = {("team-a", "web"): {"metadata": {"name": "web"}}}
        self.is_down = False
        self.passed: list[str | None] = []
        trusted = trusted_users("grove-system", "grove-operator", ())
        authorizer = Authorizer(self._owner, trusted, is_enabled=is_enabled)
        self.gate = Gate(SERVED, authorizer, DeletionGuard(self._names))
        self._serve: Any = self.gate.around(self._kopf)

    async def _names(self) -> list[str]:
        if self.is_down:
            raise Overloaded("API server unreachable")
        return [f"{namespace}/{name}" for namespace, name in self.sets]

    async def _owner(self, namespace: str, name: str) -> Json | None:
        if self.is_down:
            raise Overloaded("API server unreachable")
        return self.sets.get((namespace, name))

    async def _kopf(self, request: Any, *, webhook: str | None = None, headers: Any = None, sslpeer: Any = None) -> Any:
        self.passed.append(webhook)
        return {"response": {"uid": request["request"]["uid"], "allowed": True}}

    async def ask(self, path: str, kind: Kind, uid: str = "u-1", **request: Any) -> Any:
        resource = {"group": kind.group, "version": kind.version, "resource": kind.plural}
        whole = {"uid": uid, "operation": "CREATE", "resource": resource, "kind": {"kind": kind.kind}, **request}
        answer = await self._serve({"request": whole}, webhook=path)
        assert answer["response"]["uid"] == uid
        return answer["response"]

    async def edit(self, user: str) -> Any:
        labels = {PART_OF: "web"}
        old = {"metadata": {"name": "web-0-a", "labels": labels}}
        who = {"username": user}
        return await self.ask(
            "authorizer-webhook", POD_CLIQUE, operation="UPDATE", namespace="team-a", userInfo=who, oldObject=old
        )


async def test_a_handlers_path_with_its_own_resource_goes_on_to_kopf() -> None:
    behind = Behind()
    for path, kinds in SERVED.items():
        assert (await behind.ask(path, kinds[0]))["allowed"]
    assert behind.passed == list(SERVED)


async def test_a_path_that_nobody_serves_is_refused_with_those_that_are() -> None:
    behind = Behind()
    response = await behind.ask("validate-podcliquesets", POD_CLIQUE_SET)
    assert not response["allowed"]
    assert "no webhook is served at /webhooks/validate-podcliquesets" in response["status"]["message"]
    assert "/webhooks/validate-podcliqueset," in response["status"]["message"] + ","
    assert behind.passed == []


async def test_a_resource_that_the_path_does_not_judge_is_refused() -> None:
    behind = Behind()
    response = await behind.ask("validate-podcliqueset", CLUSTER_TOPOLOGY_BINDING)
    assert not response["allowed"]
    assert "does not judge clustertopologybindings.grove.io/v1alpha1" in response["status"]["message"]
    assert behind.passed == []


@pytest.mark.parametrize("review", [None, [], {}, {"request": None}, {"request": {"resource": 3}}])
async def test_what_is_no_review_is_refused(review: Any) -> None:
    behind = Behind()
    serve: Any = behind.gate.around(behind._kopf)
    for path in (*SERVED, "authorizer-webhook", None):
        assert not (await serve(review, webhook=path))["response"]["allowed"]
    assert behind.passed == []


async def test_the_authorizer_refuses_a_stranger_with_403_and_lets_the_operator_through() -> None:
    behind = Behind()
    refused = await behind.edit("jane")
    assert (refused["allowed"], refused["status"]["code"]) == (False, 403)
    assert (await behind.edit("system:serviceaccount:grove-system:grove-operator"))["allowed"]


async def test_when_the_set_cannot_be_read_the_request_is_refused() -> None:
    behind = Behind()
    behind.is_down = True
    response = await behind.edit("jane")
    assert (response["allowed"], response["status"]["code"]) == (False, 500)
    assert "API server unreachable" in response["status"]["message"]
    assert (await behind.edit("system:serviceaccount:grove-system:grove-operator"))["allowed"], "and nobody is asked"


async def test_deleting_the_operator_is_refused_while_it_is_needed_or_that_cannot_be_told() -> None:
    behind = Behind()
    gone: Json = {"operation": "DELETE", "namespace": "grove-system", "name": "grove-operator"}
    refused = await behind.ask("operator-deletion", DEPLOYMENT, **gone)
    assert (refused["allowed"], refused["status"]["code"]) == (False, 403)
    assert "team-a/web" in refused["status"]["message"]
    behind.is_down = True
    refused = await behind.ask("operator-deletion", DEPLOYMENT, **gone)
    assert (refused["allowed"], refused["status"]["code"]) == (False, 500)
    forced = {"metadata": {"annotations": {"grove.io/force-deletion": "true"}}}
    assert (await behind.ask("operator-deletion", DEPLOYMENT, **gone, oldObject=forced))["allowed"]
    assert behind.passed == []


async def test_a_configuration_object_that_outlives_the_switch_blocks_nobody() -> None:
    response = await Behind(is_enabled=False).edit("jane")
    assert response["allowed"]
    assert response["warnings"] == ["the authorizer is disabled in the operator's configuration"]


async def test_the_gate_remembers_its_own_probes_and_only_the_newest() -> None:
    behind = Behind()
    first = f"{PROBE_PREFIX}first"
    await behind.ask("validate-podcliqueset", POD_CLIQUE_SET, first)
    await behind.ask("validate-podcliqueset", POD_CLIQUE_SET, "somebody's")
    assert behind.gate.saw(first)
    assert not behind.gate.saw("somebody's")
    for n in range(REMEMBERED_PROBES):
        await behind.ask("validate-podcliqueset", POD_CLIQUE_SET, f"{PROBE_PREFIX}{n}")
    assert not behind.gate.saw(first)
