"""What the operator counts of itself. Whoever exports it finds the names of labels in the fields' metadata."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from grove_operator.api import conditions
from grove_operator.api.constants import CONDITION_PODGANG_INITIALIZED, CONDITION_PODGANG_UNHEALTHY
from grove_operator.api.kinds import Json

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(slots=True)
class Histogram:
    """Durations in seconds: `counts[i]` of them within `BOUNDS_S[i]` and above the bound before, the last above all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    def saw(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds


@dataclass(slots=True)
class Metrics:
    """Since the start. `reconcile_seconds` includes the writes that came out of a reconciliation.

    `gang_states`: PodGangs by Initializing, Unhealthy, or else the phase that the scheduler gave them.
    """

    writes: Counter[tuple[str, str, str]] = field(
        default_factory=Counter, metadata={"labels": ("verb", "kind", "subresource")}
    )
    reconciles: Counter[str] = field(default_factory=Counter, metadata={"labels": ("level",)})
    failures: Counter[str] = field(default_factory=Counter, metadata={"labels": ("level",)})
    reconcile_seconds: dict[str, Histogram] = field(default_factory=dict, metadata={"labels": ("level",)})
    gang_states: Mapping[str, int] = field(default_factory=dict, metadata={"labels": ("state",)})
    queue_depth: int = 0

    def reconciled(self, level: str, seconds: float) -> None:
        self.reconcile_seconds.setdefault(level, Histogram()).saw(seconds)


def gang_states(gangs: Iterable[Json]) -> Counter[str]:
    """How many gangs are in which state."""
    return Counter(map(_state, gangs))


def _state(gang: Json) -> str:
    if not conditions.is_true(gang, CONDITION_PODGANG_INITIALIZED):
        return "Initializing"
    if conditions.is_true(gang, CONDITION_PODGANG_UNHEALTHY):
        return "Unhealthy"
    return str((gang.get("status") or {}).get("phase") or "Pending")
