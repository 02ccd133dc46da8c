"""Supervision, probes and metrics: nothing dies in silence."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest
from prometheus_client.exposition import generate_latest

from grove_operator.api.kinds import POD
from grove_operator.engine.measures import Metrics as EngineMetrics
from grove_operator.engine.measures import gang_states
from grove_operator.kube.health import Health, listen_address
from grove_operator.kube.metrics import Metrics
from grove_operator.kube.request_log import RequestLog
from grove_operator.kube.supervisor import Died, Stopped, Supervisor


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_task_that_ends_even_well_ends_the_process() -> None:
    supervisor = Supervisor()
    supervisor.start("steady", forever())
    supervisor.start("the engine", asyncio.sleep(0))
    with pytest.raises(Died, match="the engine ended: without an error"):
        await supervisor.until_stopped()
    await supervisor.close()


async def test_a_thread_that_dies_ends_the_process_with_its_reason() -> None:
    supervisor = Supervisor()
    thread = threading.Thread(target=lambda: supervisor.fail("the kopf thread", OSError("port taken")))
    thread.start()
    with pytest.raises(Died, match="the kopf thread ended: port taken"):
        await supervisor.during(forever())
    thread.join()
    await supervisor.close()


async def test_being_told_to_stop_is_no_failure_whatever_breaks_afterwards() -> None:
    supervisor = Supervisor()
    supervisor.start("steady", forever())
    supervisor.stop()
    supervisor.fail("late", OSError("broken"))
    with pytest.raises(Stopped):
        await supervisor.during(forever())
    await supervisor.until_stopped()
    await supervisor.close()


def test_probes_say_what_is_wrong_and_how_old_the_watches_are() -> None:
    health = Health(readiness={"a": lambda: "", "b": lambda: "not yet"}, watch_ages_s=lambda: {"pods": 1.26})
    assert health.report(health.liveness) == (200, {"ok": True, "faults": {}, "watchAgeSeconds": {"pods": 1.3}})
    assert health.report(health.readiness)[0] == 503
    assert health.report(health.readiness)[1]["faults"] == {"b": "not yet"}


@pytest.mark.parametrize(
    ("configured", "pod_ip", "address"),
    [("", "", "0.0.0.0"), ("", "10.1.2.3", "0.0.0.0"), ("", "127.0.4.1", "127.0.4.1"), ("::1", "127.0.4.1", "::1")],
)
def test_pods_that_share_a_host_listen_on_their_own_address(
    configured: str, pod_ip: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POD_IP", pod_ip)
    assert listen_address(configured) == address


def test_metrics_show_requests_writes_and_whatever_the_engine_counts() -> None:
    log = RequestLog()
    log.request("create", POD, "/api/v1/namespaces/d/pods/web-0/binding", 201, 0.5)
    log.request("get", POD, "/api/v1/namespaces/d/pods/web-0", 200, 0.25)
    engine = {"reconciles": Counter({"set": 3}), "queue_depth": 2, "writes": Counter({("create", "Pod", ""): 7})}
    text = generate_latest(Metrics(log, "operator", is_leader=lambda: True, engine=lambda: engine).registry).decode()
    for line in (
        'grove_writes_total{resource="pods/binding",verb="create"} 1.0',
        'grove_api_requests_total{code="200",resource="pods",verb="get"} 1.0',
        "grove_leader 1.0",
        "grove_operator_queue_depth 2.0",
        'grove_operator_reconciles{label1="set"} 3.0',
    ):
        assert line in text
    assert 'grove_writes_total{resource="pods",verb="get"}' not in text


def test_the_operators_own_figures_have_named_labels_and_its_latency_is_a_histogram() -> None:
    engine = EngineMetrics()
    engine.writes[("create", "Pod", "")] += 3
    engine.gang_states = gang_states(
        [
            {"status": {"phase": "Running", "conditions": [{"type": "Initialized", "status": "True"}]}},
            {"status": {}},
        ]
    )
    for seconds in (0.001, 0.02, 99.0):
        engine.reconciled("clique", seconds)
    said = generate_latest(Metrics(RequestLog(), "operator", engine=lambda: engine).registry).decode()
    for line in (
        'grove_operator_writes{kind="Pod",subresource="",verb="create"} 3.0',
        'grove_operator_gang_states{state="Running"} 1.0',
        'grove_operator_gang_states{state="Initializing"} 1.0',
        'grove_operator_reconcile_seconds_bucket{le="0.001",level="clique"} 1.0',
        'grove_operator_reconcile_seconds_bucket{le="0.025",level="clique"} 2.0',
        'grove_operator_reconcile_seconds_bucket{le="10",level="clique"} 2.0',
        'grove_operator_reconcile_seconds_bucket{le="+Inf",level="clique"} 3.0',
        'grove_operator_reconcile_seconds_count{level="clique"} 3.0',
    ):
        assert line in said
