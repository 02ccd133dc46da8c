"""What the two versions of a DynamoGraphDeployment call the same thing: one table, read both ways. Pure.

A row is (where in v1alpha1, where in v1beta1, how the value is said). Graph and status keep what no row names; of a
component only what a row names has a counterpart, the rest of it can't be said in the other version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from grove_operator.api.kinds import Json

Path = tuple[str, ...]
NOTHING: Any = object()
"""There is nothing to say in the other version."""


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Row:
    """`to_beta` and `to_alpha` turn the value; either may answer NOTHING."""

    alpha: Path
    beta: Path
    to_beta: Callable[[Any], Any] = _same
    to_alpha: Callable[[Any], Any] = _same


GRAPH: tuple[Row, ...] = (
    Row(("envs",), ("env",)),
    Row(("topologyConstraint", "topologyProfile"), ("topologyConstraint", "clusterTopologyName")),
)
STATUS: tuple[Row, ...] = (
    Row(("services",), ("components",)),
    Row(("rollingUpdate", "updatedServices"), ("rollingUpdate", "updatedComponents")),
)
BETA_TYPES = ("frontend", "worker", "prefill", "decode", "planner", "epp")
MODES = (("intraPod", "IntraPod"), ("interPod", "InterPod"))
PROMOTED = ("prefill", "decode")
"""Sub-types of v1alpha1 that are types of v1beta1."""
_SHARED_WITH_EXPERIMENTS = ("mode", "deviceClassName", "numShadows")
_SHARED_WITH_CHECKPOINTS = ("enabled", "mode", "checkpointRef", "identity")


def _size_to_beta(shared: Json) -> Any:
    if shared.get("disabled"):
        return "0"
    return NOTHING if shared.get("size") is None else shared["size"]


def _size_to_alpha(size: Any) -> Any:
    if size is None:
        return NOTHING
    return {"disabled": True} if str(size) == "0" else {"size": size}


def _in_words(said: Json, words: Mapping[str, str]) -> Json:
    return {**said, "mode": words.get(said["mode"], said["mode"])} if "mode" in said else said


def _experiment_to_beta(said: Json) -> Any:
    if not said.get("enabled"):
        return NOTHING
    return _in_words({key: value for key, value in said.items() if key != "enabled"}, dict(MODES))


def _experiment_to_alpha(said: Json) -> Any:
    shared = {key: value for key, value in said.items() if key in _SHARED_WITH_EXPERIMENTS}
    return {"enabled": True, **_in_words(shared, {beta: alpha for alpha, beta in MODES})}


def _checkpoint_to_alpha(said: Json) -> Any:
    if not said.get("enabled"):
        return NOTHING
    return {key: value for key, value in said.items() if key in _SHARED_WITH_CHECKPOINTS}


COMPONENT: tuple[Row, ...] = (
    *(
        Row((name,), (name,))
        for name in ("globalDynamoNamespace", "replicas", "multinode", "modelRef", "topologyConstraint", "eppConfig")
    ),
    Row(("componentType",), ("type",), lambda kind: kind if kind in BETA_TYPES else NOTHING, lambda k: k or NOTHING),
    Row(("sharedMemory",), ("sharedMemorySize",), _size_to_beta, _size_to_alpha),
    Row(
        ("scalingAdapter",),
        ("scalingAdapter",),
        lambda said: {} if said.get("enabled") else NOTHING,
        lambda _: {"enabled": True},
    ),
    *(
        Row((name,), ("experimental", name), _experiment_to_beta, _experiment_to_alpha)
        for name in ("gpuMemoryService", "failover")
    ),
    Row(
        ("checkpoint",),
        ("experimental", "checkpoint"),
        lambda said: said if said.get("enabled") else NOTHING,
        _checkpoint_to_alpha,
    ),
)
"""All but the sub-type, which is two fields in one version: `component_to_beta` has it."""


def component_to_beta(service: Json) -> Json:
    """A v1alpha1 service without its pods; "worker" with sub-type "prefill" is a type of its own here."""
    sub = service.get("subComponentType")
    is_promoted = service.get("componentType") == "worker" and sub in PROMOTED
    return said_anew({**service, "componentType": sub} if is_promoted else service, COMPONENT, to_beta=True)


def component_to_alpha(component: Json) -> Json:
    """A v1beta1 component without its pods."""
    return said_anew(component, COMPONENT, to_beta=False)


def said_anew(value: Json, rows: tuple[Row, ...], *, to_beta: bool) -> Json:
    """What the rows say of `value` in the other version, and nothing else."""
    out: Json = {}
    for row in rows:
        source, target, turn = (row.alpha, row.beta, row.to_beta) if to_beta else (row.beta, row.alpha, row.to_alpha)
        found = _at(value, source)
        said = NOTHING if found is NOTHING else turn(found)
        if said is not NOTHING:
            _put(out, target, said)
    return out


def renamed(value: Json, rows: tuple[Row, ...], *, to_beta: bool) -> Json:
    """`value` with the rows' names exchanged; what no row names stays."""
    out = dict(value)
    for row in rows:
        source, target = (row.alpha, row.beta) if to_beta else (row.beta, row.alpha)
        holder: Json = out
        for name in source[:-1]:
            if name not in holder:
                break
            holder[name] = dict(holder[name])
            holder = holder[name]
        else:
            if source[-1] in holder:
                holder[target[-1]] = holder.pop(source[-1])
    return out


def _at(value: Json, place: Path) -> Any:
    node: Any = value
    for name in place:
        if node is None or name not in node:
            return NOTHING
        node = node[name]
    return NOTHING if node is None else node


def _put(out: Json, place: Path, value: Any) -> None:
    for name in place[:-1]:
        out = out.setdefault(name, {})
    out[place[-1]] = value
