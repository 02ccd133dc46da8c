"""An API server of its own with CRDs and the operator's manifests, and operator processes under their own accounts."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from grove_operator.api import install
from grove_operator.api.crds import all_crds
from grove_operator.api.install_conversion import CERTIFICATE_KEYS, CONVERSION_SECRET
from grove_operator.api.kinds import BY_KIND, SECRET, SERVICE_ACCOUNT, Json
from grove_operator.kube.client import HttpKubeApi
from grove_operator.localcluster.controlplane_bare import BareControlPlane, bare_control_plane
from tests.support.ports import free_ports

ROOT = Path(__file__).parents[2]
OURS = ROOT / "operator" / "src"
PATIENCE_S = 60.0


@dataclass
class Installation:
    """An API server of its own, because webhook configurations are the whole cluster's."""

    plane: BareControlPlane
    options: install.InstallOptions
    config: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    source: Path = OURS
    """Whose operator and scheduler are started."""

    def start(self, name: str, module: str = "operator_main") -> subprocess.Popen[bytes]:
        log = (self.plane.root / f"{name}.log").open("wb")
        environment = os.environ | {
            "PYTHONPATH": str(self.source),
            "POD_NAME": name,
            "POD_NAMESPACE": self.options.namespace,
            "GROVE_OPERATOR_SERVICE_ACCOUNT_NAME": "grove-operator",
            "POD_IP": f"127.0.4.{len(self.processes) + 1}",
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": self.plane.server.rsplit(":", 1)[1],
            "GROVE_SERVICEACCOUNT_DIR": str(self.account(module)),
            "GROVE_RECORD_DECISIONS": str(self.recordings),
        }
        environment.pop("KUBECONFIG", None)
        argv = [sys.executable, "-m", f"grove_operator.kube.{module}", "--config", str(self.config)]
        process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
        log.close()
        self.processes.append(process)
        return process

    async def start_conversion(self, name: str = "conversion-0") -> subprocess.Popen[bytes]:
        """The conversion server, as a kubelet starts it once its certificate is there."""
        secret = await eventually(self._conversion_certificate, "the conversion server's certificate")
        folder = self.plane.root / "conversion"
        folder.mkdir(exist_ok=True)
        for key in CERTIFICATE_KEYS:
            (folder / key).write_bytes(base64.b64decode(secret[key]))
        argv = ["--certificates", str(folder), "--port", str(self.options.conversion_port), "--log-format", "text"]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "operator" / "src")}
        environment.pop("KUBECONFIG", None)
        with (self.plane.root / f"{name}.log").open("wb") as log:
            module = [sys.executable, "-m", "grove_operator.kube.conversion_main"]
            process = subprocess.Popen([*module, *argv], env=environment, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    async def _conversion_certificate(self) -> Json | None:
        async with HttpKubeApi.from_kubeconfig(self.plane.kubeconfig) as api:
            secret = await api.get(SECRET, self.options.namespace, CONVERSION_SECRET)
        data: Json = secret.get("data") or {}
        return data if set(CERTIFICATE_KEYS) <= set(data) else None

    async def serve(self, name: str = "operator-0") -> None:
        """Start an operator and wait until it is ready."""
        process = self.start(name)
        number = len(self.processes)

        async def is_ready() -> bool:
            assert process.poll() is None, f"the operator ended with {process.returncode}: {self.said(name)}"
            return (await self.probe("/readyz", number))[0] == 200

        await eventually(is_ready, lambda: f"/readyz of {name}; {self.said(name)[-2000:]}")

    def account(self, module: str) -> Path:
        """The folder that a pod of the Deployment would find mounted: its service account's token and nothing more."""
        return self.plane.root / ("grove-operator" if module == "operator_main" else "grove-scheduler")

    @property
    def recordings(self) -> Path:
        return self.plane.root / "decisions"

    def said(self, name: str) -> str:
        return (self.plane.root / f"{name}.log").read_text()

    async def probe(self, path: str, number: int = 1, port: int | None = None) -> tuple[int, str]:
        url = f"http://127.0.4.{number}:{port or self.options.health_port}{path}"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return response.status, await response.text()
        except aiohttp.ClientError as error:
            return 0, str(error)


async def eventually(claim: Callable[[], Awaitable[Any]], what: str | Callable[[], str]) -> Any:
    """The first true answer of `claim`; a failure that says `what` after a minute."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (answer := await claim()):
                await asyncio.sleep(0.1)
            return answer
    except TimeoutError:
        pytest.fail(f"not within {PATIENCE_S:g} s: {what if isinstance(what, str) else what()}")


async def apply(plane: BareControlPlane, manifests: list[Json]) -> None:
    async with HttpKubeApi.from_kubeconfig(plane.kubeconfig) as api:
        for manifest in manifests:
            await api.create(BY_KIND[manifest["kind"]], manifest["metadata"].get("namespace"), manifest)
        for account in [m["metadata"] for m in manifests if m["kind"] == SERVICE_ACCOUNT.kind]:
            folder = plane.root / account["name"]
            folder.mkdir()
            wanted: Json = {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {},
            }
            token = await api.create(
                SERVICE_ACCOUNT, account["namespace"], wanted, subresource_of=f"{account['name']}/token"
            )
            (folder / "token").write_text(token["status"]["token"])
            (folder / "ca.crt").write_bytes(plane.ca.read_bytes())
            (folder / "namespace").write_text(account["namespace"])


@contextmanager
def installed(
    root: Path, config: Mapping[str, object] | None = None, *, crds: bool = True, **options: Any
) -> Iterator[Installation]:
    """Everything of an installation but running processes; those that the test starts end with it."""
    with bare_control_plane(root) as plane:
        ports = free_ports(6)
        wanted = install.InstallOptions(
            webhook_port=ports[0],
            health_port=ports[1],
            metrics_port=ports[2],
            scheduler_health_port=ports[3],
            scheduler_metrics_port=ports[4],
            conversion_port=ports[5],
            service_external_name="localhost",
            config={"logFormat": "text", **(config or {})},
        )
        wanted = replace(wanted, **options)
        manifests = install.install_manifests(wanted)
        made = Installation(plane, wanted, root / "config.yaml")
        made.config.write_text(next(m["data"]["config.yaml"] for m in manifests if m["kind"] == "ConfigMap"))
        asyncio.run(apply(plane, [*(all_crds() if crds else []), *manifests]))
        try:
            yield made
        finally:
            for process in made.processes:
                process.kill()
                process.wait()
