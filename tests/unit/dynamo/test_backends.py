"""TensorRT-LLM and Ray over several nodes, and commands that a shell runs."""

from __future__ import annotations

from grove_operator.api.kinds import Json
from grove_operator.dynamo import mapping
from grove_operator.dynamo.command import shell_line, with_flags
from tests.unit.dynamo.test_mapping import cliques, graph, main_of, worker

TRTLLM = ["python3", "-m", "dynamo.trtllm", "--engine-args", '{"a": 1}']


def trtllm() -> Json:
    return graph({"D": worker(TRTLLM, gpu="4", multinode={"nodeCount": 2})})


def test_trtllms_leader_starts_after_its_workers_and_runs_one_process_for_each_gpu() -> None:
    dgd = trtllm()
    assert mapping.pod_clique_set(dgd)["spec"]["template"]["cliqueStartupType"] == "CliqueStartupTypeExplicit"
    found = cliques(dgd)
    assert found["d-ldr"]["spec"]["startsAfter"] == ["d-wkr"]
    assert "startsAfter" not in found["d-wkr"]["spec"]
    (line,) = main_of(found["d-ldr"])["args"]
    assert "mpirun" in line
    assert " -n 8 " in line
    hosts = line.partition(" -H ")[2].split(" ")[0].split(",")
    group = "$(GROVE_PCSG_NAME)-$(GROVE_PCSG_INDEX)"
    assert hosts == [f"{group}-d-{name}-0.$(GROVE_HEADLESS_SERVICE)" for name in ("ldr", "wkr")]
    assert " -x DYN_NAMESPACE " in line


def test_trtllms_workers_serve_ssh_and_are_ready_when_it_answers() -> None:
    follower = main_of(cliques(trtllm())["d-wkr"])
    assert follower["args"][0].endswith("exec /usr/sbin/sshd -D -f $HOME/.ssh/sshd_config")
    assert follower["readinessProbe"]["tcpSocket"] == {"port": 2222}
    assert not {"livenessProbe", "startupProbe"} & set(follower)


def test_both_roles_of_trtllm_have_the_key_pair() -> None:
    for clique in cliques(trtllm()).values():
        spec = clique["spec"]["podSpec"]
        assert spec["volumes"][-1]["secret"]["secretName"] == "mpi-run-ssh-secret"
        assert spec["containers"][0]["volumeMounts"][-1]["mountPath"] == "/ssh-pk"


def test_a_shell_sees_the_original_arguments_of_an_mpi_leader() -> None:
    """Run by a real shell: what follows `bash -c` has to be one word whose quotes survive."""
    import shlex

    (line,) = main_of(cliques(trtllm())["d-ldr"])["args"]
    script = shlex.split(line[line.index("bash -c ") :])[2]
    assert shlex.split(script) == ["trtllm-llmapi-launch", *TRTLLM]


def test_ray_is_chosen_by_annotation_or_by_a_graph_older_than_mp() -> None:
    command = ["python3", "-m", "dynamo.vllm", "--tensor-parallel-size", "16"]
    dgd = graph({"D": worker(command, multinode={})})
    for key, value in (("vllm-distributed-executor-backend", "RAY"), ("dynamo-operator-origin-version", "0.9.1")):
        dgd["metadata"]["annotations"] = {f"nvidia.com/{key}": value}
        leader, follower = (main_of(c) for c in cliques(dgd).values())
        assert leader["args"] == [
            "ray start --head --port=6379 && python3 -m dynamo.vllm --tensor-parallel-size 16 "
            "--distributed-executor-backend ray"
        ]
        address = "$(GROVE_PCSG_NAME)-$(GROVE_PCSG_INDEX)-d-ldr-0.$(GROVE_HEADLESS_SERVICE):6379"
        assert follower["args"] == [f"ray start --address={address} --block"]
        assert "livenessProbe" not in follower
        assert not [v for v in leader["env"] if v["name"] == "VLLM_NIXL_SIDE_CHANNEL_HOST"]


def test_what_a_shell_runs_is_its_line_and_what_python_runs_is_quoted() -> None:
    assert shell_line({"command": ["bash", "-c"], "args": ["a && b 'c'"]}) == "a && b 'c'"
    assert shell_line({"command": ["python3", "-c"], "args": ["print(1)"]}) == "python3 -c 'print(1)'"


def test_flags_follow_the_module_in_a_line_of_several_commands() -> None:
    line = "ulimit -l unlimited\npython3 -m dynamo.sglang --tp-size 16\n"
    found = with_flags({"command": ["bash", "-c"], "args": [line]}, "--nnodes 4")
    assert found["args"] == ["ulimit -l unlimited\npython3 -m dynamo.sglang --nnodes 4 --tp-size 16\n"]
