"""The generated CRDs on a real kube-apiserver: established, enforced, defaulted, scaled and shown."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from grove_operator.api.crds import DEFINITIONS, all_crds
from grove_operator.api.defaults import schema_defaults
from grove_operator.api.install import InstallOptions, install_manifests
from grove_operator.api.kinds import Json
from grove_operator.api.podcliqueset import PodCliqueSet
from grove_operator.localcluster.controlplane_bare import BareControlPlane
from grove_operator.localcluster.tools import locate
from tests.unit.api.manifests import TOPOLOGY, changed, clique, quickstart

pytestmark = pytest.mark.needs_tools
T = "spec.template"


class Server:
    """kubectl against one API server, in a namespace of this module's own."""

    namespace = "crd-conformance"

    def __init__(self, kubeconfig: Path) -> None:
        self._start = [str(locate("kubectl")), "--kubeconfig", str(kubeconfig), "--namespace", self.namespace]

    def run(self, *args: str, stdin: Json | None = None) -> subprocess.CompletedProcess[str]:
        text = json.dumps(stdin) if stdin is not None else None
        return subprocess.run([*self._start, *args], input=text, capture_output=True, text=True, check=False)

    def read(self, *args: str, stdin: Json | None = None) -> Json:
        done = self.run(*args, "-o", "json", stdin=stdin)
        assert done.returncode == 0, done.stderr
        obj: Json = json.loads(done.stdout)
        return obj

    def table(self, *args: str) -> list[list[str]]:
        done = self.run("get", *args)
        assert done.returncode == 0, done.stderr
        return [line.split() for line in done.stdout.splitlines()]

    def create(self, obj: Json, name: str) -> Json:
        return self.read("create", "-f", "-", stdin=changed(obj, "metadata.name", name))

    def refuses(self, obj: Json) -> str:
        done = self.run("create", "--dry-run=server", "-f", "-", stdin=obj)
        assert done.returncode != 0, f"was accepted: {done.stdout}"
        return done.stderr


@pytest.fixture(scope="module")
def server(control_plane: BareControlPlane) -> Server:
    server = Server(control_plane.kubeconfig)
    crds = {"apiVersion": "v1", "kind": "List", "items": all_crds()}
    assert server.run("apply", "--server-side", "-f", "-", stdin=crds).returncode == 0
    names = [f"crd/{crd['metadata']['name']}" for crd in all_crds()]
    waited = server.run("wait", "--for=condition=Established", "--timeout=60s", *names)
    assert waited.returncode == 0, waited.stderr
    server.run("create", "namespace", server.namespace)
    return server


def bare_pcs() -> Json:
    """A leader/worker set as a user writes it, without defaults."""
    group = {"name": "decode", "cliqueNames": ["leader", "worker"]}
    return {
        "apiVersion": "grove.io/v1alpha1",
        "kind": "PodCliqueSet",
        "metadata": {"name": "web"},
        "spec": {
            "template": {
                "cliques": [clique("router"), clique("leader"), clique("worker", replicas=3)],
                "podCliqueScalingGroups": [group],
                "headlessServiceConfig": {},
                "terminationDelay": "1h30m",
            }
        },
    }


def test_no_schema_has_a_structural_problem(server: Server) -> None:
    for definition in DEFINITIONS:
        crd = server.read("get", "crd", f"{definition.kind.plural}.{definition.kind.group}")
        conditions = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
        assert conditions.get("NonStructuralSchema", "False") == "False"
        assert (conditions["NamesAccepted"], conditions["Established"]) == ("True", "True")


def test_the_server_fills_exactly_the_defaults_that_we_expect(server: Server) -> None:
    stored = server.create(bare_pcs(), "defaults")
    assert stored["spec"] == schema_defaults(PodCliqueSet, bare_pcs())["spec"]


