"""An independent oracle over live objects: is any node over its allocatable, is any pod where it must not be?

It reads nodes and pods as the API server gives them and shares no code with the operator, the scheduler or the node
agent, so that a mistake there is not repeated here.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import Any

Json = dict[str, Any]
_SUFFIX = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{s: Fraction(1000**i) for i, s in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    **{s: Fraction(1024**i) for i, s in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}
_POD_LEVEL = ("cpu", "memory")


def check_nodes(nodes: list[Json], pods: list[Json]) -> list[str]:
    """Every violation as a sentence; empty when all is well. Pods that are unbound, Succeeded or Failed don't count."""
    by_name = {node["metadata"]["name"]: node for node in nodes}
    bound: dict[str, list[Json]] = defaultdict(list)
    faults = []
    for pod in pods:
        name = pod["spec"].get("nodeName")
        if not name or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            continue
        if name not in by_name:
            faults.append(f"{_name(pod)} is bound to node {name}, which does not exist")
            continue
        bound[name].append(pod)
        faults += _misplaced(pod, by_name[name])
    for name, guests in sorted(bound.items()):
        faults += _overfull(by_name[name], guests)
    return faults


def _name(pod: Json) -> str:
    return f"pod {pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}"


def _amount(text: str | int | float) -> Fraction:
    text = str(text)
    for suffix in sorted(_SUFFIX, key=len, reverse=True):
        if text.endswith(suffix):
            return Fraction(text[: -len(suffix)]) * _SUFFIX[suffix]
    return Fraction(text)


def _wants(container: Json) -> dict[str, Fraction]:
    resources = container.get("resources") or {}
    merged = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: _amount(value) for name, value in merged.items()}


def _plus(left: dict[str, Fraction], right: dict[str, Fraction]) -> dict[str, Fraction]:
    return {name: left.get(name, Fraction(0)) + right.get(name, Fraction(0)) for name in {*left, *right}}


def _demand(spec: Json) -> dict[str, Fraction]:
    """Kubernetes' effective request: the larger of the steady state and each moment of initialisation."""
    steady: dict[str, Fraction] = {}
    moments: list[dict[str, Fraction]] = []
    for step in spec.get("initContainers") or []:
        if step.get("restartPolicy") == "Always":
            steady = _plus(steady, _wants(step))
            moments.append(steady)
        else:
            moments.append(_plus(steady, _wants(step)))
    for container in spec.get("containers") or []:
        steady = _plus(steady, _wants(container))
    moments.append(steady)
    need = {name: max(m.get(name, Fraction(0)) for m in moments) for name in set().union(*moments)}
    for name, value in _wants({"resources": spec.get("resources")}).items():
        if name in _POD_LEVEL or name.startswith("hugepages-"):
            need[name] = value
    return _plus(need, {name: _amount(value) for name, value in (spec.get("overhead") or {}).items()})


def _overfull(node: Json, guests: list[Json]) -> list[str]:
    name, room = node["metadata"]["name"], node.get("status", {}).get("allocatable") or {}
    total: dict[str, Fraction] = {"pods": Fraction(len(guests))}
    for pod in guests:
        total = _plus(total, _demand(pod["spec"]))
    faults = []
    for resource, value in sorted(total.items()):
        allocatable = _amount(room.get(resource, 0))
        if value > allocatable:
            who = ", ".join(_name(p) for p in guests if resource == "pods" or _demand(p["spec"]).get(resource))
            faults.append(
                f"node {name} is over its allocatable {resource}: {float(value):g} of {float(allocatable):g}, by {who}"
            )
    return faults


def _misplaced(pod: Json, node: Json) -> list[str]:
    spec, labels, where = pod["spec"], node["metadata"].get("labels") or {}, node["metadata"]["name"]
    faults = []
    for key, value in (spec.get("nodeSelector") or {}).items():
        if labels.get(key) != value:
            faults.append(f"{_name(pod)} selects nodes with {key}={value} but is on {where} ({key}={labels.get(key)})")
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if affinity and not any(_term_holds(term, node) for term in affinity.get("nodeSelectorTerms") or []):
        faults.append(f"{_name(pod)} is on {where}, which its required node affinity excludes")
    for taint in node["spec"].get("taints") or []:
        if taint["effect"] == "PreferNoSchedule" or taint["key"].startswith("node.kubernetes.io/"):
            continue  # the latter come and go by a node's condition, also after a pod was rightly placed
        if not any(_tolerates(t, taint) for t in spec.get("tolerations") or []):
            faults.append(f"{_name(pod)} is on {where} without tolerating its taint {taint['key']}:{taint['effect']}")
    return faults


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    key, exists = toleration.get("key") or "", toleration.get("operator") == "Exists"
    if not key:
        return exists
    return key == taint["key"] and (exists or (toleration.get("value") or "") == (taint.get("value") or ""))


def _term_holds(term: Json, node: Json) -> bool:
    labels = node["metadata"].get("labels") or {}
    names = {"metadata.name": node["metadata"]["name"]}
    wanted = [(e, labels) for e in term.get("matchExpressions") or []]
    wanted += [(e, names) for e in term.get("matchFields") or []]
    return bool(wanted) and all(_expression_holds(expression, values) for expression, values in wanted)


def _expression_holds(expression: Json, labels: dict[str, str]) -> bool:
    value, listed = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in listed
        case "NotIn":
            return value not in listed
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator if value is not None:
            try:
                left, right = int(value), int(listed[0])
            except ValueError:
                return False
            return left > right if operator == "Gt" else left < right
    return False
