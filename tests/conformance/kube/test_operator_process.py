"""The operator as a process, with the CRDs and webhook configurations that users get, on a real API server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from grove_operator.api import install
from grove_operator.api.kinds import (
    DEPLOYMENT,
    LEASE,
    NAMESPACE,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    SERVICE_ACCOUNT,
    VALIDATING_WEBHOOKS,
    Json,
)
from grove_operator.cli.main import cli
from grove_operator.engine.ports import ApiError, Invalid
from grove_operator.kube.client import HttpKubeApi
from tests.support.installation import Installation, eventually, installed

pytestmark = pytest.mark.needs_tools
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An API server of its own, because webhook configurations are the whole cluster's."""
    with installed(tmp_path_factory.mktemp("operator-process")) as made:
        made.start("operator-0")
        yield made


@pytest.fixture
async def api(installation: Installation) -> AsyncIterator[HttpKubeApi]:
    async with HttpKubeApi.from_kubeconfig(installation.plane.kubeconfig) as client:
        yield client


@pytest.fixture
async def serving(installation: Installation) -> Installation:
    async def is_ready() -> bool:
        code = installation.processes[0].poll()
        assert code is None, f"the operator ended with {code}: {installation.said('operator-0')}"
        return (await installation.probe("/readyz"))[0] == 200

    await eventually(is_ready, f"/readyz; {installation.said('operator-0')[-2000:]}")
    return installation


def pod_clique_set(name: str, **clique: Any) -> Json:
    pod = {"containers": [{"name": "main", "image": "busybox"}]}
    spec = {"roleName": "worker", "replicas": 2, "podSpec": pod, **clique}
    return {
        "apiVersion": "grove.io/v1alpha1",
        "kind": "PodCliqueSet",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": 1, "template": {"cliques": [{"name": "worker", "spec": spec}]}},
    }


async def test_defaults_are_filled_in_by_admission(serving: Installation, api: HttpKubeApi) -> None:
    made = await api.create(POD_CLIQUE_SET, "default", pod_clique_set("defaulted"))
    assert made["spec"]["template"]["cliques"][0]["spec"]["minAvailable"] == 2
    assert made["spec"]["template"]["terminationDelay"] == "4h"


async def test_a_wrong_set_is_refused_with_all_its_faults_at_once(serving: Installation, api: HttpKubeApi) -> None:
    wrong = pod_clique_set("wrong", minAvailable=5)
    first = wrong["spec"]["template"]["cliques"][0]
    wrong["spec"]["template"]["cliques"].append({**first, "name": "second"})
    with pytest.raises(Invalid) as refused:
        await api.create(POD_CLIQUE_SET, "default", wrong)
    said = str(refused.value)
    assert "pcs.validating.webhooks.grove.io" in said
    assert "podcliqueset default/wrong" in said
    for fault in ("minAvailable", "roleName"):
        assert fault in said
    assert "faults:" in said


async def test_an_update_that_changes_nothing_changes_nothing(serving: Installation, api: HttpKubeApi) -> None:
    made = await api.create(POD_CLIQUE_SET, "default", pod_clique_set("steady"))
    await api.patch(POD_CLIQUE_SET, "default", "steady", {"metadata": {"labels": {"a": "b"}}})
    now = await api.get(POD_CLIQUE_SET, "default", "steady")
    assert now["metadata"]["generation"] == made["metadata"]["generation"]
    assert now["spec"] == made["spec"]


async def test_the_leader_acts_on_what_kopf_sees(serving: Installation, api: HttpKubeApi) -> None:
    await api.create(POD_CLIQUE_SET, "default", pod_clique_set("acted"))

    async def made() -> list[str]:
        listing = await api.list(POD_CLIQUE, namespace="default")
        return [item["metadata"]["name"] for item in listing.items if item["metadata"]["name"] == "acted-0-worker"]

    await eventually(made, f"podclique acted-0-worker; {serving.said('operator-0')[-2000:]}")


