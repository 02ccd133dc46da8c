"""The node agent against a real API server, seen through kubectl as its users see it.

The fleet has two small nodes of 2 GPUs. Containers of `real.example:5000/py` are Python processes of their arguments.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from grove_operator.localcluster.agent import __file__ as agent_file
from grove_operator.localcluster.checker import check_nodes
from grove_operator.localcluster.controlplane_bare import BareControlPlane, bare_control_plane
from tests.support.kubectl import Kubectl
from tests.support.waiting import wait_for

pytestmark = pytest.mark.needs_tools
Json = dict[str, Any]
SOURCE = str(Path(agent_file).parents[3])
until = partial(wait_for, limit_s=60)
IMAGE = "real.example:5000/py:v1@sha256:" + "0" * 64
FLEET = {
    "pools": [
        {
            "name": "n",
            "count": 2,
            "capacity": {"cpu": 4, "memory": "8Gi", "pods": 20, "nvidia.com/gpu": 2},
            "labels": {"rack": "r{index}"},
            "taints": [{"key": "gpu", "effect": "PreferNoSchedule"}],
            "used": [{"nodes": ["n-1"], "requests": {"nvidia.com/gpu": 1}}],
        }
    ],
    "images": [{"match": "real.example:5000/py", "run": ["${PYTHON}", "-c", "${ARGS}"]}],
    "play": {"heartbeatS": 1, "restartBackoffS": 0.2},
}
REPORT = """
import os, signal, sys, time
account = "/var/run/secrets/kubernetes.io/serviceaccount/"
print("config", open("/etc/made-up/conf/key").read())
print("labels", open("/made-up/labels").read())
print("token", open(account + "token").read().count("."), "namespace", open(account + "namespace").read())
print("api", os.environ["KUBERNETES_SERVICE_PORT"], "ip", os.environ["IP"], flush=True)
def bye(*_):
    print("bye", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, bye)
open("/made-up/scratch/up", "w").close()
while True:
    time.sleep(0.1)
