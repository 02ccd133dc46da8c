"""The real Pulumi engine with the stand-in and a real API server: the whole life of a stack, by `grove pulumi`."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from grove_operator.localcluster.controlplane_bare import BareControlPlane
from tests.conformance.standin.collected import garbage_collector
from tests.support.programs import Program

pytestmark = pytest.mark.needs_tools
CANARY = "canary-secret-value"
PROGRAM = """
import pulumi
import pulumi_kubernetes as k8s

size = pulumi.Config().get_int("size") or 1
token = pulumi.Config().require_secret("token")
ns = k8s.core.v1.Namespace("ns", metadata={"name": "engine"})
after = pulumi.ResourceOptions(depends_on=[ns])
k8s.core.v1.Secret("token", metadata={"name": "token", "namespace": "engine"}, string_data={"t": token}, opts=after)
k8s.core.v1.ConfigMap("leaf", metadata={"name": "leaf", "namespace": "engine"}, data={"t": token, "n": "1"}, opts=after)
k8s.apps.v1.Deployment(
    "app",
    metadata={"name": "app", "namespace": "engine", "annotations": {"pulumi.com/skipAwait": "true"}},
    spec={
        "replicas": size,
        "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "c:1"}]}},
    },
    opts=after,
)
"""


@pytest.fixture
def stack(control_plane: BareControlPlane, tmp_path: Path) -> Iterator[Program]:
    with garbage_collector(control_plane.kubeconfig, tmp_path / "gc.log"):
        yield Program(tmp_path, control_plane, PROGRAM, "name: engine\nruntime: python\n")


def test_a_stack_lives_from_preview_to_destroy_and_its_secret_is_never_shown(stack: Program) -> None:
    stack.pulumi("config", "set", "--secret", "token", CANARY)
    assert "kubernetes stand-in, not the official provider" in stack.pulumi("preview", "--diff")
    assert "5 created" in stack.pulumi("up", "--yes", "--skip-preview")
    stack.pulumi("preview", "--expect-no-changes", "--diff")

    stack.pulumi("config", "set", "size", "3")
    assert "1 to update" in stack.pulumi("preview", "--diff")
    assert "1 updated" in stack.pulumi("up", "--yes", "--skip-preview", "--diff")

    assert "5 unchanged" in stack.pulumi("refresh", "--yes", "--expect-no-changes")
    assert "5 deleted" in stack.pulumi("destroy", "--yes", "--skip-preview")

    assert stack.is_silent_about(CANARY, base64.b64encode(CANARY.encode()).decode())


def test_a_program_error_is_pulumis_own_exit_code_and_leaves_no_process(stack: Program) -> None:
    stack.write("raise SystemExit('broken')\n")
    assert "broken" in stack.pulumi("preview", code=255)
    here = str(stack.folder)
    left = subprocess.run(["pgrep", "-f", f"standin_provider.*{here}"], capture_output=True, text=True, check=False)
    assert left.stdout == ""
