"""KWOK, built and configured as the local cluster does it, against a real API server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from grove_operator.localcluster.controlplane_bare import BareControlPlane
from grove_operator.localcluster.controlplane_kwok import kwok, write_kwok_config
from grove_operator.localcluster.pki import Pki
from grove_operator.localcluster.supervisor_children import Children
from grove_operator.localcluster.tools import locate
from tests.support.kubectl import Kubectl
from tests.support.ports import free_ports

NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "kwok-0", "annotations": {"kwok.x-k8s.io/node": "fake"}},
    "status": {"capacity": {"cpu": "8", "memory": "8Gi", "pods": "10"}},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "played", "namespace": "default"},
    "spec": {
        "nodeName": "kwok-0",
        "initContainers": [{"name": "first", "image": "nothing"}],
        "containers": [{"name": "main", "image": "nothing"}],
    },
}


@pytest.fixture(scope="module")
def played(control_plane: BareControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    root: Path = tmp_path_factory.mktemp("kwok")
    pki = Pki(control_plane.root / "pki")
    pki.kubeconfig("node-agent").write_text(control_plane.kubeconfig.read_text())
    write_kwok_config(root / "kwok.yaml")
    children = Children(root, root / "logs")
    try:
        children.wait_until_well(children.start(kwok(locate("kwok"), pki, root / "kwok.yaml", free_ports(1)[0])))
        yield Kubectl(control_plane.kubeconfig)
    finally:
        children.stop()


def test_kwok_makes_its_nodes_ready_and_their_pods_running(played: Kubectl) -> None:
    played("apply", "--server-side", "-f", "-", stdin=json.dumps(NODE))
    played("wait", "--for=condition=Ready", "node/kwok-0", "--timeout=60s")
    assert played.get("node/kwok-0")["status"]["capacity"]["cpu"] == "8"
    played("create", "-f", "-", stdin=json.dumps(POD))
    played("wait", "--for=condition=Ready", "pod/played", "--timeout=60s")
    status = played.get("pod/played")["status"]
    assert status["phase"] == "Running"
    assert status["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    played("delete", "pod/played", "--timeout=60s")