"""


@dataclass
class Agent:
    """A running agent process; `kill` and `start` again to see what a restart does."""

    kubeconfig: Path
    state: Path
    process: subprocess.Popen[str] | None = None

    def start(self, path: str = "") -> None:
        """`path` goes in front of PATH."""
        fleet = self.state.parent / "fleet.yaml"
        fleet.write_text(yaml.safe_dump(FLEET))
        command = [sys.executable, "-m", "grove_operator.localcluster.agent"]
        command += ["--kubeconfig", str(self.kubeconfig), "--fleet", str(fleet), "--state-dir", str(self.state)]
        env = {**os.environ, "PYTHONPATH": SOURCE, "PATH": f"{path}:{os.environ['PATH']}".lstrip(":")}
        with (self.state.parent / "agent.log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=env)
        assert self.process.stdout
        assert self.process.stdout.readline().startswith("ready"), (self.state.parent / "agent.log").read_text()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process
        assert self.process.stdout
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareControlPlane]:
    """For these tests alone: nodes and bound pods that others left would be looked at and judged here."""
    with bare_control_plane(tmp_path_factory.mktemp("agent-control-plane")) as running:
        yield running


@pytest.fixture(scope="module")
def agent(control_plane: BareControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    running = Agent(control_plane.kubeconfig, tmp_path_factory.mktemp("agent") / "state")
    running.start()
    yield running
    assert running.end() == 0


@pytest.fixture(scope="module")
def kubectl(control_plane: BareControlPlane) -> Kubectl:
    return Kubectl(control_plane.kubeconfig)


@pytest.fixture
def namespace(kubectl: Kubectl, agent: Agent, request: pytest.FixtureRequest) -> str:
    name = "agent-" + str(abs(hash(request.node.name)))[:12]
    kubectl("create", "namespace", name)
    kubectl("create", "serviceaccount", "worker", "-n", name)
    return name


def pod(name: str, *, node: str = "n-0", image: str = "pretended:1", gpus: int = 0, **spec: Any) -> Json:
    resources = {"limits": {"nvidia.com/gpu": gpus}} if gpus else {}
    container = {"name": "main", "image": image, "resources": resources, **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "agent-test"}},
        "spec": {
            "nodeName": node,
            "serviceAccountName": "worker",
            "terminationGracePeriodSeconds": 5,
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
            **spec,
        },
    }


class Pods:
    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self.kubectl, self.namespace = kubectl, namespace

    def create(self, manifest: Json) -> None:
        self.kubectl("create", "-n", self.namespace, "-f", "-", stdin=json.dumps(manifest))

    def status(self, name: str) -> Json:
        status: Json = self.kubectl.get("pod", name, "-n", self.namespace).get("status", {})
        return status

    def reaches(self, name: str, claim: Callable[[Json], Any], what: str) -> Json:
        return until(lambda: (s := self.status(name)) and claim(s) and s, f"pod {name} {what}")


@pytest.fixture
def pods(kubectl: Kubectl, namespace: str) -> Pods:
    return Pods(kubectl, namespace)


def ready(status: Json) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))


def waiting_reason(status: Json) -> str:
    return str((status.get("containerStatuses") or [{}])[0].get("state", {}).get("waiting", {}).get("reason", ""))


def restarts(status: Json) -> int:
    """Of the first container; none while the agent has not said anything."""
    return int((status.get("containerStatuses") or [{}])[0].get("restartCount", 0))


def test_nodes_appear_ready_with_labels_taints_leases_and_load(kubectl: Kubectl, agent: Agent) -> None:
    nodes = kubectl.get("nodes")["items"]
    assert [n["metadata"]["name"] for n in nodes] == ["n-0", "n-1"]
    assert all(ready(n["status"]) for n in nodes)
    assert [n["metadata"]["labels"]["rack"] for n in nodes] == ["r0", "r1"]
    assert [t["key"] for n in nodes for t in n["spec"]["taints"]] == ["gpu", "gpu"]
    until(lambda: kubectl.get("pods", "-n", "fleet-load")["items"][0]["status"]["phase"] == "Running", "load running")
    first = kubectl.get("lease", "n-0", "-n", "kube-node-lease")["spec"]["renewTime"]
    until(lambda: kubectl.get("lease", "n-0", "-n", "kube-node-lease")["spec"]["renewTime"] != first, "a heartbeat")


def test_a_pretended_pod_becomes_running_and_ready_and_goes_when_deleted(kubectl: Kubectl, pods: Pods) -> None:
    pods.create(pod("fake", gpus=2, initContainers=[{"name": "init", "image": "pretended:1"}]))
    status = pods.reaches("fake", ready, "is Ready")
    assert status["podIP"].startswith("127.")
    assert "pretended" in kubectl("logs", "fake", "-n", pods.namespace)
    assert check_nodes(kubectl.get("nodes")["items"], kubectl.get("pods", "-A")["items"]) == []
    kubectl("delete", "pod", "fake", "-n", pods.namespace)


def test_a_node_refuses_what_it_has_no_room_for_as_a_kubelet_does(kubectl: Kubectl, pods: Pods) -> None:
    pods.create(pod("too-many", node="n-1", gpus=2))
    status = pods.reaches("too-many", lambda s: s.get("phase") == "Failed", "is refused")
    assert status["reason"] == "OutOfnvidia.com/gpu"
    pods.create(pod("elsewhere", nodeSelector={"rack": "r9"}))
    status = pods.reaches("elsewhere", lambda s: s.get("phase") == "Failed", "is refused")
    assert status["reason"] == "NodeAffinity"


def test_a_missing_secret_is_waited_for(kubectl: Kubectl, pods: Pods) -> None:
    pods.create(pod("waits", container={"envFrom": [{"secretRef": {"name": "later"}}]}))
    pods.reaches("waits", lambda s: waiting_reason(s) == "CreateContainerConfigError", "waits")
    kubectl("create", "secret", "generic", "later", "-n", pods.namespace)
    pods.reaches("waits", ready, "is Ready once the secret is there")


def reporting_pod(name: str) -> Json:
    volumes = [
        {"name": "conf", "configMap": {"name": "conf"}},
        {"name": "down", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"name": "scratch", "emptyDir": {}},
        {
            "name": "account",
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"path": "token"}},
                    {
                        "downwardAPI": {
                            "items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]
                        }
                    },
                ]
            },
        },
    ]
    container = {
        "command": ["anything"],
        "args": [REPORT],
        "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "readinessProbe": {"exec": {"command": ["test", "-e", "/made-up/scratch/up"]}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "conf", "mountPath": "/etc/made-up/conf"},
            {"name": "down", "mountPath": "/made-up"},
            {"name": "scratch", "mountPath": "/made-up/scratch"},
            {"name": "account", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True},
        ],
    }
    init = [{"name": "init", "image": IMAGE, "command": ["x"], "args": ["print('init ran')"]}]
    return pod(name, image=IMAGE, container=container, volumes=volumes, initContainers=init)


def processes_of(agent: Agent, uid: str) -> list[psutil.Process]:
    """Processes whose launcher named this pod, found by the agent's records."""
    found = []
    for record in (agent.state / "processes").glob("*.json"):
        facts = json.loads(record.read_text())
        if facts["label"].startswith(uid) and psutil.pid_exists(facts["pid"]):
            found.append(psutil.Process(facts["pid"]))
    return found


def test_a_known_image_runs_a_process_with_its_mounts_and_ends_with_its_pod(
    kubectl: Kubectl, pods: Pods, agent: Agent, control_plane: BareControlPlane
) -> None:
    kubectl("create", "configmap", "conf", "-n", pods.namespace, "--from-literal=key=the value")
    pods.create(reporting_pod("real"))
    status = pods.reaches("real", ready, "is Ready")
    log = kubectl("logs", "real", "-c", "main", "-n", pods.namespace)
    assert "config the value" in log
    assert 'labels app="agent-test"' in log
    assert f"token 2 namespace {pods.namespace}" in log
    assert f"api {control_plane.server.rsplit(':', 1)[1]} ip {status['podIP']}" in log
    assert kubectl("logs", "real", "-c", "init", "-n", pods.namespace) == "init ran\n"
    assert kubectl("logs", "real", "-c", "main", "-n", pods.namespace, "--tail=1").startswith("api ")
    assert not Path("/made-up").exists()
    assert not Path("/etc/made-up").exists()
    running = processes_of(agent, f"{pods.namespace}/real/main")
    assert running
    kubectl("delete", "pod", "real", "-n", pods.namespace)
    assert not any(p.is_running() for p in running)


