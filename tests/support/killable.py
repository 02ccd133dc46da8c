"""A local cluster of which every process can be killed and started again: operator and scheduler, API server and etcd.

    etcd  <-  kube-apiserver  <-  kube-controller-manager, node agent, operator(s), scheduler(s)

The programs, CRDs, RBAC and webhook configurations are those of `grove up` and of an installation; only nobody restarts
anything but the test. Operators and schedulers run under their own service accounts.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from grove_operator.api import install
from grove_operator.api.crds import all_crds
from grove_operator.api.install import InstallOptions
from grove_operator.api.kinds import DEPLOYMENT, LEASE, NODE, Json
from grove_operator.engine.ports import ApiError, NotFound
from grove_operator.kube.client import HttpKubeApi
from grove_operator.localcluster import controlplane
from grove_operator.localcluster.controlplane import Component, choose_ports
from grove_operator.localcluster.controlplane_bare import BareControlPlane
from grove_operator.localcluster.pki import USERS, ensure_pki, write_kubeconfig
from grove_operator.localcluster.supervisor_children import Child, Children
from grove_operator.localcluster.tools import locate
from tests.support.installation import Installation, apply
from tests.support.operated import REAL_PYTHON, Operated
from tests.support.placing import until
from tests.support.ports import free_ports

QUICK_LEASE = {"leaseDuration": "7s", "renewDeadline": "6s", "retryPeriod": "500ms"}
"""A successor of a killed leader waits for 7 s instead of 15."""
AGAIN_S = 10.0
"""A kubelet starts a container that ended at once, and one that ends again after this time."""
RACKS, HOSTS, GPUS = 8, 4, 8
OPERATOR, SCHEDULER = "operator_main", "scheduler_main"
LEASES = {OPERATOR: "grove-operator-leader-election", SCHEDULER: "grove-scheduler-leader-election"}


@dataclass
class Killable:
    """`grove`: what it runs by module, the newest last. `components`: the others by name."""

    operated: Operated
    installation: Installation
    children: Children
    components: dict[str, Child]
    grove: dict[str, list[subprocess.Popen[bytes]]] = field(default_factory=lambda: {OPERATOR: [], SCHEDULER: []})
    names: dict[int, str] = field(default_factory=dict)
    """Of every process of `grove` by its id; also the beginning of its identity in the Lease."""
    held_down: set[str] = field(default_factory=set)
    """What is not started again just now."""

    def start(self, module: str) -> subprocess.Popen[bytes]:
        """Also beside one that runs: that is a standby."""
        name = f"{module.partition('_')[0]}-{len(self.installation.processes)}"
        process = self.installation.start(name, module)
        self.grove[module].append(process)
        self.names[process.pid] = name
        return process

    def kill(self, module: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Every process of that kind, and wait until they are gone."""
        for process in self.alive(module):
            process.send_signal(number)
        for process in self.grove[module]:
            process.wait(30)

    def alive(self, module: str) -> list[subprocess.Popen[bytes]]:
        return [process for process in self.grove[module] if process.poll() is None]

    async def hold_down(self, module: str, seconds: float) -> None:
        """SIGKILL, and not started again for so long."""
        self.held_down.add(module)
        self.kill(module)
        await asyncio.sleep(seconds)
        self.held_down.discard(module)

    @asynccontextmanager
    async def kept_running(self) -> AsyncIterator[None]:
        """Operator and scheduler are started again when they end, as a kubelet does it."""
        keepers = [asyncio.create_task(self._keep(module)) for module in self.grove]
        try:
            yield
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)

    async def _keep(self, module: str) -> None:
        own_end = 0.0
        while True:
            await asyncio.sleep(0.1)
            if self.alive(module) or module in self.held_down:
                continue
            if self.grove[module][-1].returncode != -signal.SIGKILL:
                await asyncio.sleep(own_end)
                own_end = AGAIN_S
            self.start(module)

    def crash(self, name: str) -> Component:
        """SIGKILL to etcd or the API server; what to `bring_back`."""
        child = self.components[name]
        child.process.kill()
        child.process.wait()
        return child.component

    async def bring_back(self, component: Component) -> None:
        """Returns when it is well. Started in this thread, whose end would take it along."""
        child = self.components[component.name] = self.children.start(component)
        await asyncio.to_thread(self.children.wait_until_well, child)

    def said(self, module: str) -> str:
        """The end of what the newest process of that kind said."""
        return self.installation.said(self.names[self.grove[module][-1].pid])[-3000:]

    async def holder(self, api: HttpKubeApi, module: str) -> str:
        """Name of the process that holds the Lease, "" when none does."""
        try:
            lease = await api.get(LEASE, self.installation.options.namespace, LEASES[module])
        except NotFound:
            return ""
        return str(lease["spec"].get("holderIdentity") or "").partition("_")[0]

    async def leads(self, api: HttpKubeApi, module: str, process: subprocess.Popen[bytes]) -> None:
        """Wait until that process holds its Lease."""

        async def is_holder() -> bool:
            assert process.poll() is None, f"it ended with {process.returncode}: {self.said(module)}"
            return await self.holder(api, module) == self.names[process.pid]

        await until(is_holder, lambda: f"{self.names[process.pid]} leads; {self.said(module)}")

    async def ensure_running(self) -> None:
        """One operator and one scheduler, both leading, and admission that answers: what each test begins with."""
        async with HttpKubeApi.from_kubeconfig(self.operated.kubeconfig) as api:
            for module in (OPERATOR, SCHEDULER):
                if not self.alive(module):
                    self.start(module)
                await self.leads(api, module, self.alive(module)[0])

            async def admits() -> bool:
                """A wrong object is refused by our webhook, and not because nobody answers."""
                try:
                    await api.raw("POST", "/apis/grove.io/v1alpha1/namespaces/default/podcliquesets", body=WRONG)
                except ApiError as error:
                    return "minAvailable" in str(error)
                return False

            await until(admits, lambda: f"admission answers; {self.said(OPERATOR)}")


