"""Changes of what is there already, with the real engine on a control plane that has our CRDs and nothing behind them.

Nobody runs the pods here, so nothing is waited for: these are claims about what is sent, kept and left alone.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grove_operator.api.crds import all_crds
from grove_operator.localcluster.controlplane_bare import BareControlPlane, bare_control_plane
from tests.conformance.standin.collected import garbage_collector
from tests.support.fleets import DUMMY_DIGEST, set_config
from tests.support.kubectl import Kubectl
from tests.support.programs import Program
from tests.support.project import MUTATING, Project, failed_resources

pytestmark = pytest.mark.needs_tools
CANARY = "canary-in-an-environment"
SETS = "podcliquesets.grove.io"
OFFICIAL = shutil.which("pulumi-resource-kubernetes") or ""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareControlPlane]:
    """A control plane of its own: CRDs and an operator's Deployment, as somebody else's installation left them."""
    root = tmp_path_factory.mktemp("changes")
    with bare_control_plane(root) as running:
        kubectl = Kubectl(running.kubeconfig)
        kubectl("create", "-f", "-", stdin="\n---\n".join(json.dumps(crd) for crd in all_crds()))
        kubectl.until_served(len(all_crds()))
        kubectl("create", "namespace", "grove-system")
        kubectl("create", "deployment", "grove-operator", "-n", "grove-system", "--image=nvidia/grove-operator")
        yield running


@pytest.fixture(scope="module")
def kubectl(plane: BareControlPlane) -> Kubectl:
    return Kubectl(plane.kubeconfig)


def one_set(name: str, *, image: str = "i:1", aliases: str = "None", autoscaled: bool = True) -> str:
    """A program with the PodCliqueSet `web`; `name` is the component's, `aliases` its options'."""
    return f"""
import pulumi
from grove_components import PodCliqueSet, Role, aggregated

token = pulumi.Config().require_secret("token")
worker = Role(image={image!r}, replicas=2, env={{"TOKEN": token}})
PodCliqueSet(
    {name!r}, object_name="web", namespace="default", spec=aggregated(worker, replicas=2), wait="none",
    autoscaled={autoscaled}, opts=pulumi.ResourceOptions(aliases={aliases}),
)
"""


def lasting_writes(kubectl: Kubectl) -> int:
    """Mutating requests of Pulumi's resources that the API server has carried out, dry runs left out."""
    counted = 0
    for line in kubectl("get", "--raw", "/metrics").splitlines():
        if line.startswith("apiserver_request_total{"):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
            if labels["verb"] in MUTATING and not labels["dry_run"] and labels["resource"] == "podcliquesets":
                counted += int(float(line.rsplit(" ", 1)[1]))
    return counted


def test_a_set_is_scaled_by_others_updated_renamed_and_never_tells_its_secret(
    plane: BareControlPlane, kubectl: Kubectl, tmp_path: Path
) -> None:
    program = Program(tmp_path, plane, one_set("web"), "name: changes\nruntime: python\n")
    program.pulumi("config", "set", "--secret", "token", CANARY)
    before = lasting_writes(kubectl)
    program.pulumi("preview", "--diff")
    assert lasting_writes(kubectl) == before
    program.pulumi("up", "--yes", "--skip-preview", "--diff")
    born = kubectl.get("pcs", "web")["metadata"]["uid"]

    kubectl("scale", "pcs", "web", "--replicas=5")
    program.pulumi("preview", "--expect-no-changes")
    program.write(one_set("web", image="i:2"))
    assert "1 to update" in program.pulumi("preview", "--diff")
    program.pulumi("up", "--yes", "--skip-preview", "--diff")
    live = kubectl.get("pcs", "web")
    assert live["spec"]["replicas"] == 5
    assert live["spec"]["template"]["cliques"][0]["spec"]["podSpec"]["containers"][0]["image"] == "i:2"
    program.pulumi("refresh", "--yes")
    program.pulumi("preview", "--expect-no-changes")

    program.write(one_set("site", image="i:2", aliases='[pulumi.Alias(name="web")]'))
    program.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    assert "PodCliqueSet::site" in program.exported()
    assert kubectl.get("pcs", "web")["metadata"]["uid"] == born
    with garbage_collector(plane.kubeconfig, tmp_path / "gc.log"):
        program.pulumi("destroy", "--yes", "--skip-preview")
    assert program.is_silent_about(CANARY, base64.b64encode(CANARY.encode()).decode())


def test_replicas_that_the_program_owns_are_not_given_up(
    plane: BareControlPlane, kubectl: Kubectl, tmp_path: Path
) -> None:
    """The counterpart: without `autoscaled`, scaling by hand is a conflict that the next update names."""
    program = Program(tmp_path, plane, one_set("web", autoscaled=False), "name: owned\nruntime: python\n")
    program.pulumi("config", "set", "--secret", "token", CANARY)
    program.pulumi("up", "--yes", "--skip-preview")
    kubectl("scale", "pcs", "web", "--replicas=5")
    program.write(one_set("web", image="i:2", autoscaled=False))
    assert ".spec.replicas; another manager owns these fields" in program.pulumi(
        "up", "--yes", "--skip-preview", code=255
    )
    kubectl("delete", "pcs", "web", "--cascade=background")


