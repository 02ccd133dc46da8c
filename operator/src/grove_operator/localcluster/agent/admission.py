"""What a kubelet asks before it takes a pod, as pure functions over live objects.

bound pod ──> admit ──┬── Rejection: phase Failed, reason OutOf<resource> or NodeAffinity, for good
                      └── references() all there? ──┬── no: waiting, CreateContainerConfigError, asked again
                                                    └── yes: containers start
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from grove_operator.api.kinds import CONFIG_MAP, RESOURCE_CLAIM, SECRET, Json, Kind

PVC = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
ROOT_CA = "kube-root-ca.crt"
Amounts = dict[str, Decimal]

_EXPONENTS = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


@lru_cache(maxsize=4096)
def quantity(text: str) -> Decimal:
    """A Kubernetes quantity in base units (cores, bytes, pieces), exact."""
    if text[-2:] in _BINARY:
        return Decimal(text[:-2]) * Decimal(1024 ** _BINARY[text[-2:]])
    if text[-1:] in _EXPONENTS:
        return Decimal(text[:-1]).scaleb(_EXPONENTS[text[-1]])
    return Decimal(text)


def amounts(resources: Mapping[str, object] | None) -> Amounts:
    return {name: quantity(str(value)) for name, value in (resources or {}).items()}


def effective_requests(spec: Json) -> Amounts:
    """Requests that a node must set aside, without the pod count.

    max(sum of containers and sidecars, each init container with the sidecars started before it), pod-level cpu, memory
    and huge pages taking the place of that sum, plus overhead (Kubernetes, "sidecar containers: resource sharing").
    """
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            _add(sidecars, _requests(container))
            continue
        moment = dict(sidecars)
        _add(moment, _requests(container))
        peak = {name: max(peak.get(name, Decimal(0)), moment.get(name, Decimal(0))) for name in {*peak, *moment}}
    total = dict(sidecars)
    for container in spec.get("containers") or []:
        _add(total, _requests(container))
    for name, value in peak.items():
        total[name] = max(total.get(name, Decimal(0)), value)
    pod_level = _requests({"resources": spec.get("resources")})
    total |= {n: v for n, v in pod_level.items() if n in ("cpu", "memory") or n.startswith("hugepages-")}
    _add(total, amounts(spec.get("overhead")))
    return total


def _requests(container: Json) -> Amounts:
    resources = container.get("resources") or {}
    return amounts(resources.get("limits")) | amounts(resources.get("requests"))


def _add(total: Amounts, more: Amounts) -> None:
    for name, value in more.items():
        total[name] = total.get(name, Decimal(0)) + value


@dataclass(frozen=True, slots=True)
class Rejection:
    """`reason` and `message` of the Failed pod's status."""

    reason: str
    message: str


class Ledger:
    """What admitted, still running pods hold on each node."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, Amounts]] = {}
        self._used: dict[str, Amounts] = {}
        self._node_of: dict[str, str] = {}

    def __contains__(self, uid: str) -> bool:
        return uid in self._node_of

    def used(self, node: str) -> Amounts:
        """Sums by resource, `pods` included."""
        return self._used.get(node, {})

    def charge(self, node: str, uid: str, requests: Amounts) -> None:
        held = requests | {"pods": Decimal(1)}
        self._held.setdefault(node, {})[uid] = held
        self._node_of[uid] = node
        _add(self._used.setdefault(node, {}), held)

    def release(self, uid: str) -> None:
        node = self._node_of.pop(uid, None)
        if node is not None:
            _add(self._used[node], {name: -value for name, value in self._held[node].pop(uid).items()})


def admit(pod: Json, node: Json, used: Amounts) -> Rejection | None:
    """Whether `node` takes `pod` beside what is `used` there; a resource the node doesn't have counts as 0 of it."""
    if not node_matches(pod["spec"], node):
        return Rejection("NodeAffinity", "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match")
    allocatable = amounts((node.get("status") or {}).get("allocatable"))
    wanted = {"pods": Decimal(1)} | effective_requests(pod["spec"])
    for name, value in wanted.items():
        room, taken = allocatable.get(name, Decimal(0)), used.get(name, Decimal(0))
        if value > 0 and taken + value > room:
            facts = f"requested: {value:f}, used: {taken:f}, capacity: {room:f}"
            message = f"Pod was rejected: Node didn't have enough resource: {name}, {facts}"
            return Rejection(f"OutOf{name}", message)
    return None


