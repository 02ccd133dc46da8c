"""What stands around a graph's PodCliqueSet: names, queues, Services, Ingress, claims, accounts, sidecars."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.api.dynamo_names import fnv1a_32, pod_clique_set_name
from grove_operator.api.kinds import Json
from grove_operator.dynamo import mapping
from grove_operator.dynamo.graph import MappingError
from grove_operator.dynamo.settings import DynamoSettings
from tests.unit.dynamo.test_mapping import cliques, env_of, graph, main_of, worker


def of_kind(dgd: Json, kind: str, settings: DynamoSettings | None = None) -> list[Json]:
    return [obj for obj in mapping.children(dgd, settings) if obj["kind"] == kind]


def annotated(dgd: Json, **annotations: str) -> Json:
    dgd["metadata"]["annotations"] = {
        f"nvidia.com/{key.replace('_', '-')}": value for key, value in annotations.items()
    }
    return dgd


def component(name: str, kind: str, *containers: Json, **fields: Any) -> Json:
    return {"name": name, "type": kind, "podTemplate": {"spec": {"containers": list(containers)}}, **fields}


def beta(*components: Json, **spec: Any) -> Json:
    meta: Json = {"name": "g", "namespace": "ns", "uid": "u"}
    return {"apiVersion": "nvidia.com/v1beta1", "metadata": meta, "spec": {"components": list(components), **spec}}


MAIN: Json = {"name": "main", "image": "img:1.4.0"}


def test_fnv_hashes_as_published() -> None:
    assert fnv1a_32("") == 0x811C9DC5
    assert fnv1a_32("a") == 0xE40C292C
    assert fnv1a_32("foobar") == 0xBF9CF968


def test_a_graphs_name_is_shortened_where_a_multinode_component_needs_the_room() -> None:
    name = "trtllm-disaggregated-multinode"
    parts = [("TrtllmDecoder", True, True)]  # 2 * 13 + 4 = 30, 15 are left
    short = pod_clique_set_name(name, parts)
    assert short == f"trtllm-dis-{fnv1a_32(name) & 0xFFFF:04x}"
    assert len(short) == 15
    assert pod_clique_set_name("fifteen-letters", parts) == "fifteen-letters"


def test_the_shortened_name_is_the_sets_and_its_childrens_but_labels_keep_the_graphs() -> None:
    dgd = graph({"TrtllmDecoder": worker(["python3", "-m", "dynamo.vllm"], multinode={})})
    dgd["metadata"]["name"] = "trtllm-disaggregated-multinode"
    (pcs,) = of_kind(dgd, "PodCliqueSet")
    assert len(pcs["metadata"]["name"]) == 15
    assert pcs["metadata"]["labels"]["nvidia.com/dynamo-graph-deployment-name"] == "trtllm-disaggregated-multinode"
    assert list(mapping.child_replicas(dgd)) == [f"{pcs['metadata']['name']}-0-trtllmdecoder"]


def test_kais_queue_is_written_where_kai_schedules() -> None:
    kai = DynamoSettings(scheduler="kai-scheduler")
    dgd = annotated(graph({"A": worker()}), kai_scheduler_queue=" team-a ")
    (pcs,) = of_kind(dgd, "PodCliqueSet", kai)
    (clique,) = pcs["spec"]["template"]["cliques"]
    assert clique["labels"]["kai.scheduler/queue"] == "team-a"
    assert clique["spec"]["podSpec"]["schedulerName"] == "kai-scheduler"
    (plain,) = of_kind(dgd, "PodCliqueSet")[0]["spec"]["template"]["cliques"]
    assert "kai.scheduler/queue" not in plain["labels"]
    assert "schedulerName" not in plain["spec"]["podSpec"]


def test_a_users_own_scheduler_is_left_alone_and_kai_by_name_gets_the_default_queue() -> None:
    service = worker()
    service["extraPodSpec"]["schedulerName"] = "mine"
    named = worker()
    named["extraPodSpec"]["schedulerName"] = "kai-scheduler"
    found = cliques(graph({"A": service, "B": named}))
    assert found["a"]["spec"]["podSpec"]["schedulerName"] == "mine"
    assert "kai.scheduler/queue" not in found["a"]["labels"]
    assert found["b"]["labels"]["kai.scheduler/queue"] == "dynamo"


def test_volcanos_queue_stands_on_the_set_and_excludes_kais() -> None:
    (pcs,) = of_kind(annotated(graph({"A": worker()}), volcano_queue="q"), "PodCliqueSet")
    assert pcs["metadata"]["annotations"]["scheduling.grove.io/volcano-queue"] == "q"
    assert pcs["spec"]["template"]["cliques"][0]["spec"]["podSpec"]["schedulerName"] == "volcano"
    with pytest.raises(MappingError, match="exclude each other"):
        mapping.children(annotated(graph({"A": worker()}), volcano_queue="q", kai_scheduler_queue="k"))


def test_addresses_of_the_operator_reach_every_container_and_a_users_value_wins() -> None:
    settings = DynamoSettings(nats="nats://n:4222", prometheus="http://p")
    services = {"A": worker(), "B": worker(envs=[{"name": "NATS_SERVER", "value": "mine"}])}
    (pcs,) = of_kind(graph(services), "PodCliqueSet", settings)
    first, second = (env_of(c) for c in pcs["spec"]["template"]["cliques"])
    assert (first["NATS_SERVER"], first["PROMETHEUS_ENDPOINT"]) == ("nats://n:4222", "http://p")
    assert "ETCD_ENDPOINTS" not in first
    assert second["NATS_SERVER"] == "mine"


def test_an_ingress_needs_a_class_and_a_frontend() -> None:
    asked: Json = {
        "componentType": "frontend",
        "ingress": {"enabled": True, "host": "chat", "tls": {"secretName": "t"}},
    }
    dgd = graph({"Front": asked, "Other": worker(ingress={"enabled": True})})
    assert of_kind(dgd, "Ingress") == []
    (ingress,) = of_kind(dgd, "Ingress", DynamoSettings(ingress_class="nginx", ingress_suffix="example.com"))
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] == "chat.example.com"
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": "g-front", "port": {"number": 8000}}
    assert ingress["spec"]["tls"] == [{"hosts": ["chat.example.com"], "secretName": "t"}]


def test_claims_to_create_are_the_graphs_and_others_are_expected() -> None:
    create = {"name": "c", "create": True, "size": "5Gi", "storageClass": "fast", "volumeAccessMode": "ReadWriteMany"}
    (claim,) = of_kind(
        graph({"A": worker()}, pvcs=[create, {"name": "there", "create": False}]), "PersistentVolumeClaim"
    )
    assert claim["metadata"]["name"] == "c"
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"
    assert claim["metadata"]["ownerReferences"][0]["name"] == "g"


def test_components_of_one_model_share_a_headless_service() -> None:
    ref = {"modelRef": {"name": "Qwen/Qwen3-0.6B"}}
    dgd = graph({"A": worker(**ref), "B": worker(**ref), "C": worker()})
    headless = [s for s in of_kind(dgd, "Service") if s["spec"].get("clusterIP") == "None"]
    assert [s["metadata"]["name"] for s in headless] == ["dynamo-model-fb68f5a6"]
    found = cliques(dgd)
    assert headless[0]["spec"]["selector"].items() <= found["a"]["labels"].items()
    assert found["a"]["annotations"]["nvidia.com/dynamo-base-model"] == "Qwen/Qwen3-0.6B"
    assert "nvidia.com/dynamo-base-model-hash" not in found["c"]["labels"]


def test_planner_and_picker_have_accounts_that_their_namespace_shares() -> None:
    dgd = graph({"P": {"componentType": "planner"}, "E": {"componentType": "epp", "eppConfig": {"config": {}}}})
    shared = mapping.shared_children(dgd)
    assert [o["metadata"]["name"] for o in shared if o["kind"] == "ServiceAccount"] == [
        "epp-serviceaccount",
        "planner-serviceaccount",
    ]
    assert all("ownerReferences" not in o["metadata"] for o in shared)
    assert mapping.shared_children(graph({"A": worker()})) == []


def test_an_endpoint_picker_finds_its_configuration_and_marks_the_workers() -> None:
    dgd = graph({"E": {"componentType": "epp", "eppConfig": {"config": {"plugins": []}}}, "W": worker()})
    (config,) = of_kind(dgd, "ConfigMap")
    assert "kind: EndpointPickerConfig" in config["data"]["epp-config-dynamo.yaml"]
    found = cliques(dgd)
    spec = found["e"]["spec"]["podSpec"]
    assert spec["terminationGracePeriodSeconds"] == 130
    assert spec["volumes"][-2]["configMap"]["name"] == config["metadata"]["name"]
    assert "command" not in main_of(found["e"])
    assert main_of(found["e"])["args"][:2] == ["-pool-name", "g-pool"]
    assert found["w"]["labels"]["nvidia.com/dynamo-component-class"] == "worker"
    assert "nvidia.com/dynamo-component-class" not in found["e"]["labels"]


def test_a_frontend_sidecar_gets_what_a_frontend_gets_and_knows_where_it_is() -> None:
    settings = DynamoSettings(nats="nats://n")
    dgd = beta(component("W", "worker", MAIN, {"name": "front", "image": "f"}, frontendSidecar="front"))
    (pcs,) = of_kind(dgd, "PodCliqueSet", settings)
    _, sidecar = pcs["spec"]["template"]["cliques"][0]["spec"]["podSpec"]["containers"]
    env = {v["name"]: v.get("value") for v in sidecar["env"]}
    assert sidecar["command"] + sidecar["args"] == ["python3", "-m", "dynamo.frontend"]
    assert (env["DYN_HTTP_PORT"], env["NATS_SERVER"], env["DYN_NAMESPACE"]) == ("8000", "nats://n", "ns-g")


def test_a_forced_group_holds_a_lone_clique() -> None:
    dgd = beta(component("W", "worker", MAIN, replicas=3, experimental={"grove": {"forceScalingGroup": True}}))
    template = mapping.pod_clique_set(dgd)["spec"]["template"]
    assert template["podCliqueScalingGroups"] == [{"name": "w", "cliqueNames": ["w"], "replicas": 3, "minAvailable": 1}]
    assert template["cliques"][0]["spec"]["replicas"] == 1
    assert mapping.child_replicas(dgd) == {"g-0-w": (True, 3)}


def test_min_available_of_a_component_is_its_cliques_or_its_groups() -> None:
    lone = mapping.pod_clique_set(beta(component("W", "worker", MAIN, replicas=3, minAvailable=2)))
    assert lone["spec"]["template"]["cliques"][0]["spec"]["minAvailable"] == 2
    many = mapping.pod_clique_set(beta(component("W", "worker", MAIN, replicas=3, minAvailable=2, multinode={})))
    assert many["spec"]["template"]["podCliqueScalingGroups"][0]["minAvailable"] == 2
    assert [c["spec"]["minAvailable"] for c in many["spec"]["template"]["cliques"]] == [1, 1]


def test_a_roles_template_goes_over_the_components_own() -> None:
    over = {
        "spec": {"nodeSelector": {"a": "b"}, "containers": [{"name": "main", "env": [{"name": "X", "value": "w"}]}]}
    }
    main = {**MAIN, "env": [{"name": "X", "value": "c"}, {"name": "Y", "value": "c"}]}
    dgd = beta(component("W", "worker", main, multinode={}, roles=[{"name": "worker", "podTemplate": over}]))
    leader, follower = mapping.pod_clique_set(dgd)["spec"]["template"]["cliques"]
    assert "nodeSelector" not in leader["spec"]["podSpec"]
    assert follower["spec"]["podSpec"]["nodeSelector"] == {"a": "b"}
    assert (env_of(leader)["X"], env_of(follower)["X"], env_of(follower)["Y"]) == ("c", "w", "c")
    assert main_of(follower)["image"] == "img:1.4.0"


def test_compiled_kernels_are_kept_where_vllm_looks() -> None:
    cache = {"compilationCache": {"pvcName": "kernels"}}
    main = {**MAIN, "command": ["python3", "-m", "dynamo.vllm"]}
    (clique,) = mapping.pod_clique_set(beta(component("W", "worker", main, **cache)))["spec"]["template"]["cliques"]
    assert env_of(clique)["VLLM_CACHE_ROOT"] == "/root/.cache/vllm"
    assert {"name": "kernels", "mountPath": "/root/.cache/vllm"} in main_of(clique)["volumeMounts"]
    assert clique["spec"]["podSpec"]["volumes"][-1]["persistentVolumeClaim"] == {"claimName": "kernels"}


@pytest.mark.parametrize(
    ("image", "annotation", "said"),
    [("r:1.4.0", "", "true"), ("r:1.3.9", "", "false"), ("r:1.5.0", "1.3.0", "false"), ("r:latest", "", "false")],
)
def test_workers_probe_their_engine_once_operator_and_runtime_know_how(image: str, annotation: str, said: str) -> None:
    service = worker()
    service["extraPodSpec"]["mainContainer"]["image"] = image
    dgd = graph({"W": service})
    if annotation:
        annotated(dgd, dynamo_operator_origin_version=annotation)
    assert env_of(cliques(dgd)["w"])["DYN_HEALTH_CHECK_ENABLED"] == said


def test_container_discovery_names_the_container() -> None:
    env = env_of(cliques(annotated(graph({"W": worker()}), dynamo_kube_discovery_mode="container"))["w"])
    assert (env["DYN_KUBE_DISCOVERY_MODE"], env["CONTAINER_NAME"]) == ("container", "main")


def test_a_restart_is_an_annotation_of_the_components_whose_turn_it_is() -> None:
    pcs = mapping.pod_clique_set(graph({"A": worker(), "B": worker()}), restarts={"A": "7"})
    first, second = pcs["spec"]["template"]["cliques"]
    assert first["annotations"]["nvidia.com/restartAt"] == "7"
    assert "nvidia.com/restartAt" not in second.get("annotations", {})


def test_a_graph_says_the_same_in_either_version() -> None:
    from grove_operator.api.dynamo_conversion import to_beta

    one = graph({"A": worker(["python3", "-m", "dynamo.sglang"], multinode={}, subComponentType="prefill")})
    two = to_beta({**one, "apiVersion": "nvidia.com/v1alpha1"})
    assert mapping.pod_clique_set(one)["spec"] == mapping.pod_clique_set(two)["spec"]
