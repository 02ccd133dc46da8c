"""Sees every change of every object, keeps the present state, and asks each invariant what it thinks of it.

saw(change)   after each change      looked()   once a virtual second      at_rest()   when nothing more should happen
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
GATE = "grove.io/podgang-pending-creation"
MANAGED_BY, OURS = "app.kubernetes.io/managed-by", "grove-operator"
CLIQUE, GANG, BASE_GANG = "grove.io/podclique", "grove.io/podgang", "grove.io/base-podgang"
INDEX, HASH = "grove.io/podclique-pod-index", "grove.io/pod-template-hash"
SET, REPLICA = "app.kubernetes.io/part-of", "grove.io/podcliqueset-replica-index"
GROUP, GROUP_REPLICA = "grove.io/podcliquescalinggroup", "grove.io/podcliquescalinggroup-replica-index"


@dataclass(slots=True)
class State:
    """The objects by kind and (namespace, name), and the true virtual time in seconds."""

    now_s: float = 0.0
    objects: dict[str, dict[tuple[str, str], Json]] = field(default_factory=dict)

    def all(self, kind: str) -> list[Json]:
        return list(self.objects.get(kind, {}).values())

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        return self.objects.get(kind, {}).get((namespace, name))

    def pods_of(self, clique: Json) -> list[Json]:
        """Active ones: neither terminating nor ended."""
        uid = clique["metadata"]["uid"]
        return [p for p in self.all("Pod") if is_active(p) and controller(p) == uid]


@dataclass(frozen=True, slots=True)
class Change:
    """`actor` made `old` into `new`; None: was not, is no more there."""

    actor: str
    old: Json | None
    new: Json | None

    @property
    def obj(self) -> Json:
        found = self.new or self.old
        if found is None:
            raise ValueError("a change of nothing")
        return found

    @property
    def kind(self) -> str:
        return str(self.obj["kind"])

    @property
    def takes_away(self) -> bool:
        """The object is gone, or from now on terminating."""
        was = self.old is not None and "deletionTimestamp" not in self.old["metadata"]
        return was and (self.new is None or "deletionTimestamp" in self.new["metadata"])


class Invariant:
    """Each method yields sentences about what is wrong."""

    def saw(self, state: State, change: Change) -> Iterable[str]:
        return ()

    def looked(self, state: State) -> Iterable[str]:
        return ()

    def at_rest(self, state: State) -> Iterable[str]:
        return ()


class Witness:
    """`violations` fills up; the first one is what matters."""

    def __init__(self, invariants: Sequence[Invariant]) -> None:
        self.state = State()
        self.violations: list[str] = []
        self._invariants = invariants

    def saw(self, now_s: float, actor: str, old: Json | None, new: Json | None) -> None:
        change = Change(actor, old, new)
        meta = change.obj["metadata"]
        store = self.state.objects.setdefault(change.kind, {})
        key = (meta.get("namespace", ""), meta["name"])
        if new is None:
            store.pop(key, None)
        else:
            store[key] = new
        self.state.now_s = now_s
        for invariant in self._invariants:
            self._note(invariant, invariant.saw(self.state, change))

    def looked(self, now_s: float) -> None:
        self.state.now_s = now_s
        for invariant in self._invariants:
            self._note(invariant, invariant.looked(self.state))

    def at_rest(self, now_s: float) -> None:
        self.state.now_s = now_s
        for invariant in self._invariants:
            self._note(invariant, invariant.at_rest(self.state))

    def _note(self, invariant: Invariant, found: Iterable[str]) -> None:
        for text in found:
            self.violations.append(f"{self.state.now_s:.3f} s: {type(invariant).__name__}: {text}")


def has_ended(pod: Json) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_active(pod: Json) -> bool:
    return not has_ended(pod) and "deletionTimestamp" not in pod["metadata"]


def is_updating(obj: Json) -> bool:
    """An update of the set, group or clique has begun and not ended."""
    progress = (obj.get("status") or {}).get("updateProgress") or {}
    return bool(progress) and not progress.get("updateEndedAt")


def is_ready(pod: Json) -> bool:
    return condition(pod, "Ready") == "True"


def is_bound(pod: Json) -> bool:
    return bool(pod["spec"].get("nodeName"))


def works(pod: Json) -> bool:
    """Bound, and Ready or still on its way up. On a lost node its containers look as they last did."""
    status = pod.get("status") or {}
    looks_well = all(c.get("ready") and not _has_failed(c) for c in status.get("containerStatuses") or ())
    return is_active(pod) and is_bound(pod) and (status.get("phase") != "Running" or is_ready(pod) or looks_well)


def _has_failed(container: Json) -> bool:
    return bool(((container.get("lastState") or {}).get("terminated") or {}).get("exitCode", 0))


def condition(obj: Json, kind: str) -> str:
    """Its status, '' when it is absent."""
    said = (obj.get("status") or {}).get("conditions") or ()
    return next((str(c["status"]) for c in said if c["type"] == kind), "")


def controller(obj: Json) -> str:
    refs = obj["metadata"].get("ownerReferences") or ()
    return next((str(r["uid"]) for r in refs if r.get("controller")), "")


def label(obj: Json, key: str) -> str:
    return str((obj["metadata"].get("labels") or {}).get(key, ""))


def name_of(obj: Json) -> str:
    return f"{obj['kind']} {obj['metadata']['name']}"


def minimum(clique: Json) -> int:
    """minAvailable; 0 when it is scaled to nothing."""
    spec = clique["spec"]
    return min(int(spec.get("minAvailable") or 1), int(spec["replicas"])) if spec["replicas"] else 0


def set_of(state: State, obj: Json) -> Json | None:
    return state.get("PodCliqueSet", obj["metadata"].get("namespace", ""), label(obj, SET))


def template_entries(pcs: Json) -> Iterator[Json]:
    yield from pcs["spec"]["template"]["cliques"]
