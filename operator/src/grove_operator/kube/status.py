"""Kubernetes `Status` answers as the port's errors.

    404 NotFound | 409 AlreadyExists or Conflict | 410 Gone | 400, 403, 422 and other 4xx Invalid
    408, 429, 5xx and broken connections Overloaded | 401 ApiError

A merge patch with a foreign `metadata.uid` is answered 422 "field is immutable": that is the precondition at work, so
it becomes `Conflict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from grove_operator.engine.ports import AlreadyExists, ApiError, Conflict, Gone, Invalid, NotFound, Overloaded

_SHOWN_OF_A_BODY = 300


def decode_status(body: bytes) -> Mapping[str, Any]:
    """The Status in a response body; anything else becomes its first characters as the message."""
    try:
        status = msgspec.json.decode(body)
    except msgspec.DecodeError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return status
    return {"message": body[:_SHOWN_OF_A_BODY].decode(errors="replace").strip()}


def to_error(code: int, status: Mapping[str, Any], *, subject: str = "", retry_after: str = "") -> ApiError:
    """The error for one refused request. `subject` says which one; `retry_after` is the header, in seconds."""
    reason = str(status.get("reason") or "")
    message = str(status.get("message") or reason or f"HTTP status {code}")
    details = status.get("details") or {}
    after_s = _seconds(retry_after) or float(details.get("retryAfterSeconds") or 0)
    error_class = _class_of(code, reason, details)
    text = f"{subject}: {message}" if subject else message
    return error_class(text, reason=reason, status=code, retry_after_s=after_s)


def _class_of(code: int, reason: str, details: Mapping[str, Any]) -> type[ApiError]:
    if code == 404:
        return NotFound
    if code == 409:
        return AlreadyExists if reason == "AlreadyExists" else Conflict
    if code == 410:
        return Gone
    if code == 422 and any(cause.get("field") == "metadata.uid" for cause in details.get("causes") or []):
        return Conflict
    if code in (408, 429) or code >= 500:
        return Overloaded
    return ApiError if code == 401 else Invalid


def _seconds(retry_after: str) -> float:
    """The header may also be a date; API servers send seconds, so a date counts as none."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        return 0.0
