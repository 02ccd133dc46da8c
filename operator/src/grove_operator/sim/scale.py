"""The scale subresource of Grove's kinds: replicas in, replicas and a selector out."""

from __future__ import annotations

from grove_operator.api.kinds import POD_CLIQUE, POD_CLIQUE_SET, SCALING_GROUP, Json, Kind
from grove_operator.engine.ports import Invalid, NotFound

SELECTOR_FIELDS = {POD_CLIQUE_SET: "hpaPodSelector", POD_CLIQUE: "hpaPodSelector", SCALING_GROUP: "selector"}


def scale_of(kind: Kind, obj: Json) -> Json:
    """What a client reads. NotFound for kinds that do not scale."""
    if kind not in SELECTOR_FIELDS:
        raise NotFound(f"{kind.plural}/scale: the server could not find the requested resource", reason="NotFound")
    status = obj.get("status") or {}
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    said: Json = {"replicas": status.get("replicas", 0)}
    if selector := status.get(SELECTOR_FIELDS[kind]):
        said["selector"] = selector
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {name: obj["metadata"][name] for name in names if name in obj["metadata"]},
        "spec": {"replicas": obj["spec"].get("replicas", 0)},
        "status": said,
    }


def scaled(kind: Kind, obj: Json, body: Json) -> Json:
    """The object with the replicas that a patch of its scale says."""
    before = scale_of(kind, obj)["spec"]["replicas"]
    replicas = (body.get("spec") or {}).get("replicas", before)
    if not isinstance(replicas, int) or replicas < 0:
        raise Invalid(f"{kind.plural}/scale: spec.replicas {replicas!r} is no count", reason="Invalid")
    return {**obj, "metadata": dict(obj["metadata"]), "spec": {**obj["spec"], "replicas": replicas}}
