import subprocess

from grove_operator.localcluster.controlplane_bare import BareControlPlane
from grove_operator.localcluster.tools import locate


def kubectl(plane: BareControlPlane, *args: str) -> str:
    command = [str(locate("kubectl")), "--kubeconfig", str(plane.kubeconfig), *args]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_kubectl_reaches_the_server_as_admin_with_the_written_kubeconfig(control_plane: BareControlPlane) -> None:
    assert kubectl(control_plane, "auth", "can-i", "*", "*", "--all-namespaces").strip() == "yes"


def test_a_pod_is_accepted_without_a_service_account(control_plane: BareControlPlane) -> None:
    kubectl(control_plane, "create", "namespace", "bare-pod")
    kubectl(control_plane, "-n", "bare-pod", "run", "lonely", "--image=nothing")
    assert kubectl(control_plane, "-n", "bare-pod", "get", "pod", "lonely", "-o", "name").strip() == "pod/lonely"
