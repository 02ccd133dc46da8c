"""Names of pods and Services in the hosts files of real containers."""

from __future__ import annotations

from pathlib import Path

from grove_operator.api.kinds import Json
from grove_operator.localcluster.agent.hosts import HostsFiles, entries, hosts_file


def pod(name: str, ip: str, *, ready: bool = True, hostname: str = "", namespace: str = "ns", **labels: str) -> Json:
    spec = {"hostname": hostname, "subdomain": "g-0"} if hostname else {}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    meta = {"name": name, "namespace": namespace, "labels": labels}
    return {"metadata": meta, "spec": spec, "status": {"podIP": ip, "conditions": conditions}}


def service(name: str, namespace: str = "ns", **selector: str) -> Json:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"selector": selector}}


def test_a_pod_with_hostname_and_subdomain_is_known_even_before_it_is_ready() -> None:
    pods = [pod("a", "127.1.0.1", ready=False, hostname="g-0-d-ldr-0"), pod("b", "127.1.0.2"), pod("c", "")]
    assert entries(pods, [], {"ns"}) == [("ns", "g-0-d-ldr-0.g-0", "127.1.0.1")]


def test_a_service_is_the_first_ready_pod_that_it_selects_in_its_namespace() -> None:
    pods = [
        pod("a", "127.1.0.1", ready=False, app="x"),
        pod("c", "127.1.0.3", app="x"),
        pod("b", "127.1.0.2", app="x"),
        pod("d", "127.1.0.4", app="y"),
        pod("e", "127.1.0.5", namespace="other", app="x"),
    ]
    assert entries(pods, [service("s", app="x"), service("none", app="z"), service("all")], {"ns"}) == [
        ("ns", "s", "127.1.0.2")
    ]


def test_a_namespace_without_a_real_container_has_no_names() -> None:
    pods = [pod("a", "127.1.0.1", hostname="h", namespace="pretended", app="x")]
    assert entries(pods, [service("s", "pretended", app="x")], {"ns"}) == []


def test_short_names_are_for_the_same_namespace() -> None:
    known = [("ns", "s", "127.1.0.2")]
    assert "127.1.0.2 s.ns.svc.cluster.local s.ns.svc s.ns s\n" in hosts_file("ns", known)
    assert "127.1.0.2 s.ns.svc.cluster.local s.ns.svc s.ns\n" in hosts_file("other", known)


def test_a_file_is_rewritten_in_place_so_that_a_mount_of_it_follows(tmp_path: Path) -> None:
    files = HostsFiles(tmp_path / "hosts")
    path = files.path("ns")
    with path.open() as mounted:
        assert "localhost" in mounted.read()
        files.update([("ns", "much-longer-than-before", "127.1.0.2")])
        mounted.seek(0)
        assert "much-longer-than-before.ns" in mounted.read()
        files.update([])
        mounted.seek(0)
        assert mounted.read() == hosts_file("ns", [])
