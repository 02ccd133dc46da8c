"""What a pod asks of a node: its effective requests and its placement rules, read from a pod manifest.

    effective = max( Σ containers + Σ sidecars,  max over init containers i (init_i + Σ sidecars before i) ) + overhead

A sidecar is an init container with restartPolicy Always. A pod-level `resources` replaces the sum for what it names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from grove_operator.api.kinds import Json
from grove_operator.scheduler.model import Claim, Expression, Needs, Toleration
from grove_operator.scheduler.quantity import amount

HOSTNAME = "kubernetes.io/hostname"
Affinity = tuple[tuple[Expression, ...], ...]
"""An OR of terms, each an AND of expressions."""


def effective_requests(spec: Mapping[str, Any]) -> dict[str, int]:
    """Amounts per resource, with `pods: 1`; zero amounts are left out."""
    running: Counter[str] = Counter()
    peak: Counter[str] = Counter()
    for container in spec.get("initContainers") or ():
        asked = _requests(container.get("resources") or {})
        if container.get("restartPolicy") == "Always":
            running.update(asked)
            peak |= running
        else:
            peak |= running + Counter(asked)
    for container in spec.get("containers") or ():
        running.update(_requests(container.get("resources") or {}))
    peak |= running
    peak.update({k: v - peak[k] for k, v in _requests(spec.get("resources") or {}).items()})
    peak.update({k: amount(k, v) for k, v in (spec.get("overhead") or {}).items()})
    peak["pods"] = 1
    return {k: v for k, v in peak.items() if v > 0}


def _requests(resources: Mapping[str, Any]) -> dict[str, int]:
    """Requests, with limits standing in where no request is given (as the API server defaults them)."""
    merged = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: amount(name, value) for name, value in merged.items()}


def needs_of(spec: Mapping[str, Any]) -> Needs:
    """Everything about a pod that decides where it may run."""
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    return Needs(
        requests=tuple(sorted(effective_requests(spec).items())),
        selector=tuple(sorted((spec.get("nodeSelector") or {}).items())),
        affinity=None if required is None else node_affinity(required),
        tolerations=tuple(
            Toleration(t.get("key") or "", t.get("operator") or "Equal", t.get("value") or "", t.get("effect") or "")
            for t in spec.get("tolerations") or ()
        ),
        claims=host_ports(spec),
        unsupported=unsupported_features(spec),
    )


def host_ports(spec: Mapping[str, Any]) -> tuple[Claim, ...]:
    """Ports claimed on the node, main containers and sidecars alike."""
    containers = [*(spec.get("containers") or ())]
    containers += [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    found = set()
    for container in containers:
        for port in container.get("ports") or ():
            number = port.get("hostPort") or (port.get("containerPort") if spec.get("hostNetwork") else None)
            if number:
                found.add((port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", int(number)))  # noqa: S104
    return tuple(sorted(found))


def unsupported_features(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of what this pod uses and the scheduler doesn't model; ignoring any of it could break the pod's rules."""
    found = []
    if spec.get("resourceClaims"):
        found.append("resourceClaims")
    affinity = spec.get("affinity") or {}
    if (affinity.get("podAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution"):
        found.append("required podAffinity")
    for term in (affinity.get("podAntiAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or ():
        if term.get("topologyKey") != HOSTNAME:
            found.append(f"required podAntiAffinity by {term.get('topologyKey')}")
        elif term.get("namespaceSelector"):
            found.append("required podAntiAffinity with a namespaceSelector")
    if any(c.get("whenUnsatisfiable") == "DoNotSchedule" for c in spec.get("topologySpreadConstraints") or ()):
        found.append("topologySpreadConstraints with DoNotSchedule")
    return tuple(found)


def claim_names(spec: Mapping[str, Any], pod: str) -> tuple[tuple[str, str], ...]:
    """(volume, PersistentVolumeClaim) of every volume that is claimed; a generic ephemeral one is named for its pod."""
    found = []
    for volume in spec.get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            found.append((volume["name"], volume["persistentVolumeClaim"]["claimName"]))
        elif "ephemeral" in volume:
            found.append((volume["name"], f"{pod}-{volume['name']}"))
    return tuple(found)


def anywhere() -> Affinity:
    """What a volume that every node can use asks for."""
    return ((Expression("", "", ()),),)


def node_affinity(selector: Json) -> Affinity:
    """A core/v1 NodeSelector."""
    return tuple(_term(t) for t in selector.get("nodeSelectorTerms") or ())


def _term(term: Json) -> tuple[Expression, ...]:
    return tuple(
        Expression(e["key"], e["operator"], tuple(e.get("values") or ()), is_field)
        for part, is_field in (("matchExpressions", False), ("matchFields", True))
        for e in term.get(part) or ()
    )
