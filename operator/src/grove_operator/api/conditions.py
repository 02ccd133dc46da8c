"""metav1.Conditions as plain JSON lists: one entry for each type, the transition time kept while the status stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from grove_operator.api.kinds import Json

Conditions = list[Json]


def condition(
    kind: str, status: bool | None, reason: str, message: str = "", *, observed_generation: int | None = None
) -> Json:
    """A condition without a time; `status` None is Unknown."""
    said: Json = {"type": kind, "status": {True: "True", False: "False", None: "Unknown"}[status]}
    said |= {"reason": reason, "message": message}
    if observed_generation is not None:
        said["observedGeneration"] = observed_generation
    return said


def merged(old: Iterable[Mapping[str, Any]] | None, new: Iterable[Json], now: datetime) -> Conditions:
    """`old` with `new` put in by type: others stay, order stays, the transition time moves only with the status."""
    result = {entry["type"]: dict(entry) for entry in old or ()}
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    for entry in new:
        before = result.get(entry["type"])
        kept = before["lastTransitionTime"] if before and before["status"] == entry["status"] else moment
        result[entry["type"]] = {**entry, "lastTransitionTime": kept}
    return list(result.values())


def find(obj: Mapping[str, Any] | None, kind: str) -> Json | None:
    """The condition of that type in `obj.status.conditions`."""
    entries: Iterable[Json] = ((obj or {}).get("status") or {}).get("conditions") or ()
    return next((entry for entry in entries if entry["type"] == kind), None)


def is_true(obj: Mapping[str, Any] | None, kind: str) -> bool:
    found = find(obj, kind)
    return found is not None and found["status"] == "True"
