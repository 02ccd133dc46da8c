"""Caches keep what somebody reads, and nothing is changed in the hands of others."""

from __future__ import annotations

from grove_operator.api.kinds import POD_CLIQUE, Json
from grove_operator.engine.cache import Cache
from grove_operator.engine.trimmed import trimmed

WRITTEN: Json = {
    "apiVersion": "grove.io/v1alpha1",
    "kind": "PodClique",
    "metadata": {"name": "a", "namespace": "ml", "uid": "u", "managedFields": [{"manager": "kubectl"}]},
    "spec": {"replicas": 1},
}


def test_who_wrote_what_is_not_kept() -> None:
    before = {**WRITTEN, "metadata": dict(WRITTEN["metadata"])}
    assert trimmed(WRITTEN)["metadata"] == {"name": "a", "namespace": "ml", "uid": "u"}
    assert before == WRITTEN
    assert trimmed(trimmed(WRITTEN)) == trimmed(WRITTEN)


def test_nor_is_it_when_it_comes_with_the_answer_to_a_write() -> None:
    cache = Cache(lambda old, new: None)
    cache.put(WRITTEN)
    kept = cache.get(POD_CLIQUE, "ml", "a")
    assert kept is not None
    assert "managedFields" not in kept["metadata"]
