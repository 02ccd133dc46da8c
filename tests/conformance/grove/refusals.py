"""What is refused at creation: structure, section 2.3 of the reference, row by row."""

from __future__ import annotations

from typing import Any

from grove_operator.api.kinds import Json
from tests.conformance.grove.rows import ABSENT, Row, bent
from tests.unit.api.manifests import clique, leader_worker, pcs

T, C, G = "spec.template", "spec.template.cliques", "spec.template.podCliqueScalingGroups"
EXPLICIT = (f"{T}.cliqueStartupType", "CliqueStartupTypeExplicit")
REQUEST = {"spec": {"devices": {"requests": [{"name": "n"}]}}}
NICS = (f"{T}.resourceClaimTemplates", [{"name": "nics", "templateSpec": REQUEST}])
SPREAD = [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]
SCALING = {"minReplicas": 1, "maxReplicas": 4}


def base() -> Json:
    """A router beside a group of leader and worker, with all defaults; without replicas, so that nothing is made."""
    return bent(leader_worker(), ("spec.replicas", 0))


def shared(**entry: Any) -> tuple[str, list[Json]]:
    return f"{T}.resourceSharing", [{"name": "nics", "scope": "AllReplicas", **entry}]


def group_shared(**entry: Any) -> tuple[str, list[Json]]:
    return f"{G}.0.resourceSharing", [{"name": "nics", "scope": "AllReplicas", **entry}]


def row(rule: str, *changes: tuple[str, Any], faults: str | tuple[str, ...], section: str = "2.3", **more: Any) -> Row:
    found = (faults,) if isinstance(faults, str) else faults
    return Row(section, rule, bent(base(), *changes), found, **more)


