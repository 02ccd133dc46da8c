from grove_operator.localcluster.controlplane_bare import BareControlPlane
from tests.support.kubectl import Kubectl


def test_kubectl_reaches_the_server_as_admin_with_the_written_kubeconfig(control_plane: BareControlPlane) -> None:
    assert Kubectl(control_plane.kubeconfig)("auth", "can-i", "*", "*", "--all-namespaces").strip() == "yes"


def test_a_pod_is_accepted_without_a_service_account(control_plane: BareControlPlane) -> None:
    kubectl = Kubectl(control_plane.kubeconfig)
    kubectl("create", "namespace", "bare-pod")
    kubectl("-n", "bare-pod", "run", "lonely", "--image=nothing")
    assert kubectl.get("pod/lonely", "-n", "bare-pod")["status"]["phase"] == "Pending"
