"""The authorizer's ruling: one row of the decision procedure, one test."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.api.authorizer import (
    AttemptError,
    Ruling,
    needs_owner,
    read_attempt,
    rule_on,
    service_account_user,
    trusted_users,
)
from grove_operator.api.config import EXEMPT_USERS, OperatorConfiguration
from grove_operator.api.constants import ANNOTATION_DISABLE_PROTECTION, PART_OF
from grove_operator.api.kinds import HPA, POD, POD_CLIQUE, POD_GANG, SECRET, Json, Kind

TRUSTED = trusted_users("grove-system", "grove-operator", EXEMPT_USERS)
SET: Json = {"metadata": {"name": "web", "namespace": "team-a"}}


def metadata(**labels: str) -> Json:
    return {"metadata": {"name": "web-0-a", "namespace": "team-a", "labels": labels}}


OWNED = metadata(**{PART_OF: "web"})


def request(
    kind: Kind = POD_CLIQUE, operation: str = "UPDATE", user: str = "jane", new: Any = None, old: Any = OWNED
) -> Json:
    return {
        "operation": operation,
        "namespace": "team-a",
        "resource": {"group": kind.group, "version": kind.version, "resource": kind.plural},
        "kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "userInfo": {"username": user},
        "object": new,
        "oldObject": old,
    }


def ruling(asked: Json, owner: Json | None = SET) -> Ruling:
    return rule_on(read_attempt(asked), owner, TRUSTED)


@pytest.mark.parametrize(
    "user",
    [
        "system:serviceaccount:grove-system:grove-operator",
        "system:serviceaccount:grove-system:grove-scheduler",
        *EXEMPT_USERS,
    ],
)
def test_trusted_users_are_allowed_without_asking_for_the_set(user: str) -> None:
    asked = request(user=user)
    assert ruling(asked).is_allowed
    assert not needs_owner(read_attempt(asked), TRUSTED)


@pytest.mark.parametrize("operation", ["UPDATE", "DELETE"])
def test_everybody_else_is_refused(operation: str) -> None:
    asked = request(operation=operation)
    assert needs_owner(read_attempt(asked), TRUSTED)
    found = ruling(asked)
    assert not found.is_allowed
    fact = f"podclique team-a/web-0-a is generated from podcliqueset web, and user jane may not {operation.lower()} it"
    assert found.message.startswith(fact)
    assert "kubectl edit podcliqueset web -n team-a" in found.message
    assert f"{ANNOTATION_DISABLE_PROTECTION}=true" in found.message


def test_a_creation_is_judged_by_the_new_object_and_all_else_by_the_stored_one() -> None:
    bare = metadata()
    assert not ruling(request(operation="CREATE", new=OWNED, old=None)).is_allowed
    assert not ruling(request(new=bare, old=OWNED)).is_allowed
    assert ruling(request(new=OWNED, old=bare)).is_allowed


def test_objects_without_a_set_are_allowed_with_a_warning() -> None:
    unlabelled, orphan = ruling(request(old=metadata())), ruling(request(), owner=None)
    assert unlabelled.is_allowed
    assert f"podclique team-a/web-0-a has no label {PART_OF}" in unlabelled.warning
    assert orphan.is_allowed
    assert "podcliqueset team-a/web does not exist" in orphan.warning


@pytest.mark.parametrize(("value", "is_allowed"), [("true", True), ("True", False), ("false", False), ("", False)])
def test_the_set_switches_its_protection_off_by_annotation(value: str, is_allowed: bool) -> None:
    owner = {"metadata": {"name": "web", "annotations": {ANNOTATION_DISABLE_PROTECTION: value}}}
    assert ruling(request(), owner).is_allowed is is_allowed


def test_pods_may_be_deleted_but_not_changed() -> None:
    assert ruling(request(POD, "DELETE")).is_allowed
    changed = ruling(request(POD))
    assert not changed.is_allowed
    assert "to have it replaced: kubectl delete pod web-0-a -n team-a" in changed.message


@pytest.mark.parametrize(("kind", "scales"), [(POD_CLIQUE, True), (POD_GANG, False), (SECRET, False), (HPA, False)])
def test_only_what_can_be_scaled_is_said_to_be(kind: Kind, scales: bool) -> None:
    assert ("kubectl scale" in ruling(request(kind)).message) is scales


def test_connections_are_no_changes() -> None:
    assert ruling(request(POD, "CONNECT", old=None)).is_allowed


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (None, 400),
        ({}, 400),
        (request(old=None), 400),
        (request(old={"metadata": []}), 400),
        (request() | {"userInfo": None}, 400),
        (request(Kind("apps", "v1", "Deployment", "deployments")), 500),
    ],
)
def test_what_cannot_be_read_is_refused(broken: Any, code: int) -> None:
    with pytest.raises(AttemptError) as refused:
        read_attempt(broken)
    assert refused.value.code == code


def test_a_list_of_exempt_users_in_the_configuration_replaces_the_usual_one_but_never_locks_us_out() -> None:
    config = OperatorConfiguration.model_validate({"authorizer": {"exemptServiceAccountUserNames": ["me"]}})
    users = trusted_users("ops", "grove-operator", config.authorizer.exempt_service_account_user_names)
    assert users == {"me"} | {service_account_user("ops", name) for name in ("grove-operator", "grove-scheduler")}