STRUCTURE = [
    row("the name is a DNS label", ("metadata.name", "Web"), faults="metadata.name Invalid"),
    row("labels are valid", ("metadata.labels", {"a b": "c"}), faults="metadata.labels Invalid"),
    row("replicas are 0 or more", ("spec.replicas", -1), faults="spec.replicas Invalid"),
    row(
        "the startup type is in the enum",
        (f"{T}.cliqueStartupType", "Later"),
        faults=f"{T}.cliqueStartupType NotSupported",
    ),
    row(
        "a claim template has a name",
        (f"{T}.resourceClaimTemplates", [{"name": "", "templateSpec": REQUEST}]),
        faults=f"{T}.resourceClaimTemplates[0].name Required",
    ),
    row(
        "a claim template requests devices",
        (f"{T}.resourceClaimTemplates", [{"name": "nics", "templateSpec": {"spec": {"devices": {}}}}]),
        faults=f"{T}.resourceClaimTemplates[0].templateSpec.spec.devices.requests Required",
    ),
    row(
        "claim templates have different names",
        (f"{T}.resourceClaimTemplates", [{"name": "nics", "templateSpec": REQUEST}] * 2),
        faults=f"{T}.resourceClaimTemplates[1].name Duplicate",
    ),
    row("a sharing entry has a name", shared(name=""), faults=f"{T}.resourceSharing[0].name Required"),
    row(
        "a name stands once in a list of sharing entries",
        (f"{C}.0.resourceSharing", [{"name": "x", "scope": "AllReplicas"}, {"name": "x", "scope": "PerReplica"}]),
        faults=f"{C}[0].resourceSharing[1].name Duplicate",
    ),
    row(
        "a template of the set has no namespace",
        NICS,
        shared(namespace="other"),
        faults=f"{T}.resourceSharing[0].namespace Invalid",
    ),
    row("the scope is in the enum", shared(scope="Some"), faults=f"{T}.resourceSharing[0].scope NotSupported"),
    row("a filter of the set chooses", NICS, shared(filter={}), faults=f"{T}.resourceSharing[0].filter Required"),
    row(
        "a filtered clique exists",
        NICS,
        shared(filter={"childCliqueNames": ["nobody"]}),
        faults=f"{T}.resourceSharing[0].filter.childCliqueNames[0] NotFound",
    ),
    row(
        "a filtered group exists",
        NICS,
        shared(filter={"childScalingGroupNames": ["nobody"]}),
        faults=f"{T}.resourceSharing[0].filter.childScalingGroupNames[0] NotFound",
    ),
    row(
        "a filter of a group chooses",
        NICS,
        group_shared(filter={}),
        faults=f"{G}[0].resourceSharing[0].filter Required",
    ),
    row(
        "a group's filter names its own cliques",
        NICS,
        group_shared(filter={"childCliqueNames": ["router"]}),
        faults=f"{G}[0].resourceSharing[0].filter.childCliqueNames[0] NotFound",
    ),
    row("there is a clique", (C, []), (G, ABSENT), faults=f"{C} Required"),
    row("a clique has a name", (f"{C}.0.name", " "), faults=f"{C}[0].name Required"),
    row("a clique's name is a DNS label", (f"{C}.0.name", "Router"), faults=f"{C}[0].name Invalid"),
    row("no dots, which break Services later", (f"{C}.0.name", "a.b"), faults=f"{C}[0].name Invalid"),
    row(
        "set and clique take at most 45 characters",
        ("metadata.name", "n" * 26),
        (f"{C}.0.name", "c" * 20),
        faults=(f"{C}[0].name Invalid", "metadata.name Invalid"),
    ),
    row("labels of a clique are valid", (f"{C}.0.labels", {"a": "b c"}), faults=f"{C}[0].labels.a Invalid"),
    row("annotations of a clique are valid", (f"{C}.0.annotations", {"-": "x"}), faults=f"{C}[0].annotations Invalid"),
    row(
        "a clique has replicas",
        (f"{C}.0.spec.replicas", -2),
        (f"{C}.0.spec.minAvailable", 1),
        faults=(f"{C}[0].spec.replicas Invalid", f"{C}[0].spec.minAvailable Invalid"),
    ),
    row("minAvailable is positive", (f"{C}.0.spec.minAvailable", 0), faults=f"{C}[0].spec.minAvailable Invalid"),
    row("minAvailable is within replicas", (f"{C}.0.spec.minAvailable", 2), faults=f"{C}[0].spec.minAvailable Invalid"),
    row(
        "minAvailable is there",
        (f"{C}.0.spec.minAvailable", ABSENT),
        faults=f"{C}[0].spec.minAvailable Required",
        by_server=False,
    ),
    row(
        "autoscaling without minAvailable is no accident",
        (f"{C}.0.spec.minAvailable", ABSENT),
        (f"{C}.0.spec.autoScalingConfig", SCALING),
        faults=f"{C}[0].spec.minAvailable Required",
        by_server=False,
    ),
    row(
        "startsAfter names something",
        EXPLICIT,
        (f"{C}.0.spec.startsAfter", [" "]),
        faults=f"{C}[0].spec.startsAfter[0] Required",
    ),
    row(
        "no clique starts after itself",
        EXPLICIT,
        (f"{C}.0.spec.startsAfter", ["router"]),
        faults=f"{C}[0].spec.startsAfter[0] Invalid",
    ),
    row(
        "startsAfter names each once",
        EXPLICIT,
        (f"{C}.0.spec.startsAfter", ["leader", "leader"]),
        faults=f"{C}[0].spec.startsAfter[1] Duplicate",
    ),
    row(
        "startsAfter names cliques",
        EXPLICIT,
        (f"{C}.0.spec.startsAfter", ["nobody"]),
        faults=f"{C}[0].spec.startsAfter Invalid",
    ),
    row(
        "cliques don't wait for each other",
        EXPLICIT,
        (f"{C}.1.spec.startsAfter", ["worker"]),
        (f"{C}.2.spec.startsAfter", ["leader"]),
        faults=f"{C} Invalid",
    ),
    row(
        "the autoscaler's minimum is at least minAvailable",
        (f"{C}.0.spec.autoScalingConfig", {"minReplicas": 0, "maxReplicas": 4}),
        faults=f"{C}[0].spec.autoScalingConfig.minReplicas Invalid",
    ),
    row(
        "the autoscaler's minimum is there",
        (f"{C}.0.spec.autoScalingConfig", {"maxReplicas": 4}),
        faults=f"{C}[0].spec.autoScalingConfig.minReplicas Required",
        by_server=False,
    ),
    row(
        "the autoscaler's maximum is at least its minimum",
        (f"{C}.0.spec.autoScalingConfig", {"minReplicas": 3, "maxReplicas": 2}),
        faults=f"{C}[0].spec.autoScalingConfig.maxReplicas Invalid",
    ),
    row(
        "the autoscaler's maximum is at least the replicas",
        (f"{C}.0.spec.replicas", 3),
        (f"{C}.0.spec.autoScalingConfig", {"minReplicas": 1, "maxReplicas": 2}),
        faults=f"{C}[0].spec.autoScalingConfig.maxReplicas Invalid",
    ),
    row(
        "no topologySpreadConstraints at creation",
        (f"{C}.0.spec.podSpec.topologySpreadConstraints", SPREAD),
        faults=f"{C}[0].spec.podSpec.topologySpreadConstraints Invalid",
    ),
    row(
        "no nodeName at creation",
        (f"{C}.0.spec.podSpec.nodeName", "n1"),
        faults=f"{C}[0].spec.podSpec.nodeName Invalid",
    ),
    row(
        "variables have valid names",
        (f"{C}.0.spec.podSpec.containers.0.env", [{"name": "A=B"}]),
        faults=f"{C}[0].spec.podSpec.containers[0].env[0].name Invalid",
    ),
    row(
        "variables of init containers too",
        (f"{C}.0.spec.podSpec.initContainers", [{"name": "i", "image": "i", "env": [{"name": "A=B"}]}]),
        faults=f"{C}[0].spec.podSpec.initContainers[0].env[0].name Invalid",
    ),
    row(
        "variables stand once in a container",
        (f"{C}.0.spec.podSpec.containers.0.env", [{"name": "A"}, {"name": "A"}]),
        faults=f"{C}[0].spec.podSpec.containers[0].env[1].name Duplicate",
        at_server=f"{C}[0].spec.podSpec.containers[0].env[1]",
    ),
    row(
        "cliques have different names",
        (f"{C}.0.name", "leader"),
        faults=(f"{C}[1].name Duplicate",),
        at_server=f"{C}[1]",
    ),
    row("roles have different names", (f"{C}.0.spec.roleName", "leader"), faults=f"{C}[1].spec.roleName Duplicate"),
    row(
        "one scheduler for all cliques",
        (f"{C}.1.spec.podSpec.schedulerName", "default-scheduler"),
        faults=f"{C}[1].spec.podSpec.schedulerName Invalid",
    ),
    Row(
        "2.3",
        "the scheduler is enabled",
        bent(pcs(clique("a", pod={"schedulerName": "volcano"})), ("spec.replicas", 0)),
        (f"{C}[0].spec.podSpec.schedulerName Invalid",),
    ),
    row("a group's name is a DNS label", (f"{G}.0.name", "De"), faults=f"{G}[0].name Invalid"),
    row(
        "groups have different names",
        (f"{G}.0.cliqueNames", ["leader"]),
        (f"{G}", [{"name": "g", "cliqueNames": [c], "replicas": 1, "minAvailable": 1} for c in ("leader", "worker")]),
        faults=f"{G}[1].name Duplicate",
        at_server=f"{G}[1]",
    ),
    row(
        "a group's cliques exist", (f"{G}.0.cliqueNames", ["leader", "wrker"]), faults=f"{G}[0].cliqueNames[1] Invalid"
    ),
    row("a group has cliques", (f"{G}.0.cliqueNames", []), faults=f"{G}[0].cliqueNames Required"),
    row(
        "set, group and clique take at most 45 characters",
        ("metadata.name", "n" * 34),
        faults=(
            f"{G}[0].cliqueNames[0] Invalid",
            f"{G}[0].name Invalid",
            "metadata.name Invalid",
            f"{G}[0].cliqueNames[1] Invalid",
            f"{G}[0].name Invalid",
            "metadata.name Invalid",
        ),
    ),
    row(
        "a group has replicas",
        (f"{G}.0.replicas", 0),
        faults=(f"{G}[0].replicas Invalid", f"{G}[0].minAvailable Invalid"),
    ),
    row("a group's minAvailable is positive", (f"{G}.0.minAvailable", 0), faults=f"{G}[0].minAvailable Invalid"),
    row("a group's minAvailable is within replicas", (f"{G}.0.minAvailable", 3), faults=f"{G}[0].minAvailable Invalid"),
    row(
        "a group's autoscaler keeps minAvailable",
        (f"{G}.0.minAvailable", 2),
        (f"{G}.0.scaleConfig", {"minReplicas": 1, "maxReplicas": 4}),
        faults=f"{G}[0].scaleConfig.minReplicas Invalid",
    ),
    row(
        "a group's autoscaler's maximum is at least its replicas",
        (f"{G}.0.scaleConfig", {"minReplicas": 1, "maxReplicas": 1}),
        faults=f"{G}[0].scaleConfig.maxReplicas Invalid",
    ),
    row(
        "a clique is in one group",
        (f"{G}.0.cliqueNames", ["leader", "leader"]),
        faults=(f"{G}[0].cliqueNames[0] Duplicate", f"{G}[0].cliqueNames[1] Duplicate"),
    ),
    row(
        "members don't scale by themselves",
        (f"{C}.1.spec.autoScalingConfig", SCALING),
        faults=f"{G}[0].cliqueNames[0] Invalid",
    ),
    row("the termination delay is positive", (f"{T}.terminationDelay", "0s"), faults=f"{T}.terminationDelay Invalid"),
    row(
        "the termination delay is a duration", (f"{T}.terminationDelay", "soon"), faults=f"{T}.terminationDelay Invalid"
    ),
    row(
        "the termination delay is there",
        (f"{T}.terminationDelay", ABSENT),
        faults=f"{T}.terminationDelay Required",
        by_server=False,
    ),
    row("no field is unknown", (f"{C}.0.spec.replcas", 1), faults=f"{C}[0].spec.replcas Invalid"),
    Row(
        "3.1",
        "no two objects share a name",
        bent(pcs(clique("a-0-b"), clique("b"), groups=[{"name": "a", "cliqueNames": ["b"]}]), ("spec.replicas", 0)),
        (f"{C}[1].name Invalid",),
    ),
]
