"""What a live set may change and what it may not: section 2.5 of the reference, row by row."""

from __future__ import annotations

from typing import Any

from grove_operator.api.kinds import Json
from tests.conformance.grove.refusals import NICS, SCALING, C, G, T, base
from tests.conformance.grove.rows import ABSENT, Row, bent
from tests.unit.api.manifests import clique, pcs

NVLINK = "grove.io/mnnvl-group"
NAMED = {"topologyName": "default", "pack": {"required": "block"}}
LEGACY = {"packDomain": "rack"}


def change(
    rule: str, *changes: tuple[str, Any], faults: tuple[str, ...] | str = (), old: Json | None = None, **more: Any
) -> Row:
    before = old if old is not None else base()
    told = (faults,) if isinstance(faults, str) else faults
    return Row("2.5", rule, bent(before, *changes), told, old=before, **more)


def in_order() -> Json:
    return bent(base(), (f"{T}.cliqueStartupType", "CliqueStartupTypeInOrder"))


def moved(manifest: Json) -> Json:
    first, *rest = manifest["spec"]["template"]["cliques"]
    return bent(manifest, (C, [*rest, first]))


ALLOWED = [
    change("replicas", ("spec.replicas", 2)),
    change("the update strategy", ("spec.updateStrategy", {"type": "OnDelete"})),
    change("replicas of a clique", (f"{C}.0.spec.replicas", 4)),
    change("replicas of a group", (f"{G}.0.replicas", 5)),
    change("labels of a clique", (f"{C}.0.labels", {"a": "b"})),
    change("annotations of a clique", (f"{C}.0.annotations", {"a": "b"})),
    change("a pod spec", (f"{C}.0.spec.podSpec.containers.0.image", "example.test/serve:2")),
    change("nodeName, which only creation forbids", (f"{C}.0.spec.podSpec.nodeName", "n1")),
    change("autoscaling of a clique", (f"{C}.0.spec.autoScalingConfig", SCALING)),
    change("autoscaling of a group", (f"{G}.0.scaleConfig", {"minReplicas": 1, "maxReplicas": 4})),
    change("annotations of a group", (f"{G}.0.annotations", {"a": "b"})),
    change("the priority class", (f"{T}.priorityClassName", "high")),
    change("the termination delay", (f"{T}.terminationDelay", "10m")),
    change("the headless service", (f"{T}.headlessServiceConfig", {"publishNotReadyAddresses": False})),
    Row("2.5", "the order of cliques that start in any order", moved(base()), (), old=base()),
    change("update budgets", (f"{C}.0.rollingUpdate", {"maxUnavailable": 1})),
    change("spreading", ("spec.replicaSpreadConstraints", [{"topologyKey": "zone"}])),
    change(
        "packDomain rewritten as pack.required",
        (f"{T}.topologyConstraint", {"topologyName": "default", "pack": {"required": "rack"}}),
        old=bent(base(), (f"{T}.topologyConstraint", {"topologyName": "default", **LEGACY})),
        by_server=False,
    ),
    change(
        "a topology named where none was",
        (f"{T}.topologyConstraint", {"topologyName": "default", **LEGACY}),
        old=bent(base(), (f"{T}.topologyConstraint", LEGACY)),
        by_server=False,
    ),
    change(
        "anything beside a level that is gone",
        ("spec.replicas", 1),
        old=bent(base(), (f"{T}.topologyConstraint", {"topologyName": "default", "pack": {"required": "gone"}})),
        by_server=False,
    ),
]

