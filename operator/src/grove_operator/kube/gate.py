"""What stands between kopf's webhook server and kopf's handlers.

    POST /webhooks/<id> ──> Gate ─┬─ a handler's id, with a resource it is for ──> kopf
                                  ├─ authorizer-webhook ──────────────────────────> api.authorizer
                                  ├─ operator-deletion ───────────────────────────> api.deletion
                                  └─ anything else ───────────────────────────────> refused

kopf runs the handlers that match and allows what none matches: a webhook configuration with a wrong path, or with a
rule for another resource, would switch its checks off unnoticed. The authorizer does not go through kopf because kopf
remembers every object of an UPDATE or DELETE review until it sees that object deleted in a watch, and nobody watches
the generated objects there: each would stay in memory for good.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from kopf import WebhookFn

from grove_operator.api.authorizer import ALLOWED, AttemptError, Ruling, needs_owner, read_attempt, rule_on
from grove_operator.api.deletion import is_forced, rule_on_deletion
from grove_operator.api.kinds import Json, Kind

log = logging.getLogger(__name__)

AUTHORIZER = "authorizer-webhook"
DELETION = "operator-deletion"
REFUSED, NOT_FOUND, FAILED = 403, 404, 500
REMEMBERED_PROBES = 64
Judge = Callable[[Mapping[str, Any]], Awaitable[Ruling]]
OwnerOf = Callable[[str, str], Awaitable[Json | None]]
"""Namespace and name to the live PodCliqueSet, None when there is none; raises when it can't be read."""


class Authorizer:
    """Judges changes of generated objects. Switched off it allows everything and says so in a warning: the
    configuration object may outlive the switch, and nothing must get stuck on it."""

    def __init__(self, owner_of: OwnerOf, trusted: Collection[str], *, is_enabled: bool) -> None:
        self._owner_of, self._trusted, self._is_enabled = owner_of, trusted, is_enabled

    async def judge(self, request: Any) -> Ruling:
        """Raises AttemptError for a review that can't be read, and whatever reading the PodCliqueSet raises."""
        attempt = read_attempt(request)
        if not self._is_enabled:
            return Ruling(is_allowed=True, warning="the authorizer is disabled in the operator's configuration")
        if not needs_owner(attempt, self._trusted):
            return rule_on(attempt, None, self._trusted)
        return rule_on(attempt, await self._owner_of(attempt.namespace, attempt.owner), self._trusted)


ListSets = Callable[[], Awaitable[Sequence[str]]]
"""All PodCliqueSets as `namespace/name`; raises when they can't be read."""


class DeletionGuard:
    """Judges deletions of the operator itself."""

    def __init__(self, list_sets: ListSets) -> None:
        self._list_sets = list_sets

    async def judge(self, request: Mapping[str, Any]) -> Ruling:
        """Raises whatever listing the PodCliqueSets raises."""
        return rule_on_deletion(request, () if is_forced(request) else await self._list_sets())


class Gate:
    """`served` has the resources of every handler id. `saw` tells whether a review with that uid came by."""

    def __init__(self, served: Mapping[str, Collection[Kind]], authorizer: Authorizer, guard: DeletionGuard) -> None:
        self._served = {
            path: {(kind.group, kind.version, kind.plural) for kind in kinds} for path, kinds in served.items()
        }
        self._judges: Mapping[str, Judge] = {AUTHORIZER: authorizer.judge, DELETION: guard.judge}
        self._probes: dict[str, None] = {}

    def saw(self, uid: str) -> bool:
        """From any thread, for uids that begin with PROBE_PREFIX only."""
        return uid in self._probes

    def around(self, fn: WebhookFn) -> WebhookFn:
        """kopf's serving function behind this gate."""

        async def serve(request: Any, *, webhook: str | None = None, headers: Any = None, sslpeer: Any = None) -> Any:
            asked = request.get("request") if isinstance(request, Mapping) else None
            asked = asked if isinstance(asked, Mapping) else {}
            uid = str(asked.get("uid") or "")
            if uid.startswith(PROBE_PREFIX):
                self._remember(uid)
            if webhook is not None and webhook in self._judges:
                return await self._rule(webhook, uid, asked)
            if fault := self._fault(webhook or "", asked):
                log.error("admission review refused: %s", fault)
                return answer(uid, Ruling(is_allowed=False, message=fault), NOT_FOUND)
            return await fn(request, webhook=webhook, headers=headers, sslpeer=sslpeer)

        return serve

    def _remember(self, uid: str) -> None:
        self._probes[uid] = None
        if len(self._probes) > REMEMBERED_PROBES:
            del self._probes[next(iter(self._probes))]

    def _fault(self, path: str, request: Mapping[str, Any]) -> str:
        if path not in self._served:
            known = ", ".join(f"/webhooks/{name}" for name in sorted((*self._served, *self._judges)))
            return f"no webhook is served at /webhooks/{path}; correct the webhook configuration to one of {known}"
        resource = request.get("resource")
        asked = resource if isinstance(resource, Mapping) else {}
        found = (asked.get("group", ""), asked.get("version", ""), asked.get("resource", ""))
        if found in self._served[path]:
            return ""
        known = ", ".join(f"{plural}.{group}/{version}" for group, version, plural in sorted(self._served[path]))
        shown = f"{found[2]}.{found[0]}/{found[1]}"
        return f"/webhooks/{path} does not judge {shown}; correct the configuration's rules to {known}"

    async def _rule(self, webhook: str, uid: str, request: Mapping[str, Any]) -> Any:
        try:
            ruling, code = await self._judges[webhook](request), REFUSED
        except AttemptError as error:
            ruling, code = Ruling(is_allowed=False, message=str(error)), error.code
        except Exception as error:
            log.exception("%s failed; the request is refused", webhook)
            ruling, code = Ruling(is_allowed=False, message=f"{webhook} failed: {error}; try again"), FAILED
        if not ruling.is_allowed:
            log.info("refused %s", ruling.message)
        return answer(uid, ruling, code)


PROBE_PREFIX = "grove-self-check-"


def answer(uid: str, ruling: Ruling = ALLOWED, code: int = REFUSED) -> Json:
    """An AdmissionReview with the response alone."""
    response: Json = {"uid": uid, "allowed": ruling.is_allowed}
    if ruling.warning:
        response["warnings"] = [ruling.warning]
    if not ruling.is_allowed:
        response["status"] = {"message": ruling.message, "code": code}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
