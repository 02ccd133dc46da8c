"""What admission answers: kopf's own serving function around our handlers, request in, review out."""

from __future__ import annotations

import base64
import copy
import json
import random
from collections.abc import Mapping
from typing import Any

import kopf
import pytest
from kopf._cogs.configs.configuration import OperatorSettings
from kopf._cogs.structs import ephemera, references
from kopf._core.engines.admission import serve_admission_request
from kopf._core.engines.indexing import OperatorIndexers
from kopf._core.reactor.inventory import ResourceMemories

from grove_operator.api.defaults import default_podcliqueset
from grove_operator.api.kinds import CLUSTER_TOPOLOGY_BINDING, DYNAMO_GRAPH_DEPLOYMENT, POD_CLIQUE_SET, Json, Kind
from grove_operator.engine.ports import Overloaded
from grove_operator.kube.webhooks import mentions_topology, serve_admission
from tests.support.malformed import malformed
from tests.unit.api.manifests import everything


class Admission:
    """The registry with our handlers, and the requests that an API server would send to a path."""

    def __init__(self) -> None:
        self.topologies: dict[str, Json] = {}
        self.asked = 0
        self.is_down = False
        self.registry = kopf.OperatorRegistry()
        serve_admission(self.registry, self._live)
        self.insights = references.Insights()
        for kind in (POD_CLIQUE_SET, DYNAMO_GRAPH_DEPLOYMENT, CLUSTER_TOPOLOGY_BINDING):
            self.insights.webhook_resources.add(
                references.Resource(kind.group, kind.version, kind.plural, kind=kind.kind, namespaced=kind.namespaced)
            )

    async def _live(self) -> Mapping[str, Json]:
        self.asked += 1
        if self.is_down:
            raise Overloaded("API server unreachable")
        return self.topologies

    async def ask(self, path: str, kind: Kind, new: Json, old: Json | None = None) -> dict[str, Any]:
        """The response part of the review for a CREATE, or an UPDATE when `old` is given."""
        resource = {"group": kind.group, "version": kind.version, "resource": kind.plural}
        review: Any = {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "u-1",
                "resource": resource,
                "operation": "UPDATE" if old else "CREATE",
                "userInfo": {"username": "jane"},
                "object": new,
                "oldObject": old,
            },
        }
        answer: Any = await serve_admission_request(
            review,
            webhook=path,  # type: ignore[arg-type]
            settings=OperatorSettings(),
            memories=ResourceMemories(),
            memobase=ephemera.AnyMemo(kopf.Memo()),
            registry=self.registry,
            insights=self.insights,
            indices=OperatorIndexers().indices,
        )
        assert answer["response"]["uid"] == "u-1"
        return dict(answer["response"])


@pytest.fixture
def admission() -> Admission:
    return Admission()


def pod_clique_set(**clique: Any) -> Json:
    pod = {"containers": [{"name": "main", "image": "busybox"}]}
    spec = {"roleName": "worker", "replicas": 2, "podSpec": pod, **clique}
    return {
        "apiVersion": "grove.io/v1alpha1",
        "kind": "PodCliqueSet",
        "metadata": {"name": "web", "namespace": "team-a", "uid": "u"},
        "spec": {"replicas": 1, "template": {"cliques": [{"name": "worker", "spec": spec}]}},
    }


def defaulted(**clique: Any) -> Json:
    return default_podcliqueset(pod_clique_set(**clique), with_schema_defaults=True)


def patched(obj: Json, response: Mapping[str, Any]) -> Json:
    import jsonpatch

    patch = json.loads(base64.b64decode(response["patch"]))
    result: Json = jsonpatch.apply_patch(obj, patch)
    return result


async def test_defaults_come_as_a_patch_that_gives_exactly_the_defaulted_object(admission: Admission) -> None:
    given = pod_clique_set()
    response = await admission.ask("default-podcliqueset", POD_CLIQUE_SET, copy.deepcopy(given))
    assert response["allowed"]
    assert patched(given, response) == default_podcliqueset(given)


async def test_an_object_with_its_defaults_gets_no_patch(admission: Admission) -> None:
    given = default_podcliqueset(pod_clique_set())
    response = await admission.ask("default-podcliqueset", POD_CLIQUE_SET, given, old=given)
    assert response["allowed"]
    assert "patch" not in response