@pytest.mark.skipif(not OFFICIAL, reason="Pulumi's official kubernetes provider is not on PATH")
def test_a_stack_made_with_the_standin_shows_no_change_under_the_official_provider(
    plane: BareControlPlane, kubectl: Kubectl, tmp_path: Path
) -> None:
    program = Program(tmp_path, plane, one_set("web"), "name: handover\nruntime: python\n")
    program.pulumi("config", "set", "--secret", "token", CANARY)
    whole = program.path
    program.path = os.pathsep.join(p for p in whole.split(os.pathsep) if Path(p) != Path(OFFICIAL).parent)
    assert "stand-in" in program.pulumi("up", "--yes", "--skip-preview")
    program.path = whole
    assert "stand-in" not in program.pulumi("preview", "--expect-no-changes")
    kubectl("delete", "pcs", "web", "--cascade=background")


def without_rules(node: Any) -> Any:
    """A schema without its CEL rules, which may speak of the field that is going to be taken out."""
    if isinstance(node, dict):
        return {key: without_rules(value) for key, value in node.items() if key != "x-kubernetes-validations"}
    return [without_rules(item) for item in node] if isinstance(node, list) else node


@pytest.fixture
def h100(plane: BareControlPlane, tmp_path: Path) -> Project:
    """The h100 stack for somebody else's installation, its workload not waited for."""
    project = Project.copy_to(tmp_path, tmp_path / "home", plane.kubeconfig, stack="h100")
    workloads = project.read_stack()["config"]["grove:workloads"]
    set_config(
        project, operator={"install": "existing"}, workloads=[{**workload, "wait": "none"} for workload in workloads]
    )
    return project


def test_an_existing_installation_is_used_and_left_as_it_is(
    plane: BareControlPlane, kubectl: Kubectl, h100: Project, tmp_path: Path
) -> None:
    def installation() -> dict[str, str]:
        objects = kubectl.get("crd")["items"] + [kubectl.get("deployment", "grove-operator", "-n", "grove-system")]
        return {o["metadata"]["name"]: o["metadata"]["resourceVersion"] for o in objects}

    before = installation()
    h100.pulumi("up", "--yes", "--skip-preview")
    h100.pulumi("preview", "--expect-no-changes")
    assert kubectl.get("pcs", "llama-70b", "-n", "llama")["spec"]["replicas"] == 2
    with garbage_collector(plane.kubeconfig, tmp_path / "gc.log"):
        h100.pulumi("destroy", "--yes", "--skip-preview")
    assert installation() == before


def test_older_crds_are_one_error_before_anything_is_made(kubectl: Kubectl, h100: Project) -> None:
    newer = kubectl.get("crd", SETS)
    older: Any = without_rules(newer)
    template = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["template"]
    del template["properties"]["topologyConstraint"]
    before = kubectl("get", "ns,pcs,clustertopologybindings", "-A", "-o", "name")
    kubectl("replace", "-f", "-", stdin=json.dumps({**older, "metadata": {"name": SETS}, "status": None}))
    try:
        for command in (("preview",), ("up", "--yes", "--skip-preview")):
            done = h100.try_pulumi(*command)
            assert done.code != 0, done.text
            assert f"{SETS} is older than this program: it doesn't know spec.template.topologyConstraint" in done.text
            assert "Traceback" not in done.text, done.text
        assert kubectl("get", "ns,pcs,clustertopologybindings", "-A", "-o", "name") == before
    finally:
        kubectl("replace", "-f", "-", stdin=json.dumps({**newer, "metadata": {"name": SETS}, "status": None}))


def test_an_installation_that_isnt_there_is_said_at_preview(kubectl: Kubectl, h100: Project) -> None:
    set_config(h100, operator={"install": "existing", "namespace": "elsewhere"})
    done = h100.try_pulumi("preview")
    assert done.code != 0
    assert "elsewhere/grove-operator" in done.text
    assert "Traceback" not in done.text, done.text


def test_crds_of_somebody_else_are_one_error_and_nothing_is_made(kubectl: Kubectl, h100: Project) -> None:
    """A stack that installs its own, without grove:adoptCrds."""
    set_config(h100, operator={"image": DUMMY_DIGEST})
    before = kubectl("get", "ns,crd,clusterrole", "-o", "name")
    done = h100.try_pulumi("up", "--yes", "--skip-preview")
    assert done.code != 0
    assert failed_resources(done.text) == {f"crds-{SETS}"}, done.text
    assert f"CustomResourceDefinition {SETS} already exists" in done.text
    assert kubectl("get", "ns,crd,clusterrole", "-o", "name") == before
