"""What a pod needs, as far as other objects have a say in it: bound volumes, and whom anti-affinity keeps apart.

    own needs (spec alone) ── claims bound to volumes with a node affinity ──> affinity
                           ── terms of required anti-affinity per host, its own and others' that select it ──> claims

A term is known once a pod that has it was seen; pods seen before may be selected by it, and claims get bound late.
Then `has_news` is True, and `again` gives what a pod needs now.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from grove_operator.api.constants import ANNOTATION_FORMER_NODE
from grove_operator.api.kinds import Json
from grove_operator.scheduler.model import AVOIDS, MATCHES, Claim, Needs
from grove_operator.scheduler.requests import HOSTNAME, Affinity, anywhere, claim_names, needs_of, node_affinity

PINNED_OWNERS = frozenset({"DaemonSet", "Node"})
"""Whose pods belong to their node."""
CONTAINERS = ("containers", "initContainers")
ASKING_OF_CONTAINERS = ("resources", "ports", "restartPolicy")
ASKING = (
    "resources", "overhead", "nodeSelector", "affinity", "tolerations", "hostNetwork", "resourceClaims",
    "topologySpreadConstraints",
)  # fmt: skip
"""What `needs_of` reads of a pod's spec beside its containers."""
KNOWN_SPECS = 10_000
VolumeAt = Callable[[str, str], "Affinity | None"]
"""Where the volume that a claim (namespace, name) is bound to may be used; None while it isn't bound."""


def no_volumes(namespace: str, claim: str) -> Affinity | None:
    return None


@dataclass(frozen=True, slots=True)
class Term:
    """`selector` as JSON, '' selects nothing; `namespaces` None means all."""

    namespaces: tuple[str, ...] | None
    selector: str

    @property
    def name(self) -> str:
        where = "*" if self.namespaces is None else ",".join(self.namespaces)
        return f"{where} {self.selector}"

    def selects(self, namespace: str, labels: Mapping[str, str]) -> bool:
        is_there = self.namespaces is None or namespace in self.namespaces
        return is_there and bool(self.selector) and selects(json.loads(self.selector), labels)


class PodTrimmer:
    """Keeps of a pod what scheduling needs; equal needs become one object."""

    def __init__(self, volume_at: VolumeAt = no_volumes) -> None:
        self.has_news = False
        self._volume_at = volume_at
        self._terms: dict[str, Term] = {}
        self._interned: dict[Needs, Needs] = {}
        self._known: dict[bytes, Needs] = {}

    def __call__(self, pod: Json) -> Json:
        meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
        avoided = _terms(spec, meta["namespace"])
        for term in avoided:
            if term.name not in self._terms:
                self._terms[term.name] = term
                self.has_news = True
        claimed = claim_names(spec, meta["name"])
        trimmed: Json = {
            "metadata": {
                **{k: meta[k] for k in ("name", "namespace", "uid", "resourceVersion") if k in meta},
                "deletionTimestamp": meta.get("deletionTimestamp"),
                "creationTimestamp": meta.get("creationTimestamp", ""),
                "labels": dict(meta.get("labels") or {}),
            },
            "node": spec.get("nodeName") or None,
            "scheduler": spec.get("schedulerName", ""),
            "gated": bool(spec.get("schedulingGates")),
            "priority": spec.get("priority") or 0,
            "phase": status.get("phase", "Pending"),
            "conditions": status.get("conditions") or [],
            "pinned": any(o.get("kind") in PINNED_OWNERS for o in meta.get("ownerReferences") or ()),
            "claims": claimed,
            "former": (meta.get("annotations") or {}).get(ANNOTATION_FORMER_NODE),
            "avoids": tuple(term.name for term in avoided),
            "own": self._own(spec),
        }
        trimmed["needs"] = self._needs(trimmed)
        return trimmed

    def again(self, trimmed: Json) -> Json | None:
        """The pod with what it needs now; None when that is the same."""
        needs = self._needs(trimmed)
        return None if needs == trimmed["needs"] else {**trimmed, "needs": needs}

    def _own(self, spec: Json) -> Needs:
        """`needs_of`, worked out once for specs that ask for the same: a pod comes by many times, and its like too."""
        asked = [spec.get(field) for field in ASKING]
        asked += [[[c.get(field) for field in ASKING_OF_CONTAINERS] for c in spec.get(x) or ()] for x in CONTAINERS]
        key = marshal.dumps(asked, 2)  # the newest version without references: equal values are equal bytes
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= KNOWN_SPECS:
                self._known.clear()
            found = self._known[key] = self._intern(needs_of(spec))
        return found

    def _intern(self, needs: Needs) -> Needs:
        return self._interned.setdefault(needs, needs)

    def _needs(self, pod: Json) -> Needs:
        needs: Needs = pod["own"]
        affinity, unbound = needs.affinity, list(needs.unsupported)
        for volume, claim in pod["claims"] if not pod["node"] else ():
            found = self._volume_at(pod["metadata"]["namespace"], claim)
            if found is None:
                unbound.append(f"volume {volume} (claim {claim} is not bound to a volume)")
            elif found != anywhere():
                affinity = found if affinity is None else both(affinity, found)
        claims = [*needs.claims, *self._anti_affinity(pod)]
        if len(claims) == len(needs.claims) and affinity == needs.affinity and len(unbound) == len(needs.unsupported):
            return needs
        return self._intern(replace(needs, affinity=affinity, claims=tuple(sorted(claims)), unsupported=tuple(unbound)))

    def _anti_affinity(self, pod: Json) -> list[Claim]:
        if not self._terms:
            return []
        namespace, labels = pod["metadata"]["namespace"], pod["metadata"]["labels"]
        found: list[Claim] = [(AVOIDS, name, 0) for name in pod["avoids"]]
        found += [(MATCHES, name, 0) for name, term in self._terms.items() if term.selects(namespace, labels)]
        return found


def both(a: Affinity, b: Affinity) -> Affinity:
    """Two ORs of ANDs that must both hold, as one. An empty term matches nothing, and stays so."""
    return tuple((*x, *y) if x and y else () for x in a for y in b)


def _terms(spec: Mapping[str, Any], namespace: str) -> list[Term]:
    """Required anti-affinity per host; other topology keys are refused by `unsupported_features`."""
    found = []
    for term in required_anti_affinity(spec):
        if term.get("topologyKey") == HOSTNAME and "namespaceSelector" not in term:
            selector = json.dumps(term["labelSelector"], sort_keys=True) if term.get("labelSelector") else ""
            found.append(Term(tuple(sorted(term.get("namespaces") or [namespace])), selector))
        elif term.get("topologyKey") == HOSTNAME and term["namespaceSelector"] == {}:
            found.append(Term(None, json.dumps(term.get("labelSelector") or {}, sort_keys=True)))
    return found


def required_anti_affinity(spec: Mapping[str, Any]) -> Sequence[Json]:
    rules: Sequence[Json] = ((spec.get("affinity") or {}).get("podAntiAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or ()
    return rules


def selects(selector: Json, labels: Mapping[str, str]) -> bool:
    """A LabelSelector; an empty one selects everything."""
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    for rule in selector.get("matchExpressions") or ():
        key, values = rule["key"], rule.get("values") or ()
        holds = {
            "In": key in labels and labels[key] in values,
            "NotIn": key not in labels or labels[key] not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not holds.get(rule["operator"], False):
            return False
    return True


def volume_affinity(volume: Json) -> Affinity:
    """A PersistentVolume's node affinity."""
    required = ((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required")
    return anywhere() if required is None else node_affinity(required)
