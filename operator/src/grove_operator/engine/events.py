"""core/v1 Events about what the operator really did, and never more than an object can bear.

Each object has a bucket of 25 events, refilled by one every 5 minutes; all Normal events together have one of 50,
refilled by 10 a second. What doesn't fit is dropped, and so is what was said of the object in the last 10 minutes:
events are news, not state. None is ever written on a Pod, whose newest event belongs to the scheduler.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from grove_operator.api.kinds import POD, POD_CLIQUE, POD_CLIQUE_SET, SCALING_GROUP, Json
from grove_operator.core.objects import listed
from grove_operator.core.outcome import EventSpec
from grove_operator.engine.executor import Result
from grove_operator.engine.plan import Create, Delete
from grove_operator.engine.ports import Clock, timestamp

PER_OBJECT, PER_OBJECT_REFILL_S = 25.0, 300.0
ALL_NORMAL, ALL_NORMAL_REFILL_S = 50.0, 0.1
COMPONENTS = {
    POD_CLIQUE_SET.kind: "podcliqueset-controller",
    POD_CLIQUE.kind: "podclique-controller",
    SCALING_GROUP.kind: "podcliquescalinggroup-controller",
}
REASONS = {POD.kind: "Pod", "PodClique": "PodClique", "PodCliqueScalingGroup": "PodCliqueScalingGroup"}
REASONS["PodGang"] = "PodGang"
SAME_NEWS_S = 600.0


def news(owner: Json, results: Iterable[Result]) -> Iterator[EventSpec]:
    """One event for each kind and verb of the writes that were tried, Grove's reasons."""
    told: dict[tuple[str, str, bool], list[Result]] = {}
    for result in results:
        action = result.action
        if result.must_retry or action.key.kind not in REASONS or not isinstance(action, (Create, Delete)):
            continue
        verb = "Create" if isinstance(action, Create) else "Delete"
        told.setdefault((action.key.kind, verb, result.is_done), []).append(result)
    for (kind, verb, is_done), some in told.items():
        names = [result.action.key.name for result in some]
        reason = f"{REASONS[kind]}{_grove_verb(owner, kind, verb)}{'Successful' if is_done else 'Failed'}"
        why = "" if is_done else f": {some[0].trouble.description if some[0].trouble else ''}"
        yield EventSpec(owner, reason, f"{verb}d {len(names)} {kind} ({listed(names)}){why}"[:1000], not is_done)


def _grove_verb(owner: Json, kind: str, verb: str) -> str:
    is_merged = verb == "Create" and (kind == "PodGang" or (kind, owner["kind"]) == ("PodClique", "PodCliqueSet"))
    return "CreateOrUpdate" if is_merged else verb


@dataclass(slots=True)
class _Bucket:
    left: float
    since_s: float


class EventSource:
    """Turns specs into manifests, within the budget."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._seen: Counter[str] = Counter()
        self._told: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def manifest(self, spec: EventSpec) -> Json | None:
        """The Event to create, or None when the budget is spent."""
        meta = spec.about["metadata"]
        if self._was_told(meta["uid"], spec):
            return None
        if not spec.is_warning and not self._takes("", ALL_NORMAL, ALL_NORMAL_REFILL_S):
            return None
        if not self._takes(meta["uid"], PER_OBJECT, PER_OBJECT_REFILL_S):
            return None
        self._told[meta["uid"], spec.reason, spec.message] = self._clock.monotonic()
        now = timestamp(self._clock.now())
        self._seen[meta["uid"]] += 1
        unique = f"{meta['uid']}/{spec.reason}/{now}/{self._clock.monotonic()}/{self._seen[meta['uid']]}"
        suffix = hashlib.sha256(unique.encode()).hexdigest()[:16]
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{meta['name']}.{suffix}", "namespace": meta.get("namespace", "default")},
            "involvedObject": {
                "apiVersion": spec.about["apiVersion"],
                "kind": spec.about["kind"],
                "name": meta["name"],
                "namespace": meta.get("namespace", ""),
                "uid": meta["uid"],
            },
            "reason": spec.reason,
            "message": spec.message,
            "type": "Warning" if spec.is_warning else "Normal",
            "source": {"component": COMPONENTS.get(spec.about["kind"], "grove-operator")},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }

    def forget(self, uid: str) -> None:
        self._buckets.pop(uid, None)
        self._seen.pop(uid, None)

    def _was_told(self, uid: str, spec: EventSpec) -> bool:
        """True when the same was said of the same object within `SAME_NEWS_S`: retries are no news."""
        oldest = self._clock.monotonic() - SAME_NEWS_S
        while self._told and next(iter(self._told.values())) < oldest:
            self._told.popitem(last=False)
        return (uid, spec.reason, spec.message) in self._told

    def _takes(self, name: str, size: float, refill_s: float) -> bool:
        now = self._clock.monotonic()
        bucket = self._buckets.setdefault(name, _Bucket(size, now))
        bucket.left = min(size, bucket.left + (now - bucket.since_s) / refill_s)
        bucket.since_s = now
        if bucket.left < 1:
            return False
        bucket.left -= 1
        return True
