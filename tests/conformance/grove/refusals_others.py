"""What is refused at creation: annotations (2.6), schedulers (10.3), ClusterTopologyBindings (1.5, 2.8), row by row."""

from __future__ import annotations

from typing import Any

from grove_operator.api.kinds import Json
from tests.conformance.grove.refusals import C, G, row
from tests.conformance.grove.rows import ABSENT, Row, bent
from tests.unit.api.manifests import TOPOLOGY, clique, pcs

QUEUE = "kai.scheduler/queue"


def kai_set(*cliques: Json, **metadata: Any) -> Json:
    made = pcs(*(bent(c, ("spec.podSpec.schedulerName", "kai-scheduler")) for c in cliques))
    made["metadata"] |= metadata
    return bent(made, ("spec.replicas", 0))


NVLINK = "grove.io/mnnvl-group"
ANNOTATION_ROWS = [
    *(
        row(
            f"the NVLink group of {where} is none or a DNS label",
            (place, {NVLINK: "A_b"}),
            faults=f"{field}[{NVLINK}] Invalid",
            section="2.6",
        )
        for where, place, field in (
            ("the set", "metadata.annotations", "metadata.annotations"),
            ("a clique", f"{C}.0.annotations", f"{C}[router].annotations"),
            ("a group", f"{G}.0.annotations", f"{G}[decode].annotations"),
        )
    ),
    row(
        "an NVLink group is not empty",
        ("metadata.annotations", {NVLINK: ""}),
        faults=f"metadata.annotations[{NVLINK}] Invalid",
        section="2.6",
    ),
    row(
        "an NVLink group needs the feature",
        ("metadata.annotations", {NVLINK: "g"}),
        faults=f"metadata.annotations[{NVLINK}] Invalid",
        section="2.6",
    ),
]

BACKEND_ROWS = [
    Row("10.3", "KAI needs a queue", kai_set(clique("a")), (f"metadata.labels[{QUEUE}] Required",)),
    Row(
        "10.3",
        "KAI's queue is one: the set's wins",
        kai_set({**clique("a"), "labels": {QUEUE: "y"}}, labels={QUEUE: "x"}),
        (f"{C}[0].labels[{QUEUE}] Invalid",),
    ),
    Row(
        "10.3",
        "KAI's queue is one: cliques agree",
        kai_set({**clique("a"), "annotations": {QUEUE: "x"}}, {**clique("b"), "annotations": {QUEUE: "y"}}),
        (f"{C}[1].annotations[{QUEUE}] Invalid",),
    ),
]


def levels(*pairs: tuple[str, str], bindings: Any = ABSENT) -> Json:
    listed = [{"domain": domain, "key": key} for domain, key in pairs]
    return bent(TOPOLOGY, ("metadata.name", "x"), ("spec.levels", listed), ("spec.schedulerTopologyBindings", bindings))


def bound(*schedulers: str) -> list[Json]:
    return [{"schedulerName": name, "topologyReference": "t"} for name in schedulers]


S = "spec.schedulerTopologyBindings"
BINDING_ROWS = [
    Row("2.8", "domains are unique", levels(("a", "k"), ("a", "l")), ("spec.levels[1].domain Duplicate",)),
    Row("2.8", "keys are unique", levels(("a", "k"), ("b", "k")), ("spec.levels[1].key Duplicate",)),
    Row("1.5", "there is a level", levels(), ("spec.levels Invalid",)),
    Row("1.5", "a domain has its form", levels(("A", "k")), ("spec.levels[0].domain Invalid",)),
    Row("1.5", "a key has its form", levels(("a", "k/")), ("spec.levels[0].key Invalid",)),
    Row(
        "2.8",
        "schedulers are unique",
        levels(("a", "k"), bindings=bound("kai-scheduler", "kai-scheduler")),
        (f"{S}[1].schedulerName Duplicate",),
    ),
    Row(
        "2.8",
        "the scheduler is enabled",
        levels(("a", "k"), bindings=bound("volcano")),
        (f"{S}[0].schedulerName Invalid",),
    ),
    Row(
        "2.8",
        "the scheduler knows topologies",
        levels(("a", "k"), bindings=bound("default-scheduler")),
        (f"{S}[0].schedulerName Invalid",),
    ),
]
