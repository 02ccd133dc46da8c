"""Section 3 of the reference, row by row: names, labels, annotations, variables and hostnames of what is generated.

The worked example of its appendix A, run in simulation: set `svc` in namespace `ml` with cliques fe (2 pods, minimum
1), lead (1) and work (3, minimum 2), the last two as group pre (3 replicas, minimum 1), started in order.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from grove_operator.api import names
from grove_operator.api.defaults import default_podcliqueset
from grove_operator.api.kinds import (
    HPA,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    ROLE,
    ROLE_BINDING,
    SCALING_GROUP,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Json,
    Kind,
)
from grove_operator.core.objects import controller_uid
from tests.sim.world import world
from tests.unit.api.manifests import clique

KINDS = (POD_CLIQUE, SCALING_GROUP, POD_GANG, POD, SERVICE, HPA, SERVICE_ACCOUNT, ROLE, ROLE_BINDING, SECRET)
Objects = dict[tuple[str, str], Json]


def svc() -> Json:
    scaling = {"maxReplicas": 5}
    cliques = [
        clique("fe", replicas=2, minAvailable=1, autoScalingConfig=scaling),
        clique("lead"),
        clique("work", replicas=3, minAvailable=2),
    ]
    cliques[0] |= {"labels": {"tier": "web", "grove.io/podgang": "mine"}, "annotations": {"note": "x"}}
    user = {"name": "GROVE_PCS_NAME", "value": "mine"}
    cliques[2]["spec"]["podSpec"]["containers"][0]["env"] = [user, {"name": "OWN", "value": "$(GROVE_PCS_INDEX)"}]
    manifest = {
        "apiVersion": "grove.io/v1alpha1",
        "kind": "PodCliqueSet",
        "metadata": {
            "name": "svc",
            "namespace": "ml",
            "labels": {"team": "a", "grove.io/x": "y"},
            "annotations": {"note": "set", "grove.io/reconcile-trigger": "1", "grove.io/mnnvl-group": "none"},
        },
        "spec": {
            "replicas": 1,
            "template": {
                "cliques": cliques,
                "cliqueStartupType": "CliqueStartupTypeInOrder",
                "priorityClassName": "high",
                "podCliqueScalingGroups": [
                    {
                        "name": "pre",
                        "cliqueNames": ["lead", "work"],
                        "replicas": 3,
                        "minAvailable": 1,
                        "annotations": {"note": "group"},
                        "scaleConfig": scaling,
                    }
                ],
            },
        },
    }
    return default_podcliqueset(manifest, with_schema_defaults=True)


async def _generated() -> Objects:
    async with world() as it:
        await it.apply(svc())
        await it.rest(120)
        kinds = (*KINDS, POD_CLIQUE_SET)
        return {(kind.kind, obj["metadata"]["name"]): obj for kind in kinds for obj in it.api.objects(kind)}


@pytest.fixture(scope="module")
def objects() -> Objects:
    return asyncio.run(_generated())


def of(objects: Objects, kind: Kind, name: str) -> Json:
    return objects[kind.kind, name]


def pods_of(objects: Objects, clique_fqn: str) -> list[Json]:
    """By index."""
    pods = [
        o
        for (kind, _), o in objects.items()
        if kind == "Pod" and o["metadata"]["labels"]["grove.io/podclique"] == clique_fqn
    ]
    return sorted(pods, key=lambda pod: int(pod["metadata"]["labels"]["grove.io/podclique-pod-index"]))


MEMBERS = [f"svc-0-pre-{j}-{name}" for j in range(3) for name in ("lead", "work")]
NAMES = [
    (POD_CLIQUE, {"svc-0-fe", *MEMBERS}),
    (SCALING_GROUP, {"svc-0-pre"}),
    (POD_GANG, {"svc-0", "svc-0-pre-0", "svc-0-pre-1"}),
    (SERVICE, {"svc-0"}),
    (HPA, {"svc-0-fe", "svc-0-pre"}),
    (SERVICE_ACCOUNT, {"svc"}),
    (ROLE, {"grove.io:pcs:svc"}),
    (ROLE_BINDING, {"grove.io:pcs:svc"}),
    (SECRET, {"svc-ic-sat"}),
]


@pytest.mark.parametrize(("kind", "expected"), NAMES, ids=lambda part: part.kind if isinstance(part, Kind) else "")
def test_names(objects: Objects, kind: Kind, expected: set[str]) -> None:
    assert {name for found, name in objects if found == kind.kind} == expected


def test_pods_are_named_after_their_clique_with_five_characters_more(objects: Objects) -> None:
    for fqn, count in (("svc-0-fe", 2), ("svc-0-pre-1-work", 3)):
        pods = pods_of(objects, fqn)
        assert len(pods) == count
        for n, pod in enumerate(pods):
            name: str = pod["metadata"]["name"]
            assert name.startswith(f"{fqn}-")
            assert len(name) == len(fqn) + 6
            assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == (f"{fqn}-{n}", "svc-0")


def test_names_of_what_is_shared() -> None:
    assert names.resource_claim("svc", "nics") == "svc-all-nics"
    assert names.resource_claim("svc-0-fe", "nics", 3) == "svc-0-fe-3-nics"
    assert names.compute_domain("svc", 0, "gpus") == "svc-0-gpus"
    assert names.headless_address("svc", 0, "ml") == "svc-0.ml.svc.cluster.local"
    assert names.group_replica("svc-0-pre", 2) == "svc-0-pre-2"


DEFAULT = {"app.kubernetes.io/managed-by": "grove-operator", "app.kubernetes.io/part-of": "svc"}
INDEX = {"grove.io/podcliqueset-replica-index": "0"}


def named(name: str, component: str, **more: str) -> dict[str, str]:
    return {**DEFAULT, "app.kubernetes.io/name": name, "app.kubernetes.io/component": component, **more}


LABELS: list[tuple[Kind, str, dict[str, str]]] = [
    (SERVICE_ACCOUNT, "svc", named("svc", "pod-service-account")),
    (ROLE, "grove.io:pcs:svc", named("grove.io-pcs-svc", "pod-role")),
    (ROLE_BINDING, "grove.io:pcs:svc", named("grove.io-pcs-svc", "pod-role-binding")),
    (SECRET, "svc-ic-sat", named("svc-ic-sat", "pod-sa-token-secret")),
    (HPA, "svc-0-fe", {**named("svc-0-fe", "pcs-hpa"), **INDEX}),
    (SERVICE, "svc-0", {**named("svc-0", "pcs-headless-service"), **INDEX}),
    (SCALING_GROUP, "svc-0-pre", {**named("svc-0-pre", "pcs-podcliquescalinggroup"), **INDEX}),
    (
        POD_CLIQUE,
        "svc-0-fe",
        {**named("svc-0-fe", "pcs-podclique"), **INDEX, "grove.io/podgang": "svc-0", "tier": "web"},
    ),
    (
        POD_CLIQUE,
        "svc-0-pre-0-work",
        {
            **named("svc-0-pre-0-work", "pcsg-podclique"),
            **INDEX,
            "grove.io/podcliquescalinggroup": "svc-0-pre",
            "grove.io/podcliquescalinggroup-replica-index": "0",
            "grove.io/podgang": "svc-0",
        },
    ),
    (
        POD_CLIQUE,
        "svc-0-pre-2-lead",
        {
            **named("svc-0-pre-2-lead", "pcsg-podclique"),
            **INDEX,
            "grove.io/podcliquescalinggroup": "svc-0-pre",
            "grove.io/podcliquescalinggroup-replica-index": "2",
            "grove.io/podgang": "svc-0-pre-1",
            "grove.io/base-podgang": "svc-0",
        },
    ),
    (
        POD_GANG,
        "svc-0-pre-0",
        {
            **DEFAULT,
            **INDEX,
            "team": "a",
            "app.kubernetes.io/component": "podgang",
            "grove.io/scheduler-name": "grove-scheduler",
        },
    ),
]
HASH = "grove.io/pod-template-hash"


@pytest.mark.parametrize(("kind", "name", "expected"), LABELS, ids=lambda part: getattr(part, "kind", str(part))[:40])
def test_labels(objects: Objects, kind: Kind, name: str, expected: dict[str, str]) -> None:
    """Exactly these, but for the template hash of PodCliques. An HPA's and a PodGang's replica index are ours."""
    labels = dict(of(objects, kind, name)["metadata"]["labels"])
    assert bool(labels.pop(HASH, "")) == (kind is POD_CLIQUE)
    assert labels == expected


@pytest.mark.parametrize("fqn", ["svc-0-fe", "svc-0-pre-0-work", "svc-0-pre-2-lead"])
def test_a_pod_has_the_labels_of_its_clique_and_says_where_it_stands(objects: Objects, fqn: str) -> None:
    owner = of(objects, POD_CLIQUE, fqn)
    for n, pod in enumerate(pods_of(objects, fqn)):
        own = {"grove.io/podclique": fqn, "grove.io/podclique-pod-index": str(n)}
        assert pod["metadata"]["labels"] == {**owner["metadata"]["labels"], **own}


def test_every_generated_object_is_controlled_by_its_parent(objects: Objects) -> None:
    uid = of(objects, POD_CLIQUE_SET, "svc")["metadata"]["uid"]
    group = of(objects, SCALING_GROUP, "svc-0-pre")["metadata"]["uid"]
    for (kind, name), obj in objects.items():
        if kind == "PodClique":
            assert controller_uid(obj) == (group if name in MEMBERS else uid)
        elif kind == "Pod":
            assert (
                controller_uid(obj)
                == of(objects, POD_CLIQUE, obj["metadata"]["labels"]["grove.io/podclique"])["metadata"]["uid"]
            )
        elif kind != "PodCliqueSet":
            assert controller_uid(obj) == uid, (kind, name)
    assert all(
        ref["blockOwnerDeletion"]
        for (kind, _), o in objects.items()
        for ref in o["metadata"].get("ownerReferences", ())
    )


# grove.io/mirrored is ours: which keys came from the set, so that third parties' keys can stay
ANNOTATIONS: list[tuple[Kind, str, dict[str, str]]] = [
    (POD_CLIQUE, "svc-0-fe", {"note": "x"}),
    (SCALING_GROUP, "svc-0-pre", {"note": "group", "grove.io/mnnvl-group": "none"}),
    (POD_GANG, "svc-0", {"note": "set", "grove.io/mirrored": '{"annotations":["note"],"labels":["team"]}'}),
    (SECRET, "svc-ic-sat", {"kubernetes.io/service-account.name": "svc"}),
]


@pytest.mark.parametrize(
    ("kind", "name", "expected"), ANNOTATIONS, ids=lambda part: getattr(part, "kind", str(part))[:40]
)
def test_annotations(objects: Objects, kind: Kind, name: str, expected: dict[str, str]) -> None:
    assert of(objects, kind, name)["metadata"].get("annotations") == expected


def variables(pod: Json) -> list[Any]:
    """(name, value or field path) of the first container."""
    env = pod["spec"]["containers"][0].get("env", [])
    return [(v["name"], v.get("value") or v["valueFrom"]["fieldRef"]["fieldPath"]) for v in env]


def general(fqn: str) -> list[tuple[str, str]]:
    return [
        ("GROVE_PCS_NAME", "svc"),
        ("GROVE_PCS_INDEX", "0"),
        ("GROVE_PCLQ_NAME", fqn),
        ("GROVE_HEADLESS_SERVICE", "svc-0.ml.svc.cluster.local"),
        ("GROVE_PCLQ_POD_INDEX", "metadata.labels['grove.io/podclique-pod-index']"),
    ]


GROUP_VARIABLES = [
    ("GROVE_PCSG_NAME", "metadata.labels['grove.io/podcliquescalinggroup']"),
    ("GROVE_PCSG_TEMPLATE_NUM_PODS", "4"),
    ("GROVE_PCSG_INDEX", "metadata.labels['grove.io/podcliquescalinggroup-replica-index']"),
]


def test_variables_come_first_and_win_over_the_users(objects: Objects) -> None:
    assert variables(pods_of(objects, "svc-0-fe")[0]) == general("svc-0-fe")
    member = variables(pods_of(objects, "svc-0-pre-1-work")[0])
    assert member == [*general("svc-0-pre-1-work"), *GROUP_VARIABLES, ("OWN", "$(GROVE_PCS_INDEX)")]


INIT = {
    "svc-0-fe": None,
    "svc-0-pre-0-lead": ["--podcliques=svc-0-fe:1"],
    "svc-0-pre-0-work": ["--podcliques=svc-0-pre-0-lead:1"],
    "svc-0-pre-1-lead": None,
    "svc-0-pre-1-work": ["--podcliques=svc-0-pre-1-lead:1"],
}


@pytest.mark.parametrize(("fqn", "args"), INIT.items(), ids=str)
def test_the_init_container_waits_for_the_clique_before(objects: Objects, fqn: str, args: list[str] | None) -> None:
    inits = pods_of(objects, fqn)[0]["spec"].get("initContainers", [])
    assert [c["args"] for c in inits if c["name"] == "grove-initc"] == ([args] if args else [])
    assert all("env" not in c for c in inits if c["name"] == "grove-initc")


def test_the_gangs_of_the_worked_example(objects: Objects) -> None:
    def groups(name: str) -> list[tuple[str, int, int]]:
        spec = of(objects, POD_GANG, name)["spec"]
        return [(g["name"], g["minReplicas"], len(g["podReferences"])) for g in spec["podgroups"]]

    assert groups("svc-0") == [("svc-0-fe", 1, 2), ("svc-0-pre-0-lead", 1, 1), ("svc-0-pre-0-work", 2, 3)]
    assert groups("svc-0-pre-0") == [("svc-0-pre-1-lead", 1, 1), ("svc-0-pre-1-work", 2, 3)]
    assert groups("svc-0-pre-1") == [("svc-0-pre-2-lead", 1, 1), ("svc-0-pre-2-work", 2, 3)]
    assert of(objects, POD_GANG, "svc-0")["spec"]["priorityClassName"] == "high"


def test_selectors_for_the_scale_subresource(objects: Objects) -> None:
    default = "app.kubernetes.io/managed-by=grove-operator,app.kubernetes.io/part-of=svc"
    said = {
        "PodCliqueSet": of(objects, POD_CLIQUE_SET, "svc")["status"]["hpaPodSelector"],
        "PodClique": of(objects, POD_CLIQUE, "svc-0-fe")["status"]["hpaPodSelector"],
        "member": of(objects, POD_CLIQUE, "svc-0-pre-0-lead")["status"].get("hpaPodSelector", ""),
        "group": of(objects, SCALING_GROUP, "svc-0-pre")["status"]["selector"],
    }
    assert said == {
        "PodCliqueSet": default,
        "PodClique": f"{default},grove.io/podclique=svc-0-fe",
        "member": "",
        "group": f"{default},grove.io/podcliquescalinggroup=svc-0-pre",
    }
    assert of(objects, SERVICE, "svc-0")["spec"] == {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {**DEFAULT, **INDEX},
    }
