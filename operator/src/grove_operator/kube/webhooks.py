"""Admission: kopf's handlers around the pure rules of `api.defaults` and `api.validation`.

A handler's id is the last part of its path (kopf's server answers `/webhooks/<id>`):

    /webhooks/default-podcliqueset              /webhooks/validate-podcliqueset
    /webhooks/validate-clustertopology          /webhooks/validate-dynamographdeployment

A refusal lists every fault at once. Defaulting an object that has its defaults answers without a patch.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import kopf

from grove_operator.api.config import OperatorConfiguration
from grove_operator.api.constants import ANNOTATION_TOPOLOGY_NAME
from grove_operator.api.defaults import default_podcliqueset
from grove_operator.api.kinds import (
    CLUSTER_TOPOLOGY_BINDING,
    DYNAMO_GRAPH_DEPLOYMENT,
    POD_CLIQUE_SET,
    Json,
    Kind,
)
from grove_operator.api.syntax import text
from grove_operator.api.validation import (
    advise_podcliqueset,
    validate_clustertopologybinding,
    validate_dynamographdeployment,
    validate_podcliqueset,
    volcano_queue_of,
)

log = logging.getLogger(__name__)

REFUSED = 422
"""Unprocessable, as for objects that the API server itself finds invalid. Not 403: clients take that for a missing
right, and Pulumi's preview then goes on without the server's judgement instead of showing the refusal."""
SERVED: Mapping[str, tuple[Kind, ...]] = {
    "default-podcliqueset": (POD_CLIQUE_SET,),
    "validate-podcliqueset": (POD_CLIQUE_SET,),
    "validate-dynamographdeployment": (DYNAMO_GRAPH_DEPLOYMENT,),
    "validate-clustertopology": (CLUSTER_TOPOLOGY_BINDING,),
}
"""Handler ids and the resources each is for; the gate before kopf refuses everything else."""
Topologies = Callable[[], Awaitable[Mapping[str, Json]]]
"""Live ClusterTopologyBindings by name; asked only for objects that mention topology."""
QueueOf = Callable[[str], Awaitable[Json | None]]
"""A live Volcano queue by name; asked only for sets that Volcano schedules."""
MOST_FAULTS = 100
"""More than that is one mistake made many times, and a message that no client shows."""
Judge = Callable[[Json, Json | None, str], Awaitable[tuple[Sequence[object], Sequence[object]]]]
"""Of the new object, the old one and who asks: faults and advice."""


def serve_admission(
    registry: kopf.OperatorRegistry,
    topologies: Topologies,
    config: OperatorConfiguration | None = None,
    queue_of: QueueOf | None = None,
    has_graphs: Callable[[], bool] = lambda: True,
) -> None:
    """Registers the four handlers. Without `config` no judgement on what the operator has enabled, without `queue_of`
    none on the state of Volcano's queues."""

    async def queues_for(new: Json) -> Mapping[str, Json] | None:
        wanted = volcano_queue_of(new, config) if queue_of else ""
        if not (queue_of and wanted):
            return None
        found = await queue_of(wanted)
        return {wanted: found} if found else {}

    async def judge_pcs(new: Json, old: Json | None, user: str) -> tuple[Sequence[object], Sequence[object]]:
        known = await topologies() if mentions_topology(new) else None
        faults = validate_podcliqueset(new, old, topologies=known, config=config, queues=await queues_for(new))
        return faults, advise_podcliqueset(new, old, topologies=known)

    async def judge_graph(new: Json, old: Json | None, user: str) -> tuple[Sequence[object], Sequence[object]]:
        if not has_graphs():
            return (), ("this graph is NVIDIA's Dynamo operator's: grove-operator leaves nvidia.com alone here",)
        known = await topologies() if mentions_topology(new) else None
        return validate_dynamographdeployment(new, old, topologies=known, user=user), ()

    async def judge_topology(new: Json, old: Json | None, user: str) -> tuple[Sequence[object], Sequence[object]]:
        return validate_clustertopologybinding(new, old, config=config), ()

    _default(registry, POD_CLIQUE_SET, "default-podcliqueset", default_podcliqueset)
    _validate(registry, POD_CLIQUE_SET, "validate-podcliqueset", judge_pcs)
    _validate(registry, DYNAMO_GRAPH_DEPLOYMENT, "validate-dynamographdeployment", judge_graph)
    _validate(registry, CLUSTER_TOPOLOGY_BINDING, "validate-clustertopology", judge_topology)


def mentions_topology(value: object) -> bool:
    """Whether any key of the object is a topology constraint or the topology annotation."""
    if isinstance(value, Mapping):
        return any(
            key in ("topologyConstraint", ANNOTATION_TOPOLOGY_NAME) or mentions_topology(part)
            for key, part in value.items()
        )
    return isinstance(value, list) and any(mentions_topology(part) for part in value)


def refusal(kind: Kind, obj: Json, faults: Sequence[object]) -> str:
    """One message: the object, how many faults, and each of them, up to a hundred."""
    given = obj.get("metadata")
    meta = given if isinstance(given, Mapping) else {}
    parts = (text(meta, "namespace"), text(meta, "name") or text(meta, "generateName"))
    name = "/".join(part for part in parts if part)
    count = f"{len(faults)} faults" if len(faults) > 1 else "1 fault"
    told = "; ".join(str(fault) for fault in faults[:MOST_FAULTS])
    return f"{kind.kind.lower()} {name}: {count}: {told}" + ("; ..." if len(faults) > MOST_FAULTS else "")


def _default(registry: kopf.OperatorRegistry, kind: Kind, path: str, fill: Callable[[Json], Json]) -> None:
    @kopf.on.mutate(kind.group, kind.version, kind.plural, id=path, operations=["CREATE", "UPDATE"], registry=registry)
    async def default(body: Any, patch: Any, **_: Any) -> None:
        given = dict(body)
        with _reported(path):
            filled = fill(given)
        if filled != given:
            patch.fns.append(lambda target: _become(target, filled))


def _validate(registry: kopf.OperatorRegistry, kind: Kind, path: str, judge: Judge) -> None:
    @kopf.on.validate(
        kind.group, kind.version, kind.plural, id=path, operations=["CREATE", "UPDATE"], registry=registry
    )
    async def validate(body: Any, warnings: list[str], **causes: Any) -> None:
        given, old = dict(body), causes.get("old")
        if (given.get("metadata") or {}).get("deletionTimestamp"):
            return  # whoever takes a finalizer off a dying object needn't repair it first
        with _reported(path):
            user = str((causes.get("userinfo") or {}).get("username") or "")
            faults, advice = await judge(given, dict(old) if old else None, user)
        warnings += map(str, advice)
        if faults:
            message = refusal(kind, given, faults)
            log.info("refused %s", message)
            raise kopf.AdmissionError(message, code=REFUSED)


class _reported:  # noqa: N801 - reads as a statement
    """kopf answers any exception as a refusal; one of ours is a bug and belongs into the log with its trace."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception):
            log.error("admission %s failed; the request is refused", self._path, exc_info=error)


def _become(target: dict[str, Any], wanted: Json) -> None:
    target.clear()
    target.update(wanted)
