"""Which object a request of the engine is about. Pure."""

from __future__ import annotations

from typing import Any

from standin_provider.objects import to_object
from standin_provider.wire import Json, Tree


def token(request: Any) -> str:
    return str(request.type or request.urn.split("::")[2].rpartition("$")[2])


def wanted(request: Any, inputs: Tree, state: Tree) -> Json:
    """What to read or delete: by the inputs, else the state, else (import) the type and the id `namespace/name`."""
    obj = inputs.value or state.value.get("__inputs") or state.value
    if obj.get("apiVersion") and obj.get("kind"):
        namespace, _, name = request.id.rpartition("/")
        metadata = {**(obj.get("metadata") or {}), "name": name} | ({"namespace": namespace} if namespace else {})
        return {**to_object(obj), "metadata": metadata}
    module, _, kind = token(request).partition(":")[2].rpartition(":")
    api_version = module.removeprefix("core/")
    namespace, _, name = request.id.rpartition("/")
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def inputs_from(live: Json) -> Json:
    """Inputs of an imported object: all but what the server fills in."""
    own = {"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid", "selfLink"}
    metadata = {key: value for key, value in live["metadata"].items() if key not in own}
    return {**{key: value for key, value in live.items() if key != "status"}, "metadata": metadata}


def manager_in(live: Json) -> str:
    """The apply manager of ours that already owns fields of `live`, "" if there is none."""
    for entry in live["metadata"].get("managedFields") or []:
        if entry.get("operation") == "Apply" and str(entry.get("manager", "")).startswith("pulumi-kubernetes-"):
            return str(entry["manager"])
    return ""
