"""Who may change generated objects (grove-behaviour 2.7): the operator, whoever is exempt, and nobody else.

    CONNECT, trusted user, deletion of a pod          allowed, whatever the object is
    no part-of label, or its PodCliqueSet is gone     allowed with a warning: there is nobody to ask
    the PodCliqueSet switches the protection off      allowed
    otherwise                                         refused, with the ways that lead to the goal

The object's metadata is read from what is stored (`oldObject`) where there is that, so that taking labels off in the
same request does not help.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from grove_operator.api.constants import ANNOTATION_DISABLE_PROTECTION, OPERATOR_NAME, PART_OF, SCHEDULER_NAME
from grove_operator.api.kinds import POD, POD_CLIQUE, SCALING_GROUP, Json
from grove_operator.api.webhooks import generated_resources

_SCALABLE = (POD_CLIQUE.plural, SCALING_GROUP.plural)


class AttemptError(ValueError):
    """The review can't be judged; `code` is the HTTP status to refuse it with."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody's request to change one object. `metadata` is that of the stored object, of the new one at creation."""

    user: str
    operation: str
    group: str
    resource: str
    kind: str
    namespace: str
    metadata: Mapping[str, Any]

    @property
    def owner(self) -> str:
        """Name of the PodCliqueSet that the object says it belongs to, or ""."""
        labels = self.metadata.get("labels")
        name = labels.get(PART_OF) if isinstance(labels, Mapping) else None
        return name if isinstance(name, str) else ""

    @property
    def name(self) -> str:
        return str(self.metadata.get("name") or self.metadata.get("generateName") or "")


@dataclass(frozen=True, slots=True)
class Ruling:
    """`message` says why not, `warning` what the user should know though it is allowed."""

    is_allowed: bool
    message: str = ""
    warning: str = ""


ALLOWED = Ruling(is_allowed=True)


def service_account_user(namespace: str, name: str) -> str:
    """The user name under which a service account asks the API server."""
    return f"system:serviceaccount:{namespace}:{name}"


def trusted_users(namespace: str, service_account: str, exempt: Collection[str]) -> frozenset[str]:
    """The operator's own account, our scheduler's beside it, and the exempt ones of the configuration."""
    ours = (service_account or OPERATOR_NAME, SCHEDULER_NAME)
    return frozenset(exempt) | {service_account_user(namespace, name) for name in ours}


def read_attempt(request: Any) -> Attempt:
    """The request part of an AdmissionReview. AttemptError: 400 for what can't be read, 500 for unknown kinds."""
    if not isinstance(request, Mapping):
        raise AttemptError("the review has no request", 400)
    operation = request.get("operation")
    resource, kind, user = request.get("resource"), request.get("kind"), request.get("userInfo")
    if not (isinstance(resource, Mapping) and isinstance(kind, Mapping) and isinstance(user, Mapping)):
        raise AttemptError("the review lacks resource, kind or userInfo", 400)
    where = (resource.get("group") or "", resource.get("resource") or "")
    attempt = Attempt(
        user=str(user.get("username") or ""),
        operation=str(operation or ""),
        group=str(where[0]),
        resource=str(where[1]),
        kind=str(kind.get("kind") or ""),
        namespace=str(request.get("namespace") or ""),
        metadata=_metadata(request, "object" if operation == "CREATE" else "oldObject"),
    )
    if attempt.operation != "CONNECT" and where not in generated_resources():
        raise AttemptError(f"{attempt.resource}.{attempt.group} is no kind that the operator generates", 500)
    return attempt


def needs_owner(attempt: Attempt, trusted: Collection[str]) -> bool:
    """Whether the ruling depends on the PodCliqueSet, which then has to be read."""
    return not (_is_free(attempt) or attempt.user in trusted) and bool(attempt.owner)


def rule_on(attempt: Attempt, owner: Json | None, trusted: Collection[str]) -> Ruling:
    """Allowed or not; `owner` is the PodCliqueSet `attempt.owner` of the same namespace, None when there is none."""
    if _is_free(attempt) or attempt.user in trusted:
        return ALLOWED
    if not attempt.owner:
        return Ruling(is_allowed=True, warning=f"{_shown(attempt)} has no label {PART_OF}: nothing protects it")
    if owner is None:
        gone = f"podcliqueset {attempt.namespace}/{attempt.owner} does not exist"
        return Ruling(
            is_allowed=True, warning=f"{gone}: nothing protects {_shown(attempt)}, which says it is part of it"
        )
    annotations = (owner.get("metadata") or {}).get("annotations")
    if isinstance(annotations, Mapping) and annotations.get(ANNOTATION_DISABLE_PROTECTION) == "true":
        return ALLOWED
    return Ruling(is_allowed=False, message=_refusal(attempt))


def _is_free(attempt: Attempt) -> bool:
    is_pod = (attempt.group, attempt.resource) == (POD.group, POD.plural)
    return attempt.operation == "CONNECT" or (is_pod and attempt.operation == "DELETE")


def _metadata(request: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    if request.get("operation") == "CONNECT":
        return {}
    obj = request.get(part)
    metadata = obj.get("metadata") if isinstance(obj, Mapping) else None
    if not isinstance(metadata, Mapping):
        raise AttemptError(f"the review's {part} has no metadata", 400)
    return metadata


def _shown(attempt: Attempt) -> str:
    return f"{attempt.kind.lower()} {attempt.namespace}/{attempt.name}"


def _refusal(attempt: Attempt) -> str:
    at = f"-n {attempt.namespace}"
    verb = attempt.operation.lower()
    ways = []
    if attempt.resource in _SCALABLE and attempt.operation == "UPDATE":
        scaled = f"{attempt.kind.lower()} {attempt.name}"
        ways.append(f"to scale it: kubectl scale {scaled} {at} --replicas=N")
    if attempt.resource == POD.plural:
        ways.append(f"to have it replaced: kubectl delete pod {attempt.name} {at}")
    ways.append(f"to change what it is generated from: kubectl edit podcliqueset {attempt.owner} {at}")
    off = f"kubectl annotate podcliqueset {attempt.owner} {at} {ANNOTATION_DISABLE_PROTECTION}=true"
    ways.append(f"to {verb} it by hand all the same, switch the protection off: {off}")
    fact = (
        f"{_shown(attempt)} is generated from podcliqueset {attempt.owner}, and user {attempt.user} may not {verb} it"
    )
    return f"{fact}; {'; '.join(ways)}"
