"""A client of a bare API server on which all our CRDs are served, for code that is not asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grove_operator.api.crds import all_crds
from grove_operator.api.kinds import CRD, Json
from grove_operator.engine.ports import AlreadyExists
from grove_operator.kube.client import HttpKubeApi

TRIES = 600


@contextmanager
def with_crds(runner: asyncio.Runner, kubeconfig: Path) -> Iterator[HttpKubeApi]:
    api = HttpKubeApi.from_kubeconfig(kubeconfig)
    try:
        runner.run(serve_crds(api))
        yield api
    finally:
        runner.run(api.close())


async def serve_crds(api: HttpKubeApi) -> list[Json]:
    """Creates what is not there and returns all of them once each is Established."""
    for crd in all_crds():
        try:
            await api.create(CRD, None, crd)
        except AlreadyExists:
            continue
    for _ in range(TRIES):
        live = [await api.get(CRD, None, crd["metadata"]["name"]) for crd in all_crds()]
        if all(_is(crd, "Established") for crd in live):
            return live
        await asyncio.sleep(0.1)
    raise AssertionError(f"not established: {[crd['metadata']['name'] for crd in live if not _is(crd, 'Established')]}")


def _is(crd: Json, condition: str) -> bool:
    said = {c["type"]: c["status"] for c in (crd.get("status") or {}).get("conditions") or ()}
    return said.get(condition) == "True"
