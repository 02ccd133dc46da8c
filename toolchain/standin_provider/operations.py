"""Create, read, update and delete of one object on one API server, by the rules of the official provider.

create   POST, manager `pulumi-kubernetes`; AlreadyExists is an error (except journal.py, and CRDs with upserts)
update   managedFields hand-over, then server-side apply; CRDs are PUT with the live resourceVersion
preview  the same with dryRun=All and no hand-over; the raw inputs where that can't tell
delete   foreground by default, and wait until it is gone
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from standin_provider.annotations import Settings, read_settings
from standin_provider.apiserver import ApiServer, ResourceType
from standin_provider.errors import ApiFailure, Cancelled, NotReady, ProviderError, Unmodelled, Unreachable
from standin_provider.journal import Entry, Journal
from standin_provider.managed_fields import handed_over, needs_force_in_preview, without_ignored
from standin_provider.objects import CLIENT_MANAGER, describe, identity, is_built_in, is_crd, to_object
from standin_provider.settings import ProviderSettings
from standin_provider.waiting import Wait
from standin_provider.wire import Json, Tree

_RETRY_WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0)
_CONFLICT_TRIES = 5
_SKIPS_DELETE_AWAIT = frozenset(
    {"DaemonSet", "Deployment", "Job", "Namespace", "Pod", "ReplicaSet", "ReplicationController", "StatefulSet"}
)


@dataclass
class Cluster:
    """One configured provider instance."""

    settings: ProviderSettings
    api: ApiServer
    journal: Journal = field(default_factory=Journal)
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass
class Operation:
    """One call of the engine. `report` shows a line next to the resource."""

    cluster: Cluster
    report: Callable[[str], None]
    timeout_s: float = 0.0
    ignored: tuple[str, ...] = ()
    """Paths of the resource's `ignoreChanges`, for updates."""

    def create(self, inputs: Tree, *, preview: bool) -> tuple[Json, str] | None:
        """(live object, field manager); None if a preview can't know better than the inputs. Raises NotReady (it was
        created) and ProviderError (it wasn't, or nobody knows)."""
        body = to_object(inputs.value)
        settings = read_settings(body, self.timeout_s)
        manager = settings.field_manager or f"{CLIENT_MANAGER}-{uuid.uuid4().hex[:8]}"
        if not preview:
            return self._create(body, settings, manager), manager
        kind = None if inputs.unknowns else self._kind(body)
        if kind is None:
            return None
        try:
            live = self._post(kind, body, dry_run=True)
        except ApiFailure as failure:
            if failure.status in (403, 404, 409):
                return None
            raise self._refused(body, failure) from failure
        live.pop("status", None)
        return live, manager

    def _create(self, body: Json, settings: Settings, manager: str) -> Json:
        def post() -> Json:
            kind = self._kind(body)
            if kind is None:
                raise ApiFailure(
                    404, "NoMatch", f"the API server does not serve {body.get('apiVersion')} {body.get('kind')}"
                )
            return self._post_recorded(kind, body, settings, manager)

        live = self._retrying(body, post)
        if is_crd(body):
            self.cluster.api.forget_types()
        return self._wait(live).until_ready(live, read_settings(live, self.timeout_s))

    def _post_recorded(self, kind: ResourceType, body: Json, settings: Settings, manager: str) -> Json:
        server, journal = self.cluster.api.server, self.cluster.journal
        path = self._path(kind, body)
        unfinished = journal.sent(server, path)
        try:
            live = self._post(kind, body)
        except ApiFailure as failure:
            if failure.reason == "AlreadyExists":
                return self._take_over(kind, body, settings, manager, failure, unfinished)
            if failure.status < 500:
                journal.forget(server, path)
                raise
            raise ProviderError(f"{describe(body)}: {failure} (HTTP {failure.status})") from failure
        except Unreachable as error:
            if not error.sent:
                journal.forget(server, path)
                raise Unreachable(f"{describe(body)}: {error}", sent=False) from error
            raise ProviderError(
                f"{describe(body)}: {error}; it may or may not have been created: run `pulumi up` again once the API "
                "server answers, what was created is then taken over"
            ) from error
        journal.created(server, path)
        return live

    def _take_over(
        self,
        kind: ResourceType,
        body: Json,
        settings: Settings,
        manager: str,
        failure: ApiFailure,
        unfinished: Entry | None,
    ) -> Json:
        live = self.cluster.api.get(self._path(kind, body))
        upserts = self.cluster.settings.upserts
        if upserts and not is_crd(body):
            raise Unmodelled(f"upsertExistingObjects for anything but CRDs ({describe(body)} already exists)")
        if not upserts and (unfinished is None or not unfinished.made(live)):
            self.cluster.journal.forget(self.cluster.api.server, self._path(kind, body))
            raise ProviderError(
                f"{describe(body)} already exists and is not in this stack's state; import it "
                f"(pulumi import, id {identity(body)}), delete it, or choose another name"
            ) from failure
        self.report("taking over the existing one" if upserts else "taking over what an interrupted create left behind")
        live = self._apply(kind, body, live, settings, manager, preview=False)
        self.cluster.journal.created(self.cluster.api.server, self._path(kind, body))
        return live

    def update(self, inputs: Tree, manager: str, *, preview: bool) -> tuple[Json, str] | None:
        """As create()."""
        body = to_object(inputs.value)
        settings = read_settings(body, self.timeout_s)
        manager = settings.field_manager or manager or f"{CLIENT_MANAGER}-{uuid.uuid4().hex[:8]}"
        kind = None if preview and inputs.unknowns else self._kind(body)
        if kind is None and preview:
            return None

        def apply() -> Json:
            served = kind or self._kind(body)
            if served is None:
                raise ApiFailure(
                    404, "NoMatch", f"the API server does not serve {body.get('apiVersion')} {body.get('kind')}"
                )
            live = self.cluster.api.get(self._path(served, body))
            if not preview:
                self.cluster.journal.forget(self.cluster.api.server, self._path(served, body))
            return self._apply(served, body, live, settings, manager, preview=preview)

        if preview:
            try:
                return apply(), manager
            except ApiFailure as failure:
                if failure.status in (403, 404) or failure.reason == "AlreadyExists":
                    return None
                raise self._refused(body, failure) from failure
        live = self._retrying(body, apply, retry_missing_object=False)
        return self._wait(live).until_ready(live, read_settings(live, self.timeout_s)), manager

    def _apply(
        self, kind: ResourceType, body: Json, live: Json, settings: Settings, manager: str, *, preview: bool
    ) -> Json:
        for attempt in range(_CONFLICT_TRIES):
            try:
                if is_crd(body):
                    return self._put(kind, body, live, manager, preview=preview)
                return self._server_side_apply(kind, body, live, settings, manager, preview=preview)
            except ApiFailure as failure:
                is_stale = failure.status == 409 and "the object has been modified" in str(failure)
                if not is_stale or attempt == _CONFLICT_TRIES - 1:
                    raise
            live = self.cluster.api.get(self._path(kind, body))
        raise AssertionError("unreachable")

    def _put(self, kind: ResourceType, body: Json, live: Json, manager: str, *, preview: bool) -> Json:
        metadata = {**body["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
        return self.cluster.api.request(
            "PUT", self._path(kind, body), {**body, "metadata": metadata}, query=_query(manager, body, dry_run=preview)
        )

    def _server_side_apply(
        self, kind: ResourceType, body: Json, live: Json, settings: Settings, manager: str, *, preview: bool
    ) -> Json:
        path = self._path(kind, body)
        if not preview and (entries := handed_over(live, manager)) is not None:
            patch = [
                {"op": "replace", "path": "/metadata/managedFields", "value": entries},
                {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
            ]
            live = self.cluster.api.request("PATCH", path, patch, content_type="application/json-patch+json")
        body = without_ignored(body, live, manager, self.ignored)
        query = _query(manager, body, dry_run=preview)
        if settings.force or (preview and needs_force_in_preview(live)):
            query["force"] = "true"
        return self.cluster.api.request("PATCH", path, body, query=query, content_type="application/apply-patch+yaml")

    def read(self, obj: Json) -> Json | None:
        """The live object, None if it or its kind is gone."""
        kind = self._kind(obj)
        if kind is None:
            return None
        try:
            return self.cluster.api.get(self._path(kind, obj))
        except ApiFailure as failure:
            if failure.status == 404:
                return None
            raise self._refused(obj, failure) from failure

    def delete(self, obj: Json, uid: str) -> None:
        """Returns when it is gone; at once with skipAwait. Raises ProviderError and Cancelled."""
        settings = read_settings(obj, self.timeout_s)
        kind = self._kind(obj)
        if kind is None:
            return
        options: Json = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": settings.propagation}
        try:
            self.cluster.api.request("DELETE", self._path(kind, obj), options)
        except ApiFailure as failure:
            if failure.status == 404:
                return
            raise self._refused(obj, failure) from failure
        if (
            settings.skip_await
            and is_built_in(str(obj.get("apiVersion", "")))
            and obj.get("kind") in _SKIPS_DELETE_AWAIT
        ):
            self.report("Skipping await logic")
            return
        self.cluster.journal.forget(self.cluster.api.server, self._path(kind, obj))
        self._wait(obj).until_gone(uid)
        if is_crd(obj):
            self.cluster.api.forget_types()

    def _retrying(self, body: Json, act: Callable[[], Json], *, retry_missing_object: bool = True) -> Json:
        """Custom resources often come in the same breath as their CRD, and objects in that of their namespace."""
        for wait_s in (*_RETRY_WAITS_S, None):
            try:
                return act()
            except ApiFailure as failure:
                may_come = failure.reason == "NoMatch" or (failure.status == 404 and retry_missing_object)
                if not may_come or wait_s is None:
                    raise self._refused(body, failure) from failure
                self.cluster.api.forget_types()
                self.report(f"{failure}; trying again in {wait_s:g} s")
                if self.cluster.cancelled.wait(wait_s):
                    raise Cancelled(f"{describe(body)}: interrupted; {failure}") from failure
        raise AssertionError("unreachable")

    def _post(self, kind: ResourceType, body: Json, *, dry_run: bool = False) -> Json:
        return self.cluster.api.request(
            "POST", kind.path(self._namespace(body)), body, query=_query(CLIENT_MANAGER, body, dry_run=dry_run)
        )

    def _kind(self, obj: Json) -> ResourceType | None:
        return self.cluster.api.resource_type(str(obj.get("apiVersion", "")), str(obj.get("kind", "")))

    def _namespace(self, obj: Json) -> str:
        return str((obj.get("metadata") or {}).get("namespace") or self.cluster.settings.namespace)

    def _path(self, kind: ResourceType, obj: Json) -> str:
        return kind.path(self._namespace(obj), str((obj.get("metadata") or {}).get("name", "")))

    def _wait(self, obj: Json) -> Wait:
        kind = self._kind(obj)
        if kind is None:
            raise NotReady(obj, [f"{describe(obj)}: its kind is not served any more"])
        timeout_s = read_settings(obj, self.timeout_s).timeout_s
        name = str(obj["metadata"]["name"])
        return Wait(self.cluster.api, kind, self._namespace(obj), name, timeout_s, self.cluster.cancelled, self.report)

    @staticmethod
    def _refused(obj: Json, failure: ApiFailure) -> ProviderError:
        remedy = ""
        if failure.status == 409 and "conflict" in str(failure).lower():
            remedy = '; another manager owns these fields: leave them out, or annotate pulumi.com/patchForce: "true"'
        elif failure.status == 404:
            remedy = "; run `pulumi refresh` if it was deleted behind Pulumi's back"
        return ProviderError(f"{describe(obj)}: {failure}{remedy}")


def _query(manager: str, body: Json, *, dry_run: bool) -> dict[str, str]:
    """Built-in kinds are checked strictly here, since the official provider checks them against OpenAPI beforehand."""
    strict = "Strict" if is_built_in(str(body.get("apiVersion", ""))) else "Warn"
    return {"fieldManager": manager, "fieldValidation": strict} | ({"dryRun": "All"} if dry_run else {})
