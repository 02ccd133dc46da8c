import socket
from dataclasses import astuple
from pathlib import Path

import pytest

from grove_operator.localcluster import controlplane
from grove_operator.localcluster.controlplane import Component, choose_ports, free_ports, is_port_free
from grove_operator.localcluster.controlplane_kwok import kwok, stages
from grove_operator.localcluster.pki import Pki

PKI = Pki(Path("/pki"))
PORTS = choose_ports()
PROGRAM = Path("/bin/program")
ALL = [
    controlplane.etcd(PROGRAM, PORTS, Path("/data")),
    controlplane.kube_apiserver(PROGRAM, PORTS, PKI),
    controlplane.kube_controller_manager(PROGRAM, PORTS, PKI),
    controlplane.kube_scheduler(PROGRAM, PORTS, PKI, Path("/config")),
    kwok(PROGRAM, PKI, Path("/config"), PORTS.kwok),
]


def flag(component: Component, name: str) -> str:
    return next(arg.partition("=")[2] for arg in component.argv if arg.startswith(f"--{name}="))


def test_ports_are_distinct_and_the_chosen_one_is_the_api_servers() -> None:
    assert len(set(astuple(choose_ports()))) == len(astuple(PORTS))
    assert choose_ports(7443).apiserver == 7443
    assert choose_ports(7443).server == "https://127.0.0.1:7443"


def test_a_port_somebody_listens_on_is_not_free_on_any_address() -> None:
    (port,) = free_ports(1)
    assert is_port_free(port)
    for address in ("127.0.0.1", "0.0.0.0"):
        with socket.create_server((address, port)):
            assert not is_port_free(port)
    assert is_port_free(port)


@pytest.mark.parametrize("component", ALL, ids=lambda component: component.name)
def test_every_component_listens_on_loopback_alone(component: Component) -> None:
    for arg in component.argv:
        name, _, value = arg.partition("=")
        if name == "--bind-address":
            assert value == "127.0.0.1"
        elif "listen" in name:
            assert value.startswith("http://127.0.0.1:")
        elif name == "--server-address":
            assert value.startswith("127.0.0.1:")


def test_each_controller_acts_under_its_own_service_account() -> None:
    manager = ALL[2]
    assert flag(manager, "use-service-account-credentials") == "true"
    assert flag(manager, "root-ca-file") == "/pki/ca.crt"
    needed = {"deployment", "replicaset", "garbage-collector", "serviceaccount", "serviceaccount-token", "namespace"}
    needed |= {"horizontal-pod-autoscaler", "endpointslice", "node-lifecycle", "resourceclaim"}
    needed |= {"root-ca-certificate-publisher"}
    assert {f"{name}-controller" for name in needed} <= set(flag(manager, "controllers").split(","))


def test_only_a_server_without_controllers_takes_pods_without_a_service_account() -> None:
    bare = controlplane.kube_apiserver(PROGRAM, PORTS, PKI, has_controllers=False)
    assert flag(bare, "disable-admission-plugins") == "ServiceAccount"
    assert not any("disable-admission" in arg for arg in ALL[1].argv)


def test_kwok_touches_only_annotated_nodes() -> None:
    assert flag(ALL[4], "manage-nodes-with-annotation-selector") == "kwok.x-k8s.io/node=fake"
    assert [stage["metadata"] for stage in stages()] == [
        {"name": "node-ready"},
        {"name": "pod-running"},
        {"name": "pod-gone"},
    ]
