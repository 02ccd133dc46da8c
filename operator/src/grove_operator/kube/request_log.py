"""What the HTTP client counts: requests by verb, kind and code, their duration, and each watch's last sign of life."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from grove_operator.api.kinds import Kind

WRITE_VERBS = frozenset({"create", "patch", "delete", "post", "put"})


@dataclass
class RequestLog:
    """Written by one event loop, read by any thread. Code 0 means that no answer came."""

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    seconds: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    last_heard: dict[str, float] = field(default_factory=dict)
    """Monotonic time of the last sign of life (answer, event or bookmark) of each kind's watch."""

    def request(self, verb: str, kind: Kind | None, path: str, code: int, duration_s: float) -> None:
        plural = kind.plural if kind else "raw"
        if kind and verb in WRITE_VERBS and (sub := _subresource(kind, path)):
            plural = f"{plural}/{sub}"
        self.requests[(verb, plural, code)] += 1
        if verb != "watch":
            self.seconds[(verb, plural)] += duration_s

    def heard(self, kind: Kind) -> None:
        self.last_heard[kind.plural] = time.monotonic()

    def watch_ages_s(self) -> dict[str, float]:
        now = time.monotonic()
        return {plural: now - heard for plural, heard in sorted(self.last_heard.copy().items())}

    def writes(self) -> dict[tuple[str, str], int]:
        """Mutating requests by (verb, resource), whatever became of them."""
        found: Counter[tuple[str, str]] = Counter()
        for (verb, plural, _), count in self.requests.copy().items():
            if verb in WRITE_VERBS:
                found[(verb, plural)] += count
        return dict(found)


def _subresource(kind: Kind, path: str) -> str:
    """ "status" of .../pods/web-0/status; "" for an object or a collection."""
    tail = path.rsplit(f"/{kind.plural}", 1)[-1].strip("/").split("/")
    return tail[1] if len(tail) > 1 else ""