async def test_kopf_leaves_no_trace_on_the_objects(serving: Installation, api: HttpKubeApi) -> None:
    await api.create(POD_CLIQUE_SET, "default", pod_clique_set("clean"))
    await api.patch(POD_CLIQUE_SET, "default", "clean", {"metadata": {"labels": {"a": "b"}}})
    now = await api.get(POD_CLIQUE_SET, "default", "clean")
    assert now["metadata"].get("finalizers", []) == []
    assert not [key for key in now["metadata"].get("annotations", {}) if "kopf" in key]


async def test_a_configuration_applied_again_is_trusted_again(serving: Installation, api: HttpKubeApi) -> None:
    fresh = next(m for m in install.webhook_configurations(serving.options) if m["kind"] == VALIDATING_WEBHOOKS.kind)
    name = fresh["metadata"]["name"]
    before = await api.get(VALIDATING_WEBHOOKS, None, name)
    await api.patch(VALIDATING_WEBHOOKS, None, name, {"webhooks": fresh["webhooks"]})

    async def is_trusted() -> bool:
        live = await api.get(VALIDATING_WEBHOOKS, None, name)
        return bool(live["webhooks"] == before["webhooks"])

    await eventually(is_trusted, "caBundle restored")


async def test_the_operator_is_not_deleted_from_under_a_set_unless_by_force(
    serving: Installation, api: HttpKubeApi
) -> None:
    """All tried dry; the scheduler's Deployment, which the condition in CEL leaves out, is nobody's business."""
    await api.create(POD_CLIQUE_SET, "default", pod_clique_set("needy"))
    home = serving.options.namespace
    everything = {"dryRun": "All"}
    for path in (DEPLOYMENT.path(home, "grove-operator"), NAMESPACE.path(None, home)):
        with pytest.raises(ApiError) as refused:
            await api.raw("DELETE", path, params=everything)
        assert "default/needy" in str(refused.value)
    await api.raw("DELETE", DEPLOYMENT.path(home, "grove-scheduler"), params=everything)
    await api.patch(
        DEPLOYMENT, home, "grove-operator", {"metadata": {"annotations": {"grove.io/force-deletion": "true"}}}
    )
    await api.raw("DELETE", DEPLOYMENT.path(home, "grove-operator"), params=everything)


async def test_metrics_and_probes_tell_what_goes_on(serving: Installation) -> None:
    code, text = await serving.probe("/metrics", port=serving.options.metrics_port)
    assert code == 200
    assert "grove_leader 1.0" in text
    assert 'grove_writes_total{resource="leases",verb="' in text or 'grove_writes_total{verb="' in text
    code, text = await serving.probe("/healthz")
    assert code == 200
    assert '"watchAgeSeconds"' in text


async def test_the_second_follows_at_once_when_the_first_is_told_to_end(
    serving: Installation, api: HttpKubeApi
) -> None:
    first = serving.processes[0]
    second = serving.start("operator-1")

    async def is_ready() -> bool:
        return (await serving.probe("/readyz", number=2))[0] == 200

    await eventually(is_ready, f"the standby's /readyz; {serving.said('operator-1')[-2000:]}")

    async def holder() -> str:
        lease = await api.get(LEASE, serving.options.namespace, "grove-operator-leader-election")
        return str(lease["spec"]["holderIdentity"])

    assert (await holder()).startswith("operator-0_")
    first.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(first.wait, 10) == 0, serving.said("operator-0")[-2000:]
    assert "lease grove-operator-leader-election released" in serving.said("operator-0")

    async def second_leads() -> bool:
        return (await holder()).startswith("operator-1_")

    await eventually(second_leads, "the standby takes the Lease")
    await api.create(POD_CLIQUE_SET, "default", pod_clique_set("after"))
    second.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(second.wait, 10) == 0
    with pytest.raises(ApiError):
        await api.create(POD_CLIQUE_SET, "default", pod_clique_set("nobody-serves"))
    for name in ("operator-0", "operator-1"):
        assert "forbidden" not in serving.said(name)  # the service account's own rules suffice