def test_a_crashing_container_is_restarted_and_its_previous_log_is_kept(kubectl: Kubectl, pods: Pods) -> None:
    once = (
        "import os, sys, time; p = '/keep/x'; n = os.path.exists(p); open(p, 'w').close(); print('life', n, flush=True)"
    )
    once += "; time.sleep(1000) if n else sys.exit(3)"
    container: Json = {"command": ["x"], "args": [once], "volumeMounts": [{"name": "keep", "mountPath": "/keep"}]}
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    pods.create(pod("crashes", image=IMAGE, container=container, volumes=[{"name": "keep", "emptyDir": {}}]))
    status = pods.reaches("crashes", lambda s: ready(s) and s["containerStatuses"][0]["restartCount"] == 1, "restarted")
    ended = status["containerStatuses"][0]["lastState"]["terminated"]
    assert (ended["exitCode"], ended["message"]) == (3, "life False")
    assert kubectl("logs", "crashes", "-n", pods.namespace, "--previous") == "life False\n"
    assert kubectl("logs", "crashes", "-n", pods.namespace) == "life True\n"


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (4, "Failed")])
def test_a_pod_that_is_never_restarted_ends_with_its_process(pods: Pods, code: int, phase: str) -> None:
    container = {"command": ["x"], "args": [f"raise SystemExit({code})"]}
    pods.create(pod("ends", image=IMAGE, container=container, restartPolicy="Never"))
    status = pods.reaches("ends", lambda s: s.get("phase") in ("Succeeded", "Failed"), "has ended")
    assert status["phase"] == phase
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == code


def test_a_failing_liveness_probe_restarts_the_container(pods: Pods) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    container = {"command": ["x"], "args": ["import time; time.sleep(1000)"], "livenessProbe": probe}
    pods.create(pod("unwell", image=IMAGE, container=container))
    restarted = pods.reaches("unwell", lambda s: restarts(s) >= 1, "was restarted")
    assert restarted["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 143


def test_an_agent_that_was_killed_leaves_no_process_and_its_successor_goes_on(pods: Pods, agent: Agent) -> None:
    container = {"command": ["x"], "args": ["import time; time.sleep(1000)"]}
    pods.create(pod("survivor", image=IMAGE, container=container))
    pods.create(pod("pretended"))
    before = pods.reaches("survivor", ready, "is Ready")
    pretended = pods.reaches("pretended", ready, "is Ready")
    running = processes_of(agent, f"{pods.namespace}/survivor")
    assert running
    agent.end(signal.SIGKILL)
    agent.start()
    until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in running), "the orphan is gone")
    after = pods.reaches("survivor", lambda s: ready(s) and s["containerStatuses"][0]["restartCount"] == 1, "is back")
    assert after["podIP"] == before["podIP"]
    assert pods.status("pretended") == pretended


def test_where_mounts_are_refused_it_says_so_and_remaps_known_paths(
    kubectl: Kubectl, pods: Pods, agent: Agent, tmp_path: Path
) -> None:
    (tmp_path / "unshare").write_text("#!/bin/sh\necho unshare failed: Operation not permitted >&2\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    kubectl("create", "configmap", "conf", "-n", pods.namespace, "--from-literal=key=the value")
    manifest = reporting_pod("unmounted")
    script = (
        "import os, sys, time; print(open(sys.argv[1]).read(), os.listdir(os.environ['GROVE_SERVICEACCOUNT_DIR']), "
    )
    script += "flush=True); time.sleep(1000)"
    manifest["spec"]["containers"][0] |= {"args": [script, "/etc/made-up/conf/key"], "readinessProbe": None}
    agent.end()
    agent.start(path=str(tmp_path))
    try:
        pods.create(manifest)
        pods.reaches("unmounted", ready, "is Ready")
        log = until(lambda: kubectl("logs", "unmounted", "-c", "main", "-n", pods.namespace), "output")
        assert "the value" in log
        assert "'token'" in log

        def is_told() -> bool:
            events = kubectl.get("events", "-n", pods.namespace)["items"]
            return any(e["reason"] == "MountsRefused" and "not permitted" in e["message"] for e in events)

        until(is_told, "an Event that says so")
    finally:
        agent.end()
        agent.start()


def test_a_followed_log_ends_with_its_container(kubectl: Kubectl, pods: Pods) -> None:
    container = {"command": ["x"], "args": ["import time\nfor n in range(5): print(n, flush=True); time.sleep(0.2)"]}
    pods.create(pod("counts", image=IMAGE, container=container, restartPolicy="Never"))
    pods.reaches("counts", lambda s: s.get("phase") in ("Running", "Succeeded"), "has started")
    assert kubectl("logs", "-f", "counts", "-n", pods.namespace).split() == ["0", "1", "2", "3", "4"]