async def test_a_good_set_is_allowed_and_no_topology_asked_for(admission: Admission) -> None:
    response = await admission.ask("validate-podcliqueset", POD_CLIQUE_SET, defaulted())
    assert response == {"uid": "u-1", "allowed": True}
    assert admission.asked == 0


async def test_a_refusal_names_the_object_and_lists_every_fault(admission: Admission) -> None:
    wrong = defaulted(minAvailable=5)
    wrong["spec"]["template"]["cliques"].append(copy.deepcopy(wrong["spec"]["template"]["cliques"][0]))
    response = await admission.ask("validate-podcliqueset", POD_CLIQUE_SET, wrong)
    assert not response["allowed"]
    said = response["status"]["message"]
    assert said.startswith("podcliqueset team-a/web: ")
    assert "faults: " in said
    assert "minAvailable" in said
    assert "cliques[1]" in said
    assert response["status"]["code"] == 422


async def test_an_unknown_field_of_a_graph_is_refused(admission: Admission) -> None:
    graph = {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": "g", "namespace": "team-a"},
        "spec": {"services": {"Frontend": {"componentType": "frontend", "replcas": 1}}},
    }
    response = await admission.ask("validate-dynamographdeployment", DYNAMO_GRAPH_DEPLOYMENT, graph)
    assert not response["allowed"]
    assert "replcas" in response["status"]["message"]


async def test_a_topology_that_does_not_exist_is_refused_by_what_is_live(admission: Admission) -> None:
    wanted = defaulted()
    wanted["spec"]["template"]["topologyConstraint"] = {"topologyName": "gpu-fabric", "packDomain": "rack"}
    response = await admission.ask("validate-podcliqueset", POD_CLIQUE_SET, wanted)
    assert not response["allowed"]
    assert "gpu-fabric" in response["status"]["message"]
    assert admission.asked == 1


async def test_when_topologies_cannot_be_read_the_request_is_refused(admission: Admission) -> None:
    admission.is_down = True
    wanted = defaulted()
    wanted["spec"]["template"]["topologyConstraint"] = {"topologyName": "gpu-fabric", "packDomain": "rack"}
    response = await admission.ask("validate-podcliqueset", POD_CLIQUE_SET, wanted)
    assert not response["allowed"]
    assert "unreachable" in response["status"]["message"]


async def test_an_object_that_is_being_deleted_need_not_be_repaired_first(admission: Admission) -> None:
    dying = defaulted(minAvailable=5)
    dying["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert (await admission.ask("validate-podcliqueset", POD_CLIQUE_SET, dying, old=dying))["allowed"]


async def test_an_immutable_field_is_guarded_on_update(admission: Admission) -> None:
    old = defaulted()
    new = copy.deepcopy(old)
    new["spec"]["template"]["cliques"][0]["spec"]["roleName"] = "other"
    response = await admission.ask("validate-podcliqueset", POD_CLIQUE_SET, new, old=old)
    assert not response["allowed"]
    assert "roleName" in response["status"]["message"]


def test_topology_is_found_wherever_it_is_mentioned() -> None:
    assert mentions_topology({"spec": {"template": {"cliques": [{"topologyConstraint": {}}]}}})
    assert mentions_topology({"metadata": {"annotations": {"grove.io/topology-name": "x"}}})
    assert not mentions_topology(pod_clique_set())


@pytest.mark.parametrize("path", ["default-podcliqueset", "validate-podcliqueset"])
async def test_whatever_the_object_holds_the_answer_is_yes_or_a_list_of_faults(admission: Admission, path: str) -> None:
    """Never 500, which would be our own failure. Metadata stays as an API server has checked it."""
    chance = random.Random(7)
    codes = set[int]()
    for _ in range(150):
        obj = {**malformed(everything(), chance), "metadata": {"name": "web", "namespace": "default"}}
        old = chance.choice((None, everything()))
        answer = await admission.ask(path, POD_CLIQUE_SET, obj, old)
        codes.add(0 if answer["allowed"] else answer["status"]["code"])
    assert codes <= {0, 422}
