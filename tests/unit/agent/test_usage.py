"""What containers use: measured of processes, declared for pretended ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from grove_operator.api.kinds import Json
from grove_operator.kube.clock import RealClock
from grove_operator.localcluster.agent.podmetrics import pod_metrics
from grove_operator.localcluster.agent.usage import DECLARED, ContainerUsage, Usage

BURN_A_CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"


def pod(name: str, *containers: str, **annotations: str) -> Json:
    meta: Json = {"name": name, "namespace": "ns", "uid": name, "labels": {"app": name}, "annotations": annotations}
    return {"metadata": meta, "spec": {"containers": [{"name": c} for c in containers]}}


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", BURN_A_CHILD], start_new_session=True)
    yield process

    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_process_is_measured_with_its_children_from_the_second_look_on(busy: subprocess.Popen[bytes]) -> None:
    usage = Usage(lambda: iter([(pod("a", "main"), {"main": busy.pid})]), RealClock())
    assert list(usage.pods()) == []
    time.sleep(1.5)
    ((_, (used,)),) = usage.pods()
    assert 0.05 < used.cores < 1.5
    assert used.memory_bytes > 0


def test_a_pretended_container_uses_what_its_pod_declares_and_otherwise_nothing() -> None:
    pods = [(pod("a", "x", "y", **{DECLARED: "300m"}), {}), (pod("b", "x"), {})]
    usage = Usage(lambda: iter(pods), RealClock())
    assert {p["metadata"]["name"]: [u.cores for u in used] for p, used in usage.pods()} == {"a": [0.3, 0.3], "b": [0.0]}


def test_metrics_are_told_in_nanocores_with_the_labels_that_autoscalers_select_by() -> None:
    said = pod_metrics(pod("a", "x"), [ContainerUsage("x", 0.25, 1024)], "2026-01-01T00:00:00Z")
    assert said["metadata"]["labels"] == {"app": "a"}
    assert said["containers"] == [{"name": "x", "usage": {"cpu": "250000000n", "memory": "1024"}}]