def test_pod_specs_have_kubernetes_own_schema(server: Server) -> None:
    """Unknown fields are pruned (kubectl refuses them: strict check), quantities may be numbers, TCP is filled."""
    place = f"{T}.cliques.0.spec.podSpec"
    container = {"name": "main", "image": "i", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": 2}}}
    stored = server.create(changed(bare_pcs(), place, {"containers": [container]}), "pod-spec")
    container["ports"][0]["protocol"] = "TCP"
    assert stored["spec"]["template"]["cliques"][0]["spec"]["podSpec"] == {"containers": [container]}
    odd = changed(bare_pcs(), place, {"containers": [], "someday": {"x": 1}})
    assert "unknown field" in server.refuses(odd)


def test_kubectl_explains_every_field_down_to_the_containers(server: Server) -> None:
    said = server.run("explain", "podcliqueset.spec.template", "--recursive").stdout
    for field in ("cliqueStartupType", "podCliqueScalingGroups", "topologySpreadConstraints", "ephemeralContainers"):
        assert field in said


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (f"{T}.cliqueStartupType", "Later", "Unsupported value"),
        ("spec.updateStrategy", {"type": "Never"}, "Unsupported value"),
        ("spec.replicas", "2", "must be of type integer"),
        (f"{T}.terminationDelay", "soon", "should match"),
        (f"{T}.cliques.1.name", "router", "Duplicate value"),
        (f"{T}.cliques.0.spec", {"podSpec": {}, "replicas": 1}, "roleName: Required value"),
        (f"{T}.cliques.0.spec.replcas", 1, "unknown field"),
        (f"{T}.topologyConstraint", {"topologyName": "x"}, "topologyConstraint.pack: Required value"),
        (f"{T}.topologyConstraint", {"pack": {}}, "pack needs required, preferred or both"),
        (f"{T}.topologyConstraint", {"pack": {"required": "Rack"}}, "should match"),
        (f"{T}.topologyConstraint", {"pack": {"required": "rack"}, "packDomain": "rack"}, "keep pack.required"),
        (f"{T}.topologyConstraint", {"packDomain": "rack"}, "topologyConstraint.packDomain: Forbidden"),
        (f"{T}.cliques.0.topologyConstraint", {"packDomain": "rack"}, "spec.template.cliques: Forbidden"),
        (
            f"{T}.podCliqueScalingGroups.0.topologyConstraint",
            {"packDomain": "rack"},
            "spec.template.podCliqueScalingGroups: Forbidden",
        ),
    ],
)
def test_the_server_refuses_a_broken_podcliqueset(server: Server, place: str, value: Any, says: str) -> None:
    assert says in server.refuses(changed(bare_pcs(), place, value))


def test_an_object_from_before_the_deprecation_stays_changeable(server: Server) -> None:
    """The rule is for creation: it is lifted, an old object is stored, and it is put back."""
    name = "crd/podcliquesets.grove.io"
    current = server.read("get", name)
    without = copy.deepcopy(current)
    del without["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"]
    old = changed(bare_pcs(), f"{T}.topologyConstraint", {"topologyName": "x", "packDomain": "rack"})
    server.read("replace", "-f", "-", stdin=without)
    try:
        _until(lambda: server.run("create", "-f", "-", stdin=changed(old, "metadata.name", "old")).returncode == 0)
    finally:
        crds = {"apiVersion": "v1", "kind": "List", "items": all_crds()}
        assert server.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=crds).returncode == 0
    _until(lambda: server.run("create", "--dry-run=server", "-f", "-", stdin=old).returncode != 0)
    scaled = server.read("patch", "pcs", "old", "--type=merge", "-p", '{"spec": {"replicas": 2}}')
    assert scaled["spec"]["replicas"] == 2


def _until(claim: Any, tries: int = 60) -> None:
    """The API server takes a moment to serve a changed CRD; each try is a request, bounded by their number."""
    for _ in range(tries):
        if claim():
            return
    raise AssertionError(f"still not so after {tries} requests")


@pytest.mark.parametrize("short", ["pcs", "pclq", "pcsg", "ct", "pg", "pgs", "dgd"])
def test_kubectl_knows_the_short_name(server: Server, short: str) -> None:
    assert server.run("get", short).returncode == 0


@pytest.mark.parametrize(
    ("resource", "selector_path", "spec"),
    [
        ("podcliquesets", "hpaPodSelector", bare_pcs()["spec"]),
        ("podcliques", "hpaPodSelector", {"roleName": "a", "replicas": 2, "podSpec": {"containers": []}}),
        ("podcliquescalinggroups", "selector", {"replicas": 2, "cliqueNames": ["leader"]}),
    ],
)
def test_scaling_goes_through_the_scale_subresource(
    server: Server, resource: str, selector_path: str, spec: Json
) -> None:
    (kind,) = [d.kind for d in DEFINITIONS if d.kind.plural == resource]
    name = f"scale-{resource}"
    server.create({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {}, "spec": spec}, name)
    assert server.run("scale", resource, name, "--replicas=5").returncode == 0
    status = json.dumps({"status": {"replicas": 3, selector_path: "a=b"}})
    server.read("patch", resource, name, "--subresource=status", "--type=merge", "-p", status)
    scale = server.read("get", resource, name, "--subresource=scale")
    assert scale["spec"] == {"replicas": 5}
    assert scale["status"] == {"replicas": 3, "selector": "a=b"}


def test_status_is_written_only_through_its_subresource_and_carries_its_defaults(server: Server) -> None:
    given = changed(bare_pcs(), "status", {"replicas": 7})
    assert "status" not in server.create(given, "status")
    patched = server.read("patch", "pcs", "status", "--subresource=status", "--type=merge", "-p", '{"status":{}}')
    assert patched["status"] == {"availableReplicas": 0, "updatedReplicas": 0}


