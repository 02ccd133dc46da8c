"""DynamoGraphDeployment -> PodCliqueSet: names, defaults, overrides, several nodes."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.api.kinds import Json
from grove_operator.dynamo import mapping
from grove_operator.dynamo.command import with_flags
from grove_operator.dynamo.graph import MappingError


def graph(services: Json, **spec: Any) -> Json:
    meta: Json = {"name": "g", "namespace": "ns", "uid": "u"}
    return {"metadata": meta, "spec": {"services": services, **spec}}


def worker(command: list[str] | None = None, gpu: str = "8", **spec: Any) -> Json:
    main: Json = {"image": "img"} | ({"command": command} if command else {})
    limits: Json = {"limits": {"gpu": gpu}}
    return {"componentType": "worker", "resources": limits, "extraPodSpec": {"mainContainer": main}, **spec}


def cliques(dgd: Json) -> dict[str, Json]:
    return {c["name"]: c for c in mapping.pod_clique_set(dgd)["spec"]["template"]["cliques"]}


def main_of(clique: Json) -> Json:
    container: Json = clique["spec"]["podSpec"]["containers"][0]
    return container


def env_of(clique: Json) -> dict[str, Any]:
    return {v["name"]: v.get("value") for v in main_of(clique)["env"]}


def test_services_become_cliques_in_sorted_order_with_lower_case_names() -> None:
    dgd = graph({"Zeta": worker(), "Alpha": {"componentType": "frontend", "replicas": 3}})
    found = cliques(dgd)
    assert list(found) == ["alpha", "zeta"]
    assert found["alpha"]["spec"]["replicas"] == 3
    assert found["alpha"]["spec"]["minAvailable"] == 1
    assert found["zeta"]["labels"]["nvidia.com/dynamo-component"] == "Zeta"


def test_the_dynamo_namespace_is_made_of_kubernetes_namespace_and_graph_and_the_old_field_is_ignored() -> None:
    dgd = graph({"A": worker(dynamoNamespace="old"), "B": worker(globalDynamoNamespace=True)})
    assert env_of(cliques(dgd)["a"])["DYN_NAMESPACE"] == "ns-g"
    assert env_of(cliques(dgd)["b"])["DYN_NAMESPACE"] == "dynamo"


def test_environment_of_the_container_wins_over_the_service_over_the_graph_over_the_defaults() -> None:
    service = worker(envs=[{"name": "B", "value": "service"}, {"name": "C", "value": "service"}])
    service["extraPodSpec"]["mainContainer"]["env"] = [{"name": "C", "value": "container"}]
    envs = [{"name": name, "value": "graph"} for name in ("A", "B", "C", "DYN_SYSTEM_PORT")]
    said = env_of(cliques(graph({"S": service}, envs=envs))["s"])
    assert (said["A"], said["B"], said["C"], said["DYN_SYSTEM_PORT"]) == ("graph", "service", "container", "graph")
    assert list(said) == sorted(said)


def test_a_frontend_without_command_gets_the_default_one_and_a_given_one_replaces_it() -> None:
    own: Json = {"componentType": "frontend", "extraPodSpec": {"mainContainer": {"command": ["serve"]}}}
    found = cliques(graph({"A": {"componentType": "frontend"}, "B": own}))
    assert main_of(found["a"])["command"] + main_of(found["a"])["args"] == ["python3", "-m", "dynamo.frontend"]
    assert main_of(found["b"])["command"] == ["serve"]
    assert "args" not in main_of(found["b"])


def test_gpu_shorthand_secret_and_shared_memory_become_kubernetes_fields() -> None:
    service = worker(envFromSecret="token", sharedMemory={"size": "20Gi"}, gpu="2")
    clique = cliques(graph({"S": service}))["s"]
    assert main_of(clique)["resources"] == {"limits": {"nvidia.com/gpu": "2"}}
    assert main_of(clique)["envFrom"] == [{"secretRef": {"name": "token"}}]
    assert clique["spec"]["podSpec"]["volumes"][0]["emptyDir"] == {"medium": "Memory", "sizeLimit": "20Gi"}
    assert main_of(cliques(graph({"S": worker(sharedMemory={"disabled": True})}))["s"]).get("volumeMounts") is None


def test_extra_pod_spec_overrides_and_the_container_stays_main() -> None:
    service = worker()
    service["extraPodSpec"] |= {"nodeSelector": {"a": "b"}, "terminationGracePeriodSeconds": 5}
    service["extraPodSpec"]["mainContainer"]["name"] = "other"
    spec = cliques(graph({"S": service}))["s"]["spec"]["podSpec"]
    assert spec["nodeSelector"] == {"a": "b"}
    assert spec["terminationGracePeriodSeconds"] == 5
    assert [c["name"] for c in spec["containers"]] == ["main"]


def test_several_nodes_become_a_scaling_group_of_leader_and_workers() -> None:
    dgd = graph({"Decode": worker(multinode={"nodeCount": 4}, replicas=2)})
    template = mapping.pod_clique_set(dgd)["spec"]["template"]
    group = {"name": "decode", "cliqueNames": ["decode-ldr", "decode-wkr"], "replicas": 2, "minAvailable": 1}
    assert template["podCliqueScalingGroups"] == [group]
    sizes = {c["name"]: (c["spec"]["replicas"], c["spec"]["minAvailable"]) for c in template["cliques"]}
    assert sizes == {"decode-ldr": (1, 1), "decode-wkr": (3, 3)}
    assert mapping.child_replicas(dgd) == {"g-0-decode": (True, 2)}


def test_sglang_over_two_nodes_gets_its_rendezvous_and_workers_no_probes() -> None:
    found = cliques(graph({"D": worker(["python3", "-m", "dynamo.sglang"], multinode={})}))
    leader, follower = main_of(found["d-ldr"]), main_of(found["d-wkr"])
    address = "$(GROVE_PCSG_NAME)-$(GROVE_PCSG_INDEX)-d-ldr-0.$(GROVE_HEADLESS_SERVICE):29500"
    assert leader["args"] == ["--dist-init-addr", address, "--nnodes", "2", "--node-rank", "0"]
    assert follower["command"] == ["sh", "-c"]
    assert follower["args"] == [
        f"exec python3 -m dynamo.sglang --dist-init-addr {address} --nnodes 2 --node-rank $((GROVE_PCLQ_POD_INDEX + 1))"
    ]
    assert "livenessProbe" in leader
    assert not {"livenessProbe", "readinessProbe", "startupProbe"} & set(follower)


def test_vllm_with_more_tensor_parallelism_than_a_node_has_gpus_uses_the_mp_executor() -> None:
    command = ["python3", "-m", "dynamo.vllm", "--tensor-parallel-size", "16"]
    found = cliques(graph({"D": worker(command, multinode={"nodeCount": 2})}))
    assert "--distributed-executor-backend" in main_of(found["d-ldr"])["args"]
    assert main_of(found["d-wkr"])["args"][0].endswith("--headless")
    assert [c["name"] for c in found["d-wkr"]["spec"]["podSpec"]["initContainers"]] == ["wait-for-leader-mp"]
    assert "initContainers" not in found["d-ldr"]["spec"]["podSpec"]


def test_vllm_data_parallelism_over_nodes_starts_each_node_at_its_rank() -> None:
    command = ["python3", "-m", "dynamo.vllm", "-tp", "4", "--data-parallel-size=4"]
    found = cliques(graph({"D": worker(command, multinode={"nodeCount": 2})}))
    assert "--data-parallel-start-rank 0" in " ".join(main_of(found["d-ldr"])["args"])
    assert "--data-parallel-start-rank $((2 * (GROVE_PCLQ_POD_INDEX + 1)))" in main_of(found["d-wkr"])["args"][0]


def test_flags_go_behind_the_module_inside_a_shell_line() -> None:
    container: Json = {"command": ["bash", "-c"], "args": ["prepare && python3 -m dynamo.sglang --model m"]}
    assert with_flags(container, "--x 1")["args"] == ["prepare && python3 -m dynamo.sglang --x 1 --model m"]


def test_a_command_of_another_backend_than_the_graph_says_is_refused_with_a_remedy() -> None:
    dgd = graph({"D": worker(["python3", "-m", "dynamo.vllm"], multinode={})}, backendFramework="sglang")
    with pytest.raises(MappingError, match=r"service D.*dynamo\.vllm.*backendFramework is sglang; make them agree"):
        mapping.pod_clique_set(dgd)


def test_topology_goes_on_the_clique_or_on_the_group_and_is_named_once() -> None:
    pack: Json = {"topologyConstraint": {"packDomain": "rack"}}
    services = {"A": worker(**pack), "B": worker(multinode={}, **pack)}
    named = graph(services, topologyConstraint={"topologyProfile": "gb200", "packDomain": "block"})
    template = mapping.pod_clique_set(named)["spec"]["template"]
    assert template["topologyConstraint"] == {"topologyName": "gb200", "pack": {"required": "block"}}
    assert template["cliques"][0]["topologyConstraint"] == {"pack": {"required": "rack"}}
    assert template["podCliqueScalingGroups"][0]["topologyConstraint"] == {"pack": {"required": "rack"}}
    unconstrained = graph(services, topologyConstraint={"topologyProfile": "gb200"})
    template = mapping.pod_clique_set(unconstrained)["spec"]["template"]
    assert "topologyConstraint" not in template
    assert template["cliques"][0]["topologyConstraint"]["topologyName"] == "gb200"


def test_zero_replicas_are_one_in_the_template_and_zero_on_the_child() -> None:
    dgd = graph({"A": worker(replicas=0)})
    assert cliques(dgd)["a"]["spec"]["replicas"] == 1
    assert mapping.child_replicas(dgd) == {"g-0-a": (False, 0)}


def test_etcd_discovery_serves_only_the_frontend_and_needs_no_account() -> None:
    dgd = graph({"F": {"componentType": "frontend"}, "W": worker()})
    dgd["metadata"]["annotations"] = {"nvidia.com/dynamo-discovery-backend": "etcd"}
    kinds = [(obj["kind"], obj["metadata"]["name"]) for obj in mapping.children(dgd)]
    assert kinds == [("PodCliqueSet", "g"), ("Service", "g-f")]
    assert "serviceAccountName" not in cliques(dgd)["w"]["spec"]["podSpec"]


def topology_of(dgd: Json) -> Json | None:
    constraint: Json | None = mapping.pod_clique_set(dgd)["spec"]["template"].get("topologyConstraint")
    return constraint


def override(**constraint: Any) -> Json:
    return {"patch": {"spec": {"template": {"topologyConstraint": constraint}}}}


def test_a_provider_override_can_prefer_a_level_beside_the_required_one() -> None:
    preferred = override(topologyName="default", pack={"preferred": "rack"})
    required = {"topologyProfile": "default", "packDomain": "block"}
    services = {"W": worker()}
    assert topology_of(graph(services, providerOverride=preferred)) == {
        "topologyName": "default",
        "pack": {"preferred": "rack"},
    }
    assert topology_of(graph(services, providerOverride=preferred, topologyConstraint=required)) == {
        "topologyName": "default",
        "pack": {"required": "block", "preferred": "rack"},
    }
    assert topology_of(graph(services)) is None


def test_a_service_inherits_the_topology_name_of_an_override() -> None:
    preferred = override(topologyName="default", pack={"preferred": "rack"})
    services = {"W": worker(topologyConstraint={"packDomain": "host"})}
    above = {"topologyProfile": "default"}
    inherited = cliques(graph(services, providerOverride=preferred, topologyConstraint=above))["w"]
    alone = cliques(graph(services, topologyConstraint=above))["w"]
    assert inherited["topologyConstraint"] == {"pack": {"required": "host"}}
    assert alone["topologyConstraint"] == {"pack": {"required": "host"}, "topologyName": "default"}
