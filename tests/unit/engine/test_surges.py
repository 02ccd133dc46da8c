"""Where the words come from that a refused surge is told with."""

from __future__ import annotations

from datetime import UTC, datetime

from grove_operator.api.kinds import POD, POD_CLIQUE, POD_GANG, Json
from grove_operator.core.observed import SetView
from grove_operator.core.template import Template
from grove_operator.engine.cache import Cache
from grove_operator.engine.surges import with_surge
from tests.sim.shapes import clique, podcliqueset

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def owned(kind: str, name: str, uid: str, owner: str, **more: Json | list[Json]) -> Json:
    labels = {"grove.io/podcliqueset-replica-index": "1", "grove.io/podgang": "web-1"}
    reference = {"uid": owner, "controller": True}
    meta: Json = {"name": name, "namespace": "ml", "uid": uid, "resourceVersion": "1", "labels": labels}
    meta["ownerReferences"] = [reference]
    return {"kind": kind, "apiVersion": "v1", "metadata": meta, "spec": {}, **more}


def refused(message: str, kind: str = "PodScheduled") -> Json:
    return {"conditions": [{"type": kind, "status": "False", "reason": "Unschedulable", "message": message}]}


def words(*objects: Json) -> dict[str, str]:
    obj = podcliqueset([clique("a", 1)])
    obj["metadata"] |= {"uid": "set", "annotations": {"grove.io/rollout-max-surge": "1"}}
    part, cache = owned(POD_CLIQUE.kind, "web-1-a", "clique", "set"), Cache(lambda old, new: None)
    for one in objects:
        cache.put(one)
    view = with_surge(cache, SetView(Template.of(obj), {"web-1-a": part}), lambda key: (), NOW)
    return dict(view.refusals)


def test_a_scheduler_that_tells_of_gangs_is_quoted_from_there_another_from_the_pod() -> None:
    pod = owned(POD.kind, "web-1-a-x", "pod", "clique", status=refused("0/8 nodes are available"))
    gang = owned(POD_GANG.kind, "web-1", "gang", "set", status=refused("podgang web-1 needs more", "Scheduled"))
    silent = owned(POD_GANG.kind, "web-1", "gang", "set")
    foreign = owned(POD_GANG.kind, "web-1", "gang", "another", status=refused("of others", "Scheduled"))
    assert words(pod, gang) == {"web-1-a-x": "podgang web-1 needs more"}
    assert words(pod, silent) == words(pod, foreign) == words(pod) == {"web-1-a-x": "0/8 nodes are available"}
