"""kubectl explain, get and scale behave as with Grove's own CRDs; the installer brings them up to date, and no more."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from grove_operator.api.crds import all_crds
from grove_operator.api.kinds import CRD, Json
from grove_operator.cli.main import cli
from grove_operator.kube.client import HttpKubeApi
from grove_operator.localcluster.controlplane_bare import BareControlPlane
from grove_operator.localcluster.tools import locate
from tests.conformance.grove.fields import FIELDS
from tests.support.servers import serve_crds
from tests.unit.api.manifests import TOPOLOGY, everything

pytestmark = pytest.mark.needs_tools
NAMESPACE = "habits"


class Kubectl:
    def __init__(self, kubeconfig: Path) -> None:
        self._start = [str(locate("kubectl")), "--kubeconfig", str(kubeconfig), "-n", NAMESPACE]

    def __call__(self, *args: str, stdin: Json | None = None) -> str:
        text = json.dumps(stdin) if stdin is not None else None
        done = subprocess.run([*self._start, *args], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def objects() -> list[Json]:
    """One of each kind of Grove's."""
    group, scheduler = "grove.io/v1alpha1", "scheduler.grove.io/v1alpha1"
    pods = {"roleName": "a", "replicas": 2, "minAvailable": 1, "podSpec": {"containers": [{"name": "m", "image": "i"}]}}
    gang = {"podgroups": [{"name": "a", "podReferences": [], "minReplicas": 1}]}
    return [
        {**everything(), "metadata": {"name": "one"}},
        {"apiVersion": group, "kind": "PodClique", "metadata": {"name": "one"}, "spec": pods},
        {
            "apiVersion": group,
            "kind": "PodCliqueScalingGroup",
            "metadata": {"name": "one"},
            "spec": {"replicas": 1, "cliqueNames": ["a"]},
        },
        {"apiVersion": scheduler, "kind": "PodGang", "metadata": {"name": "one"}, "spec": gang},
        {**TOPOLOGY, "metadata": {"name": "one"}},
    ]


@pytest.fixture(scope="module")
def kubectl(control_plane: BareControlPlane) -> Kubectl:
    async def serve() -> None:
        async with HttpKubeApi.from_kubeconfig(control_plane.kubeconfig) as api:
            await serve_crds(api)

    asyncio.run(serve())
    kubectl = Kubectl(control_plane.kubeconfig)
    kubectl("create", "namespace", NAMESPACE)
    for obj in objects():
        kubectl("create", "-f", "-", stdin=obj)
    return kubectl


def test_explain_shows_every_field_of_the_template(kubectl: Kubectl) -> None:
    said = kubectl("explain", "podcliqueset.spec.template", "--recursive")
    shown = {line.split("\t")[0].strip() for line in said.splitlines()}
    prefix = "spec.template."
    for line in FIELDS["podcliquesets"].strip().splitlines():
        place = line.split()[0]
        if place.startswith(prefix) and "{" not in place:
            assert place.rsplit(".", 1)[1].removesuffix("[]") in shown, place


def test_explain_tells_what_a_field_means_and_what_it_may_be(kubectl: Kubectl) -> None:
    said = kubectl("explain", "pcs.spec.template.cliqueStartupType")
    assert "CliqueStartupTypeInOrder" in said
    assert "Fixed at creation." in " ".join(said.split())
    assert "<integer>" in kubectl("explain", "pclq.spec.podSpec.containers.ports.containerPort")


def test_one_get_of_all_short_names(kubectl: Kubectl) -> None:
    """`kubectl get pcs,pclq,pcsg,pg,ct` shows one of each."""
    lines = kubectl("get", "pcs,pclq,pcsg,pg,ct", "--no-headers").splitlines()
    assert [name for line in lines if line and (name := line.split()[0]).endswith("/one")] == [
        "podcliqueset.grove.io/one",
        "podclique.grove.io/one",
        "podcliquescalinggroup.grove.io/one",
        "podgang.scheduler.grove.io/one",
        "clustertopologybinding.grove.io/one",
    ]


@pytest.mark.parametrize("short", ["pcs", "pclq", "pcsg"])
def test_scale_by_the_short_name(kubectl: Kubectl, short: str) -> None:
    assert "scaled" in kubectl("scale", short, "one", "--replicas=7")
    assert kubectl("get", short, "one", "-o", "jsonpath={.spec.replicas}") == "7"
    assert "scaled" in kubectl("scale", short, "one", "--current-replicas=7", "--replicas=0")


def test_the_installer_brings_up_to_date_what_differs_and_nothing_else(
    kubectl: Kubectl, control_plane: BareControlPlane
) -> None:
    async def spoil() -> None:
        async with HttpKubeApi.from_kubeconfig(control_plane.kubeconfig) as api:
            versions = (await api.get(CRD, None, "podgangs.scheduler.grove.io"))["spec"]["versions"]
            versions[0]["additionalPrinterColumns"] = versions[0]["additionalPrinterColumns"][1:]
            await api.patch(CRD, None, "podgangs.scheduler.grove.io", {"spec": {"versions": versions}})

    def install() -> dict[str, str]:
        done = CliRunner().invoke(cli, ["crds", "--install", "--kubeconfig", str(control_plane.kubeconfig)])
        assert done.exit_code == 0, done.output
        return dict(line.rsplit(" ", 1) for line in done.output.splitlines())

    assert install().keys() == {crd["metadata"]["name"] for crd in all_crds()}
    assert set(install().values()) == {"unchanged"}
    asyncio.run(spoil())
    changed = {name: change for name, change in install().items() if change != "unchanged"}
    assert changed == {"podgangs.scheduler.grove.io": "updated"}
    assert "PHASE" in kubectl("get", "pg")