def test_conditions_of_two_writers_merge_by_type(server: Server) -> None:
    gang = {
        "apiVersion": "scheduler.grove.io/v1alpha1",
        "kind": "PodGang",
        "metadata": {},
        "spec": {"podgroups": [{"name": "a", "podReferences": [], "minReplicas": 1}]},
    }
    server.create(gang, "merged")
    for writer in ("Initialized", "Scheduled"):
        condition = {
            "type": writer,
            "status": "True",
            "reason": "Test",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        part = {**gang, "metadata": {"name": "merged"}, "status": {"phase": "Pending", "conditions": [condition]}}
        del part["spec"]
        applied = server.run(
            "apply", "--server-side", "--subresource=status", f"--field-manager={writer}", "-f", "-", stdin=part
        )
        assert applied.returncode == 0, applied.stderr
    stored = server.read("get", "pg", "merged")
    assert {c["type"] for c in stored["status"]["conditions"]} == {"Initialized", "Scheduled"}


def test_tables_have_groves_columns(server: Server) -> None:
    server.create(bare_pcs(), "columns")
    header = "NAME REPLICAS AVAILABLE UPDATED PCLQS-UPDATED PCLQS-TOTAL PCSGS-UPDATED PCSGS-TOTAL AGE"
    assert server.table("pcs", "columns")[0] == header.split()
    server.create(
        {
            "apiVersion": "grove.io/v1alpha1",
            "kind": "PodClique",
            "metadata": {},
            "spec": {"roleName": "a", "replicas": 2, "minAvailable": 1, "podSpec": {"containers": []}},
        },
        "columns",
    )
    assert server.table("pclq", "columns", "-o", "wide")[0] == (
        ["NAME", "MINAVAIL", "REPLICAS", "READY", "SCHEDULED", "UPDATED", "GATED", "MINBREACHED", "AGE"]
    )
    server.create(TOPOLOGY, "columns")
    header, row = server.table("ct", "columns")
    assert header == ["NAME", "DOMAINS", "AGE"]
    assert row[:2] == ["columns", "zone"], "a column shows the first match of its path, as it does with Grove's CRD"


def test_the_quickstart_is_stored_as_written(server: Server) -> None:
    stored = server.create(quickstart(), "dynamo-grove")
    assert stored["spec"] == quickstart()["spec"]
    assert server.table("dgd", "dynamo-grove")[0] == ["NAME", "READY", "BACKEND", "AGE"]


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        ("spec.services.Frontend.extraPodSpc", {}, "unknown field"),
        ("spec.services.Frontend.replicas", -1, "greater than or equal to 0"),
        ("spec.services.Frontend.multinode", {"nodeCount": 1}, "greater than or equal to 2"),
        ("spec.services.Frontend.sharedMemory", {"disabled": True, "size": "1Gi"}, "no meaning when disabled"),
        ("spec.services.Frontend.eppConfig", {}, "configMapRef or config"),
        ("spec.backendFramework", "jax", "Unsupported value"),
        ("spec.pvcs", [{"create": True, "name": "c"}], "needs name, storageClass, size"),
        ("spec.services", {f"s{i}": {} for i in range(26)}, "at most 25"),
    ],
)
def test_the_server_refuses_a_broken_graph(server: Server, place: str, value: Any, says: str) -> None:
    assert says in server.refuses(changed(quickstart(), place, value))


def test_the_backend_of_a_live_graph_is_fixed(server: Server) -> None:
    server.create(changed(quickstart(), "spec.backendFramework", "vllm"), "fixed")
    done = server.run("patch", "dgd", "fixed", "--type=merge", "-p", '{"spec": {"backendFramework": "sglang"}}')
    assert "backendFramework cannot be changed" in done.stderr


def test_a_typed_clients_server_side_apply_is_accepted(server: Server) -> None:
    typed = changed(changed(bare_pcs(), "status", {}), "metadata.creationTimestamp", None)
    done = server.run("apply", "--server-side", "-f", "-", stdin=changed(typed, "metadata.name", "typed"))
    assert done.returncode == 0, done.stderr


def test_every_installation_manifest_is_accepted(server: Server) -> None:
    """All but the namespaced ones' creation is tried dry: the webhooks would refuse everything after them."""
    options = InstallOptions(service_external_name="localhost", config={"authorizer": {"enabled": True}})
    first, *others = install_manifests(options)
    assert server.run("apply", "-f", "-", stdin=first).returncode == 0
    bundle = {"apiVersion": "v1", "kind": "List", "items": others}
    done = subprocess.run(
        [*server._start[:-2], "apply", "--server-side", "--dry-run=server", "-f", "-"],
        input=json.dumps(bundle),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
