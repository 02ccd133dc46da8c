"""A cluster that can't be used: one clear error, before anything is changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from grove_operator.localcluster.controlplane_bare import BareControlPlane
from tests.support.kubectl import Kubectl
from tests.support.ports import free_ports
from tests.support.project import Finished, Project, failed_resources

pytestmark = pytest.mark.needs_tools


def refused(tmp_path: Path, kubeconfig: Path, *command: str) -> Finished:
    """What `grove pulumi -- COMMAND` of the local stack says on that cluster; it must fail."""
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project.copy_to(folder, tmp_path / "home", kubeconfig)
    done = project.try_pulumi(*command)
    assert done.code != 0
    assert "Traceback" not in done.text
    return done


def changed(kubeconfig: Path, path: Path, **user: str) -> Path:
    """A copy of a kubeconfig with another server (`server=`) or another user's token (`token=`)."""
    config = yaml.safe_load(kubeconfig.read_text())
    if server := user.pop("server", None):
        config["clusters"][0]["cluster"]["server"] = server
    if user:
        config["users"][0]["user"] = user
    path.write_text(yaml.safe_dump(config))
    return path


def test_a_cluster_that_does_not_answer_is_named(control_plane: BareControlPlane, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    server = f"https://127.0.0.1:{port}"
    done = refused(tmp_path, changed(control_plane.kubeconfig, tmp_path / "dead", server=server), "preview")
    assert server in done.text


def test_a_missing_right_is_named_with_its_user_and_nothing_is_made(
    control_plane: BareControlPlane, tmp_path: Path
) -> None:
    kubectl = Kubectl(control_plane.kubeconfig)
    kubectl("create", "namespace", "rights")
    kubectl("create", "serviceaccount", "guest", "-n", "rights")
    token = kubectl("create", "token", "guest", "-n", "rights").strip()
    before = kubectl("get", "crd,ns", "-o", "name")
    guest = changed(control_plane.kubeconfig, tmp_path / "guest", token=token)
    done = refused(tmp_path, guest, "up", "--yes", "--skip-preview")
    missing = 'User "system:serviceaccount:rights:guest" cannot create resource "customresourcedefinitions"'
    assert missing in done.text, done.text
    assert failed_resources(done.text) == {"crds-podcliquesets.grove.io"}
    assert kubectl("get", "crd,ns", "-o", "name") == before
