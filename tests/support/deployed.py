"""CRDs, operator and scheduler put on a cluster by plain requests, without Pulumi."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from grove_operator.api import kinds
from grove_operator.api.crds import all_crds
from grove_operator.api.install import InstallOptions, install_manifests
from grove_operator.kube.client import HttpKubeApi
from tests.support.ports import free_ports


async def until(claim: Callable[[], Awaitable[bool]], limit_s: float, every_s: float = 0.05) -> float:
    """Seconds until the claim holds. Raises TimeoutError after `limit_s`."""
    began = time.perf_counter()
    while not await claim():
        if time.perf_counter() - began > limit_s:
            raise TimeoutError(f"not within {limit_s} s")
        await asyncio.sleep(every_s)
    return time.perf_counter() - began


async def install(api: HttpKubeApi, config: Mapping[str, object] | None = None) -> InstallOptions:
    """CRDs, then operator, scheduler and conversion server on free ports; returns when all are Available."""
    for crd in all_crds():
        await api.create(kinds.CRD, None, crd)
    ports = free_ports(6)
    options = InstallOptions(
        webhook_port=ports[0],
        health_port=ports[1],
        metrics_port=ports[2],
        scheduler_health_port=ports[3],
        scheduler_metrics_port=ports[4],
        conversion_port=ports[5],
        service_external_name="localhost",
        config=config or {},
    )
    for manifest in install_manifests(options):
        kind = kinds.BY_KIND[manifest["kind"]]
        await api.create(kind, manifest["metadata"].get("namespace"), manifest)
    await until(lambda: deployments_available(api, options.namespace), 60)
    return options


async def deployments_available(api: HttpKubeApi, namespace: str) -> bool:
    found = (await api.list(kinds.DEPLOYMENT, namespace=namespace)).items
    return len(found) == 3 and all(d.get("status", {}).get("availableReplicas") for d in found)
