"""What is filled in and what is accepted at creation: sections 1.1 (defaults), 2.2 and appendix D, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from grove_operator.api.kinds import Json
from tests.conformance.grove.rows import bent
from tests.unit.api.manifests import clique

C, G, T = "spec.template.cliques", "spec.template.podCliqueScalingGroups", "spec.template"


@dataclass(frozen=True)
class Default:
    """What stands at `place` of the stored object when the submitted one has `changes`."""

    section: str
    place: str
    value: Any
    changes: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        given = ", ".join(f"{place.rpartition('.')[2]}={value!r}"[:60] for place, value in self.changes)
        return f"{self.section} {self.place}" + (f" given {given}" if given else "")


def bare() -> Json:
    """A set as short as can be, with one group."""
    return {
        "apiVersion": "grove.io/v1alpha1",
        "kind": "PodCliqueSet",
        "metadata": {"name": "bare"},
        "spec": {
            "template": {
                "cliques": [clique("a", replicas=3), clique("b")],
                "podCliqueScalingGroups": [{"name": "g", "cliqueNames": ["b"]}],
            }
        },
    }


SPREAD = ("spec.replicaSpreadConstraints", [{"topologyKey": "zone"}])
HPA = (f"{C}.0.spec.autoScalingConfig", {"maxReplicas": 4})
DEFAULTS = [
    Default("1.1.1", "spec.replicas", 0),
    Default("1.1.1", "spec.updateStrategy.type", "RollingRecreate", (("spec.updateStrategy", {}),)),
    Default("1.1.1", f"{T}.cliqueStartupType", "CliqueStartupTypeAnyOrder"),
    Default("2.2", f"{T}.headlessServiceConfig", {"publishNotReadyAddresses": True}),
    Default(
        "1.1.1",
        f"{T}.headlessServiceConfig.publishNotReadyAddresses",
        True,
        ((f"{T}.headlessServiceConfig", {}),),
    ),
    Default("2.2", f"{T}.terminationDelay", "4h"),
    Default("2.2", f"{C}.0.spec.podSpec.restartPolicy", "Always"),
    Default("2.2", f"{C}.0.spec.podSpec.restartPolicy", "Never", ((f"{C}.0.spec.podSpec.restartPolicy", "Never"),)),
    Default("2.2", f"{C}.0.spec.podSpec.terminationGracePeriodSeconds", 30),
    Default(
        "2.2",
        f"{C}.0.spec.podSpec.terminationGracePeriodSeconds",
        0,
        ((f"{C}.0.spec.podSpec.terminationGracePeriodSeconds", 0),),
    ),
    Default("2.2", f"{C}.0.spec.replicas", 1, ((f"{C}.0.spec.replicas", 0),)),
    Default("2.2", f"{C}.0.spec.minAvailable", 3),
    Default("2.2", f"{C}.0.spec.minAvailable", 1, ((f"{C}.0.spec.replicas", 0),)),
    Default("2.2", f"{C}.0.spec.autoScalingConfig.minReplicas", 3, (HPA,)),
    Default("2.2", f"{C}.0.spec.autoScalingConfig.minReplicas", 1, ((f"{C}.0.spec.replicas", 0), HPA)),
    Default("1.1.3", f"{G}.0.replicas", 1),
    Default("1.1.3", f"{G}.0.minAvailable", 1),
    Default("2.2", f"{G}.0.scaleConfig.minReplicas", 1, ((f"{G}.0.scaleConfig", {"maxReplicas": 4}),)),
    Default(
        "2.2",
        f"{G}.0.scaleConfig.minReplicas",
        2,
        ((f"{G}.0.replicas", 2), (f"{G}.0.scaleConfig", {"maxReplicas": 4})),
    ),
    Default("D", "spec.replicaSpreadConstraints.0.maxSkew", 1, (SPREAD,)),
    Default("D", "spec.replicaSpreadConstraints.0.whenUnsatisfiable", "ScheduleAnyway", (SPREAD,)),
    Default("D", "spec.updateStrategy.type", "Coherent", (("spec.updateStrategy", {"type": "Coherent"}),)),
    Default("2.2", "metadata.namespace", "default"),
]


@dataclass(frozen=True)
class Advised:
    """What is accepted with words that contain `says`."""

    rule: str
    obj: Json
    says: str
    old: Json | None = None

    def __str__(self) -> str:
        return self.rule


_PREFERS = {"topologyName": "default", "pack": {"required": "block", "preferred": "zone"}}
WARNINGS = [
    Advised(
        "2.3 a policy that doesn't restart",
        bent(bare(), (f"{C}.0.spec.podSpec.restartPolicy", "Never")),
        f"{C}[0].spec.podSpec.restartPolicy: Never: containers that end are not started again",
    ),
    Advised(
        "2.4 a preference broader than what is required",
        bent(bare(), (f"{T}.topologyConstraint", _PREFERS)),
        f"{T}.topologyConstraint.pack.preferred: level 'zone' is broader than the required 'block'",
    ),
    Advised(
        "D spreading by pods",
        bent(bare(), ("spec.replicaSpreadConstraints", [{"topologyKey": "zone", "minDomains": 2}])),
        "spec.replicaSpreadConstraints[0].minDomains: is ignored",
    ),
]


def at(obj: Any, place: str) -> Any:
    for part in place.split("."):
        obj = obj[int(part)] if part.isdigit() else obj[part]
    return obj
