"""The two seams of the engine: a Kubernetes API and a clock. Real ones live in `kube`, simulated ones in `sim`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from grove_operator.api.kinds import Json, Kind


class ApiError(Exception):
    """The API server refused a request. `status` is the HTTP code, `reason` Kubernetes' machine-readable word."""

    status = 500

    def __init__(self, message: str, *, reason: str = "", status: int | None = None, retry_after_s: float = 0.0):
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s
        if status is not None:
            self.status = status


class NotFound(ApiError):  # noqa: N818 - Kubernetes' own names
    status = 404


class AlreadyExists(ApiError):  # noqa: N818
    status = 409


class Conflict(ApiError):  # noqa: N818
    """A stale resourceVersion or UID precondition, or a field-manager conflict."""

    status = 409


class Gone(ApiError):  # noqa: N818
    """The watch position is too old: list again."""

    status = 410


class Invalid(ApiError):  # noqa: N818
    """The object breaks its schema or was refused by admission (400, 403, 422)."""

    status = 422


class Overloaded(ApiError):  # noqa: N818
    """429, 500, 502, 503, 504, or the connection broke: try again after `retry_after_s`."""

    status = 429


@dataclass(frozen=True, slots=True)
class Listing:
    items: list[Json]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """`BOOKMARK` events carry only a resourceVersion in `object.metadata`."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Json


class KubeApi(Protocol):
    """What the engine asks of Kubernetes. Every method raises `ApiError` subclasses only (and CancelledError)."""

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Json: ...

    async def list(
        self, kind: Kind, *, namespace: str | None = None, label_selector: str = "", field_selector: str = ""
    ) -> Listing: ...

    def watch(
        self,
        kind: Kind,
        resource_version: str,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Events after `resource_version` until the server ends the watch; Gone when that position is too old."""
        ...

    async def create(self, kind: Kind, namespace: str | None, body: Json, *, subresource_of: str = "") -> Json:
        """POST; `subresource_of` is "NAME/SUB" for e.g. a pod's binding."""
        ...

    async def patch(
        self, kind: Kind, namespace: str | None, name: str, body: Json, *, subresource: str | None = None
    ) -> Json:
        """JSON merge patch. A `metadata.resourceVersion` or `metadata.uid` in the body is a precondition (Conflict)."""
        ...

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, *, uid: str = "", grace_s: int | None = None
    ) -> None:
        """Background deletion; with `uid` only that very object (Conflict otherwise); NotFound when it is gone."""
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC time."""
        ...

    def monotonic(self) -> float:
        """Seconds, never going back."""
        ...

    async def sleep(self, seconds: float) -> None: ...


def timestamp(moment: datetime) -> str:
    """Kubernetes' RFC 3339 form, whole seconds, UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
