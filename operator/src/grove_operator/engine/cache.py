"""Everything the operator knows of the cluster, with the indices its reconcilers read.

Fed by watches and by the answers to its own writes, so a write is never repeated because a watch is late: an older
resourceVersion never replaces a newer one, and what was seen deleted stays deleted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from grove_operator.api import conditions
from grove_operator.api.constants import (
    LABEL_BASE_POD_GANG,
    LABEL_PCS_REPLICA_INDEX,
    PART_OF,
)
from grove_operator.api.kinds import POD, POD_CLIQUE, POD_CLIQUE_SET, Json, Kind, ObjectKey, key_of
from grove_operator.core.objects import controller_uid, is_terminating, label
from grove_operator.core.podstate import pod_index
from grove_operator.engine.former_nodes import FormerNodes
from grove_operator.engine.trimmed import trimmed, trimmed_pod

OnChange = Callable[[Json | None, Json | None], None]
TOMBSTONES = 20_000
PLACED_BY = ("uid", "labels", "ownerReferences")
Place = dict[ObjectKey, None]
"""A set that remembers the order of arrival, so that the same news lead to the same writes in the same order."""
ASKED = "asked"
"""In place of a deletionTimestamp while only our own request is known."""


class Cache:
    """Objects are frozen by agreement: nobody changes what `get` or `owned` returns."""

    def __init__(self, on_change: OnChange) -> None:
        self._on_change = on_change
        self._stores: dict[str, dict[ObjectKey, Json]] = {}
        self._owned: dict[str, dict[str, Place]] = {}
        self._based_on: dict[tuple[str, str], Place] = {}
        self._previous_pods: dict[str, dict[int, str]] = {}
        self.former_nodes = FormerNodes()
        self._last_ready: dict[tuple[str, str], str] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()

    def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        return self._stores.get(kind.kind, {}).get(ObjectKey(kind.kind, namespace, name))

    def find(self, key: ObjectKey) -> Json | None:
        return self._stores.get(key.kind, {}).get(key)

    def all(self, kind: Kind) -> Iterable[Json]:
        return list(self._stores.get(kind.kind, {}).values())

    def owned(self, uid: str, replica: str | None = None) -> Iterator[Json]:
        """Objects controlled by `uid`; with `replica` only those with that PodCliqueSet replica index ('' = none)."""
        buckets = self._owned.get(uid, {})
        for bucket in list(buckets) if replica is None else [replica]:
            for key in buckets.get(bucket, ()):
                yield self._stores[key.kind][key]

    def replicas_of(self, uid: str) -> list[int]:
        """PodCliqueSet replica indices of which an owner still has objects."""
        return [int(bucket) for bucket, keys in self._owned.get(uid, {}).items() if bucket.isdigit() and keys]

    def based_on(self, namespace: str, base_gang: str) -> list[ObjectKey]:
        """PodCliques of the scaled gangs that wait for this base gang."""
        return sorted(self._based_on.get((namespace, base_gang), ()))

    def previous_pods(self, clique_uid: str) -> Mapping[int, str]:
        """UID of the newest pod ever seen going, by pod index."""
        return self._previous_pods.get(clique_uid, {})

    def last_ready(self, namespace: str, pcs: str) -> str:
        """The newest moment at which a pod of the set became Ready, '' before the first."""
        return self._last_ready.get((namespace, pcs), "")

    def put(self, obj: Json) -> None:
        """Take in an observed or just written object; older news than what is known are dropped."""
        key = key_of(obj)
        uid = obj["metadata"].get("uid", "")
        old = self.find(key)
        if uid in self._gone or (old is not None and _is_older_or_same(obj, old)):
            return
        obj = trimmed_pod(obj) if key.kind == POD.kind else trimmed(obj)
        if old is not None and old["metadata"].get("deletionTimestamp") == ASKED and not is_terminating(obj):
            obj = {**obj, "metadata": {**obj["metadata"], "deletionTimestamp": ASKED}}
        if old is not None and any(old["metadata"].get(n) != obj["metadata"].get(n) for n in PLACED_BY):
            self._forget(key, old)
        self._stores.setdefault(key.kind, {})[key] = obj
        for place in self._places(obj):
            place[key] = None
        if key.kind == POD.kind:
            self._remember_ready(obj)
            self.former_nodes.see(obj)
            if is_terminating(obj):
                self._remember_pod(obj)
        self._on_change(old, obj)

    def revive(self, obj: Json) -> None:
        """Take in an object that a direct read has just found, even if the watches said that it went.

        They say so too of one that lost the labels they select by.
        """
        if obj["metadata"].get("deletionTimestamp") is None:
            self._gone.pop(obj["metadata"].get("uid", ""), None)
        self.put(obj)

    def remove(self, key: ObjectKey, uid: str) -> None:
        """The object with that UID is gone; nothing happens when another one bears the name."""
        self._gone[uid] = None
        while len(self._gone) > TOMBSTONES:
            self._gone.popitem(last=False)
        old = self.find(key)
        if old is None or old["metadata"].get("uid") != uid:
            return
        self._forget(key, old)
        del self._stores[key.kind][key]
        if key.kind == POD.kind:
            self._remember_pod(old)
        if key.kind == POD_CLIQUE.kind:
            self._previous_pods.pop(uid, None)
        if key.kind == POD_CLIQUE_SET.kind:
            self._last_ready.pop((key.namespace, key.name), None)
            self.former_nodes.forget(key.namespace, key.name)
        self._on_change(old, None)

    def mark_deleted(self, key: ObjectKey, uid: str) -> None:
        """We asked for its deletion: it counts as terminating until the watch tells how it went."""
        old = self.find(key)
        if old is None or old["metadata"].get("uid") != uid or is_terminating(old):
            return
        new = {**old, "metadata": {**old["metadata"], "deletionTimestamp": ASKED}}
        self._stores[key.kind][key] = new
        self._on_change(old, new)

    def _forget(self, key: ObjectKey, old: Json) -> None:
        for place in self._places(old):
            place.pop(key, None)
        owner = controller_uid(old)
        if owner and not any(self._owned.get(owner, {}).values()):
            self._owned.pop(owner, None)

    def _places(self, obj: Json) -> Iterator[Place]:
        if owner := controller_uid(obj):
            yield self._owned.setdefault(owner, {}).setdefault(label(obj, LABEL_PCS_REPLICA_INDEX), {})
        if obj["kind"] == POD_CLIQUE.kind and (base := label(obj, LABEL_BASE_POD_GANG)):
            yield self._based_on.setdefault((obj["metadata"]["namespace"], base), {})

    def _remember_pod(self, pod: Json) -> None:
        index, clique = pod_index(pod), controller_uid(pod)
        if index is not None and clique:
            self._previous_pods.setdefault(clique, {})[index] = pod["metadata"]["uid"]

    def _remember_ready(self, pod: Json) -> None:
        ready = conditions.find(pod, "Ready")
        if ready and ready["status"] == "True":
            key = (pod["metadata"]["namespace"], label(pod, PART_OF))
            self._last_ready[key] = max(self._last_ready.get(key, ""), ready.get("lastTransitionTime") or "")


def _is_older_or_same(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    fresh, known = new["metadata"].get("resourceVersion", ""), old["metadata"].get("resourceVersion", "")
    if fresh.isdigit() and known.isdigit():
        return int(fresh) <= int(known)
    return bool(fresh == known)