_POD = {"containers": [{"name": "main", "image": "x"}]}
WRONG: Any = {
    "apiVersion": "grove.io/v1alpha1",
    "kind": "PodCliqueSet",
    "metadata": {"name": "wrong"},
    "spec": {
        "template": {
            "cliques": [{"name": "a", "spec": {"roleName": "a", "replicas": 1, "minAvailable": 2, "podSpec": _POD}}]
        }
    },
}


@contextmanager
def killable_cluster(
    root: Path, lease: Mapping[str, str] | None = None, older: Callable[[InstallOptions], list[Json]] | None = None
) -> Iterator[Killable]:
    """8 racks of 4 nodes of 8 GPUs, CRDs and all but Deployments installed; no operator and no scheduler runs yet.

    `lease`: the durations of leader election where they aren't to be the usual ones. `older`: the CRDs and manifests of
    another version.
    """
    pki, ports = ensure_pki(root / "pki"), choose_ports()
    kubeconfigs = {user: pki.kubeconfig(user) for user in USERS} | {"admin": root / "kubeconfig"}
    for user, path in kubeconfigs.items():
        token = pki.token(user)
        write_kubeconfig(
            path, cluster="killable", server=ports.server, ca=pki.ca, user=USERS[user][0], token=token
        )  # fmt: skip
    fleet = root / "fleet.yaml"
    fleet.write_text(yaml.safe_dump(_fleet()))
    children = Children(root, root / "logs")
    components: dict[str, Child] = {}
    plane = BareControlPlane(root, ports.server, pki.ca, root / "kubeconfig", pki.token("admin"))
    options = _options(lease or {})
    installation = Installation(plane, options, root / "config.yaml")
    try:
        for component in (
            controlplane.etcd(locate("etcd"), ports, root / "etcd"),
            controlplane.kube_apiserver(locate("kube-apiserver"), ports, pki),
            controlplane.kube_controller_manager(locate("kube-controller-manager"), ports, pki),
            controlplane.node_agent(ports, pki, fleet, root / "agent"),
        ):
            components[component.name] = children.start(component)
            children.wait_until_well(components[component.name])
        manifests = [m for m in (older or ours)(options) if m["kind"] != DEPLOYMENT.kind]
        installation.config.write_text(config_of(manifests))
        asyncio.run(apply(plane, manifests))
        asyncio.run(_nodes_are_ready(plane.kubeconfig))
        yield Killable(Operated(root, plane.kubeconfig), installation, children, components)
    finally:
        for process in (*installation.processes, *(child.process for child in components.values())):
            process.kill()  # nothing of it is needed any more, and an API server waits a minute for its watches
            process.wait()
        children.stop()


def ours(options: InstallOptions) -> list[Json]:
    """What `grove` would install."""
    return [*all_crds(), *install.install_manifests(options)]


def config_of(manifests: Sequence[Json]) -> str:
    config: str = next(m["data"]["config.yaml"] for m in manifests if m["kind"] == "ConfigMap")
    return config


def _options(lease: Mapping[str, str]) -> InstallOptions:
    ports = free_ports(5)
    return InstallOptions(
        webhook_port=ports[0],
        health_port=ports[1],
        metrics_port=ports[2],
        scheduler_health_port=ports[3],
        scheduler_metrics_port=ports[4],
        service_external_name="localhost",
        config={"logFormat": "text", "leaderElection": dict(lease)},
    )


def _fleet() -> dict[str, Any]:
    tree = {"zones": 1, "blocks": 2, "racks": RACKS // 2, "hosts": HOSTS}
    names = {"zone": "z", "block": "b{block_index}", "rack": "{block}-r{rack_index}", "host": "{rack}-h{host_index}"}
    labels = {f"topology.kubernetes.io/{level}": f"{{{level}}}" for level in ("zone", "block", "rack")}
    capacity = {"cpu": 64, "memory": "512Gi", "pods": 110, "nvidia.com/gpu": GPUS}
    images = [{"match": REAL_PYTHON, "run": ["${PYTHON}", "${ARGS}"]}]
    play = {"startLatencyS": 0.2}  # long enough that what happens meanwhile can be seen
    return {
        "images": images,
        "play": play,
        "pools": [{"name": "gpu", "topology": tree, "names": names, "capacity": capacity, "labels": labels}],
    }


async def _nodes_are_ready(kubeconfig: Path) -> None:
    async with HttpKubeApi.from_kubeconfig(kubeconfig) as api:

        async def all_there() -> bool:
            nodes = (await api.list(NODE)).items
            ready = [c["status"] for n in nodes for c in n["status"].get("conditions", ()) if c["type"] == "Ready"]
            return ready.count("True") == RACKS * HOSTS

        await until(all_there, "the nodes are Ready")