TWO_GROUPS = pcs(
    *(clique(name) for name in "abc"),
    groups=[{"name": "g", "cliqueNames": ["a"]}, {"name": "h", "cliqueNames": ["b"]}],
)
REFUSED = [
    change(
        "cliques are not added",
        (C, [*base()["spec"]["template"]["cliques"], pcs(clique("x"))["spec"]["template"]["cliques"][0]]),
        faults=f"{C} Forbidden",
    ),
    Row("2.5", "cliques are not taken away", pcs(clique("a")), (f"{C} Forbidden",), old=pcs(clique("a"), clique("b"))),
    change("cliques are not renamed", (f"{C}.0.name", "gateway"), faults=f"{C}[0].name Forbidden"),
    Row(
        "2.5",
        "cliques that start in order keep it",
        moved(in_order()),
        tuple(f"{C}[{i}] Invalid" for i in range(3)),
        old=in_order(),
    ),
    change("the role of a clique", (f"{C}.0.spec.roleName", "x"), faults=f"{C}[0].spec.roleName Invalid"),
    change(
        "minAvailable of a clique",
        (f"{C}.2.spec.minAvailable", 2),
        faults=f"{C}[2].spec.minAvailable Invalid",
    ),
    change("startsAfter", (f"{C}.0.spec.startsAfter", ["leader"]), faults=f"{C}[0].spec.startsAfter Invalid"),
    Row(
        "2.5",
        "the scheduler",
        pcs(clique("a", pod={"schedulerName": "default-scheduler"})),
        (f"{C}[0].spec.podSpec.schedulerName Invalid",),
        old=pcs(clique("a")),
    ),
    change(
        "resourceSharing of a clique",
        (f"{C}.0.resourceSharing", [{"name": "x", "namespace": "y", "scope": "AllReplicas"}]),
        faults=f"{C}[0].resourceSharing Invalid",
    ),
    change(
        "the startup type",
        (f"{T}.cliqueStartupType", "CliqueStartupTypeInOrder"),
        faults=f"{T}.cliqueStartupType Invalid",
    ),
    Row(
        "2.5",
        "groups are not taken away",
        bent(TWO_GROUPS, (f"{G}.1", ABSENT)),
        (f"{G} Forbidden",),
        old=TWO_GROUPS,
    ),
    change("groups are not renamed", (f"{G}.0.name", "other"), faults=f"{G}[0].name Forbidden"),
    change(
        "members of a group, and their order",
        (f"{G}.0.cliqueNames", ["worker", "leader"]),
        faults=f"{G}[0].cliqueNames Invalid",
    ),
    change("minAvailable of a group", (f"{G}.0.minAvailable", 2), faults=f"{G}[0].minAvailable Invalid"),
    change(
        "resourceSharing of a group",
        (f"{G}.0.resourceSharing", [{"name": "x", "scope": "AllReplicas"}]),
        faults=f"{G}[0].resourceSharing Invalid",
    ),
    change("claim templates", NICS, faults=f"{T}.resourceClaimTemplates Invalid"),
    change(
        "resourceSharing of the set",
        (f"{T}.resourceSharing", [{"name": "x", "scope": "AllReplicas"}]),
        faults=f"{T}.resourceSharing Invalid",
    ),
    *(
        change(f"a constraint is not added to {what}", (place, NAMED), faults=f"{field} Forbidden")
        for what, place, field in (
            ("the set", f"{T}.topologyConstraint", f"{T}.topologyConstraint"),
            ("a clique", f"{C}.0.topologyConstraint", f"{C}[0].topologyConstraint"),
            ("a group", f"{G}.0.topologyConstraint", f"{G}[0].topologyConstraint"),
        )
    ),
    change(
        "a constraint is not removed",
        (f"{T}.topologyConstraint", ABSENT),
        faults=f"{T}.topologyConstraint Forbidden",
        old=bent(base(), (f"{T}.topologyConstraint", NAMED)),
    ),
    change(
        "a constraint is not changed",
        (f"{T}.topologyConstraint", {"topologyName": "default", "pack": {"required": "rack"}}),
        faults=f"{T}.topologyConstraint Forbidden",
        old=bent(base(), (f"{T}.topologyConstraint", NAMED)),
    ),
    change(
        "a nameless old constraint is repaired first",
        ("spec.replicas", 2),
        faults=f"{T}.topologyConstraint.topologyName Required",
        old=bent(base(), (f"{T}.topologyConstraint", LEGACY)),
        by_server=False,
    ),
    *(
        change(
            f"the NVLink group of {what} is not added", (place, {NVLINK: "none"}), faults=f"{field}[{NVLINK}] Forbidden"
        )
        for what, place, field in (
            ("the set", "metadata.annotations", "metadata.annotations"),
            ("a clique", f"{C}.0.annotations", f"{C}[router].annotations"),
            ("a group", f"{G}.0.annotations", f"{G}[decode].annotations"),
        )
    ),
    change(
        "the NVLink group is not removed",
        ("metadata.annotations", {}),
        faults=f"metadata.annotations[{NVLINK}] Forbidden",
        old=bent(base(), ("metadata.annotations", {NVLINK: "none"})),
    ),
    change(
        "the NVLink group is not changed",
        ("metadata.annotations", {NVLINK: "h"}),
        faults=f"metadata.annotations[{NVLINK}] Invalid",
        old=bent(base(), ("metadata.annotations", {NVLINK: "none"})),
    ),
    change("what is wrong at creation is wrong later", ("spec.replicas", -1), faults="spec.replicas Invalid"),
]
