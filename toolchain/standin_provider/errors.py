"""What the stand-in says when it can't go on. Every message names the object, the fact and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class ProviderError(Exception):
    """The operation failed; nothing more is known about the object than before."""


class Unmodelled(ProviderError):  # noqa: N818
    """The official provider does something here that the stand-in doesn't do."""

    def __init__(self, what: str):
        super().__init__(
            f"the kubernetes stand-in does not model {what}; "
            "use Pulumi's official kubernetes provider for it (pulumi plugin install resource kubernetes)"
        )


class NotReady(ProviderError):  # noqa: N818
    """The object exists, but isn't ready. `live` is its last known state, `reasons` say why, one sentence each."""

    def __init__(self, live: dict[str, Any], reasons: Sequence[str]):
        super().__init__("; ".join(reasons))
        self.live = live
        self.reasons = list(reasons)


class ApiFailure(ProviderError):  # noqa: N818
    """The API server refused: `status` is the HTTP code, `reason` Kubernetes' machine-readable word."""

    def __init__(self, status: int, reason: str, message: str):
        super().__init__(message)
        self.status = status
        self.reason = reason


class Unreachable(ProviderError):  # noqa: N818
    """No answer from the API server. `sent`: the request may have reached it, so its effect is unknown."""

    def __init__(self, message: str, *, sent: bool):
        super().__init__(message)
        self.sent = sent


class Cancelled(ProviderError):  # noqa: N818
    """The engine was interrupted and asked the provider to stop waiting."""