async def test_it_does_not_reconcile_beside_another_operator_and_says_so(
    installation: Installation, api: HttpKubeApi
) -> None:
    """Whose Lease is in another namespace: it waits for its end, and ends when it comes back."""
    lease = "grove-operator-leader-election"

    async def theirs(holder: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": holder, "leaseDurationSeconds": 3600, "acquireTime": now, "renewTime": now}
        await api.patch(LEASE, "nvidia", lease, {"spec": spec})

    await api.create(NAMESPACE, None, {"metadata": {"name": "nvidia"}})
    await api.create(LEASE, "nvidia", {"metadata": {"name": lease}, "spec": {}})
    await theirs("their-pod_1")
    process = installation.start("operator-2")
    number = len(installation.processes)

    async def is_told() -> bool:
        return "their-pod_1" in (await installation.probe("/readyz", number))[1]

    await eventually(is_told, f"/readyz names the other; {installation.said('operator-2')[-2000:]}")
    said = "not reconciling beside NVIDIA's Grove operator in namespace nvidia (lease held by their-pod_1)"
    assert said in installation.said("operator-2")
    arguments = ["status", "--kubeconfig", str(installation.plane.kubeconfig)]
    told = await asyncio.to_thread(CliRunner().invoke, cli, arguments)  # it has a loop of its own
    assert "NVIDIA's Grove operator in namespace nvidia" in told.output
    await theirs("")

    async def is_ready() -> bool:
        return (await installation.probe("/readyz", number))[0] == 200

    await eventually(is_ready, f"it works when the other is gone; {installation.said('operator-2')[-2000:]}")
    await theirs("their-pod_2")
    assert await asyncio.to_thread(process.wait, 30) == 6, installation.said("operator-2")[-2000:]
    assert "lease held by their-pod_2" in installation.said("operator-2")
    assert "forbidden" not in installation.said("operator-2")


async def test_the_scheduler_leads_records_its_decisions_and_ends_well(
    installation: Installation, api: HttpKubeApi
) -> None:
    process = installation.start("scheduler-0", "scheduler_main")
    number = len(installation.processes)

    async def leads() -> bool:
        assert process.poll() is None, installation.said("scheduler-0")
        _, text = await installation.probe("/metrics", number, installation.options.scheduler_metrics_port)
        return "grove_leader 1.0" in text

    await eventually(leads, f"the scheduler leads; {installation.said('scheduler-0')[-2000:]}")
    await api.create(SERVICE_ACCOUNT, "default", {"metadata": {"name": "solo"}})
    container: Json = {"name": "main", "image": "busybox"}
    spec = {"schedulerName": "grove-scheduler", "serviceAccountName": "solo", "containers": [container]}
    await api.create(POD, "default", {"metadata": {"name": "solo"}, "spec": spec})

    async def is_refused() -> bool:
        found = (await api.get(POD, "default", "solo")).get("status", {}).get("conditions", ())
        return any(c["reason"] == "Unschedulable" for c in found)

    await eventually(is_refused, "the lone pod is told that there are no nodes")
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 10) == 0, installation.said("scheduler-0")[-2000:]
    files = sorted(map(str, installation.recordings.iterdir()))
    done = CliRunner().invoke(cli, ["replay", *files])
    assert (done.exit_code, done.output.count(": identical (nodes: 0, ")) == (0, len(files)), done.output
    lease = await api.get(LEASE, installation.options.namespace, "grove-scheduler-leader-election")
    assert not lease["spec"].get("holderIdentity")
    assert "forbidden" not in installation.said("scheduler-0")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 1, "one of the arguments"),
        (["--config", "missing.yaml"], 2, "missing.yaml"),
        (["--version"], 0, "grove-operator 0."),
    ],
)
def test_the_exit_code_tells_what_was_wrong(arguments: list[str], code: int, says: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "grove_operator.kube.operator_main", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "operator" / "src")}
    done = subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, says in done.stdout + done.stderr) == (code, True), done.stderr


def test_a_configuration_with_a_wrong_value_names_it(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump({"logLevel": "loud"}))
    argv = [sys.executable, "-m", "grove_operator.kube.operator_main", "--config", str(config)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "operator" / "src")}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "logLevel" in done.stderr
