"""A live cluster as one v1 List of redacted objects, through the `KubeApi` port."""

from __future__ import annotations

import asyncio

from grove_operator.api import kinds
from grove_operator.api.kinds import Json, Kind
from grove_operator.engine.ports import ApiError, KubeApi, NotFound
from grove_operator.engine.scheduling_view import is_over
from grove_operator.engine.whatif.inputs import READ
from grove_operator.engine.whatif.redaction import redacted, usage_only

OPTIONAL: dict[str, type[ApiError]] = {
    kinds.DYNAMO_GRAPH_DEPLOYMENT.kind: NotFound,  # Grove without Dynamo
    kinds.PERSISTENT_VOLUME.kind: ApiError,  # may be forbidden; pods with claims then show as not placeable
    kinds.PERSISTENT_VOLUME_CLAIM.kind: ApiError,
    kinds.NODE_RESOURCE_TOPOLOGY.kind: ApiError,  # not served everywhere
    kinds.PRIORITY_CLASS.kind: ApiError,  # may be forbidden; pods carry their priority as a number too
}


async def dump_cluster(api: KubeApi, namespace: str | None = None) -> Json:
    """Sorted by kind, namespace and name. With `namespace`, other namespaces' running pods appear as usage only.

    Raises ApiError when a kind can't be listed: a dump with holes would tell of room that isn't there.
    """
    listings = await asyncio.gather(*(_list(api, kind, namespace) for kind in READ))
    return {"apiVersion": "v1", "kind": "List", "items": [obj for listing in listings for obj in listing]}


async def _list(api: KubeApi, kind: Kind, namespace: str | None) -> list[Json]:
    where = namespace if kind.namespaced and kind is not kinds.POD else None
    try:
        found = (await api.list(kind, namespace=where)).items
    except ApiError as error:
        if isinstance(error, OPTIONAL.get(kind.kind, ())):
            return []
        raise
    found.sort(key=lambda o: (o["metadata"].get("namespace", ""), o["metadata"]["name"]))
    if kind is not kinds.POD or namespace is None:
        return [redacted(obj, kind) for obj in found]
    return [
        redacted(pod, kind) if pod["metadata"]["namespace"] == namespace else usage_only(pod)
        for pod in found
        if pod["metadata"]["namespace"] == namespace or _holds(pod)
    ]


def _holds(pod: Json) -> bool:
    phase = (pod.get("status") or {}).get("phase", "Pending")
    return bool((pod.get("spec") or {}).get("nodeName")) and not is_over({"phase": phase})