def node_matches(spec: Json, node: Json) -> bool:
    """nodeSelector and required node affinity; terms are alternatives, the expressions of a term all hold."""
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    fields = {"metadata.name": node["metadata"]["name"]}
    return any(
        (term.get("matchExpressions") or term.get("matchFields"))
        and all(_holds(e, labels) for e in term.get("matchExpressions") or [])
        and all(_holds(e, fields) for e in term.get("matchFields") or [])
        for term in required.get("nodeSelectorTerms") or []
    )


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    have, values = labels.get(expression["key"]), expression.get("values") or []
    operator = expression["operator"]
    if operator == "NotIn":
        return have not in values
    if operator == "DoesNotExist":
        return have is None
    if have is None:
        return False
    if operator in ("Gt", "Lt"):
        if not (have.lstrip("-").isdigit() and values[0].lstrip("-").isdigit()):
            return False
        return int(have) > int(values[0]) if operator == "Gt" else int(have) < int(values[0])
    return operator == "Exists" or have in values


class Reference(NamedTuple):
    """An object in the pod's namespace without which its containers can't be made."""

    kind: Kind
    name: str
    key: str = ""
    """A key that a Secret or ConfigMap must have; "" for any."""

    def __str__(self) -> str:
        return f'{self.kind.kind.lower()} "{self.name}"'


def references(pod: Json) -> list[Reference]:
    """Required Secrets, ConfigMaps, PersistentVolumeClaims and ResourceClaims, each once, in order of appearance.

    Optional ones are left out, and so is the cluster's root CA map, of which the agent has the content itself.
    """
    spec = pod["spec"]
    found = [*_volume_references(pod), *_claims(pod)]
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        found += _container_references(container)
    return list(dict.fromkeys(ref for ref in found if (ref.kind, ref.name) != (CONFIG_MAP, ROOT_CA)))


def _container_references(container: Json) -> Iterator[Reference]:
    for source in container.get("envFrom") or []:
        for field, kind in (("secretRef", SECRET), ("configMapRef", CONFIG_MAP)):
            if field in source and not source[field].get("optional"):
                yield Reference(kind, source[field]["name"])
    for variable in container.get("env") or []:
        source = variable.get("valueFrom") or {}
        for field, kind in (("secretKeyRef", SECRET), ("configMapKeyRef", CONFIG_MAP)):
            if field in source and not source[field].get("optional"):
                yield Reference(kind, source[field]["name"], source[field]["key"])


def _volume_references(pod: Json) -> Iterator[Reference]:
    for volume in pod["spec"].get("volumes") or []:
        for source in [volume, *((volume.get("projected") or {}).get("sources") or [])]:
            if "secret" in source and not source["secret"].get("optional"):
                yield Reference(SECRET, source["secret"].get("secretName") or source["secret"].get("name", ""))
            if "configMap" in source and not source["configMap"].get("optional"):
                yield Reference(CONFIG_MAP, source["configMap"]["name"])
        if "persistentVolumeClaim" in volume:
            yield Reference(PVC, volume["persistentVolumeClaim"]["claimName"])
        if "ephemeral" in volume:
            yield Reference(PVC, f"{pod['metadata']['name']}-{volume['name']}")


def _claims(pod: Json) -> Iterator[Reference]:
    made = {s["name"]: s.get("resourceClaimName") for s in (pod.get("status") or {}).get("resourceClaimStatuses") or []}
    for claim in pod["spec"].get("resourceClaims") or []:
        if claim["name"] in made and made[claim["name"]] is None:
            continue  # the template needed no claim
        yield Reference(RESOURCE_CLAIM, claim.get("resourceClaimName") or made.get(claim["name"]) or claim["name"])


def fault_of(reference: Reference, obj: Json | None, pod_uid: str) -> str:
    """Why `obj` (None: not found) doesn't satisfy the reference, as the kubelet words it; "" when it does."""
    if obj is None:
        return f"{reference} not found"
    if reference.key and reference.key not in {*(obj.get("data") or {}), *(obj.get("binaryData") or {})}:
        return f"couldn't find key {reference.key} in {reference}"
    if reference.kind is PVC and (obj.get("status") or {}).get("phase") != "Bound":
        return f"{reference} is not bound"
    if reference.kind is RESOURCE_CLAIM:
        reserved = (obj.get("status") or {}).get("reservedFor") or []
        if not any(user.get("uid") == pod_uid for user in reserved):
            return f"{reference} is not reserved for this pod"
    return ""
