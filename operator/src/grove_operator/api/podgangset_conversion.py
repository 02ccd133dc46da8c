"""From a PodGangSet, as early releases had it, to the PodCliqueSet that it is called today.

    spec.replicas, spec.template.*, spec.replicaSpreadConstraints    the same fields
    template.cliques[], podCliqueScalingGroups[]                     the same fields
    template.schedulingPolicyConfig.networkPackGroupConfigs          nowhere: they named no level to pack to
    labels, annotations                                              the same, but what kubectl keeps there
    status                                                           nowhere: it is observed anew

Converted once, without a way back: the two live on their own afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from grove_operator.api.constants import ANNOTATION_CONVERTED_FROM
from grove_operator.api.kinds import POD_CLIQUE_SET, Json

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Conversion:
    """`pod_clique_set` as a user would have written it; `lost` says what it cannot carry, one sentence for each."""

    pod_clique_set: Json
    lost: tuple[str, ...]


def converted(obj: Json) -> Conversion:
    """The object has to fit its schema. Defaults are left to whoever stores the result."""
    spec = copy.deepcopy(obj["spec"])
    policy = spec["template"].pop("schedulingPolicyConfig", None) or {}
    given = obj.get("metadata") or {}
    metadata: Json = {name: given[name] for name in ("name", "namespace") if given.get(name)}
    if given.get("labels"):
        metadata["labels"] = dict(given["labels"])
    annotations = {k: v for k, v in (given.get("annotations") or {}).items() if k != LAST_APPLIED}
    source = str(given.get("uid") or given.get("name") or "")
    metadata["annotations"] = annotations | {ANNOTATION_CONVERTED_FROM: source}
    kind = {"apiVersion": POD_CLIQUE_SET.api_version, "kind": POD_CLIQUE_SET.kind}
    return Conversion({**kind, "metadata": metadata, "spec": spec}, tuple(_lost(policy)))


def _lost(policy: Mapping[str, Any]) -> Iterator[str]:
    for i, config in enumerate(policy.get("networkPackGroupConfigs") or ()):
        cliques = ", ".join(config.get("cliqueNames") or ())
        yield (
            f"spec.template.schedulingPolicyConfig.networkPackGroupConfigs[{i}]: packing of {cliques or 'no clique'} "
            "names no level; put a topologyConstraint on the set or on a scaling group of these cliques"
        )
