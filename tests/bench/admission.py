"""How fast admission answers at 50 requests a second: `python -m tests.bench.admission [--seconds 30] [--sets 40]`.

Open loop: a request is sent when it is due, whether or not those before it were answered, so that waiting in a queue
counts. Asked as the API server asks, over TLS, on kept connections; defaulting and validation by turns, of sets from 3
to 30 cliques. First at rest, then while the operator makes everything for `--sets` PodCliqueSets of 60 pods each, and
once through the API server (dry run), which calls both webhooks.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import ssl
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from grove_operator.api.kinds import CLUSTER_TOPOLOGY_BINDING, POD_CLIQUE_SET, SECRET, Json
from grove_operator.kube.client import HttpKubeApi
from tests.support.installation import Installation, installed
from tests.unit.api.manifests import TOPOLOGY, clique, everything, pcs

RATE = 50
LIMIT_MS = 10_000.0
"""Every answer has to come within the webhooks' timeoutSeconds."""
PATHS = ("default-podcliqueset", "validate-podcliqueset")
Ask = Callable[[int], Awaitable[None]]


def submitted() -> list[Json]:
    wide = pcs(*(clique(f"c-{i}", replicas=2) for i in range(30)), name="wide")
    return [everything(), wide, pcs(clique("a"), clique("b"), clique("c"), name="small")]


async def paced(ask: Ask, seconds: float) -> dict[str, float]:
    """Milliseconds from when a request was due to its answer."""
    took: list[float] = []
    began = time.perf_counter()

    async def one(n: int) -> None:
        due = began + n / RATE
        await asyncio.sleep(due - time.perf_counter())
        await ask(n)
        took.append((time.perf_counter() - due) * 1000)

    await asyncio.gather(*(one(n) for n in range(int(seconds * RATE))))
    took.sort()
    figures = {"requests": len(took), "max_ms": took[-1]}
    figures |= {f"p{share}_ms": took[len(took) * share // 100] for share in (50, 99)}
    assert took[-1] < LIMIT_MS, f"an answer took {took[-1]:.0f} ms"
    return {name: round(value, 1) for name, value in figures.items()}


def direct(session: aiohttp.ClientSession, port: int, trust: ssl.SSLContext) -> Ask:
    """Reviews sent straight to the webhook server."""
    samples = submitted()

    async def ask(n: int) -> None:
        obj = samples[n // 2 % len(samples)]
        resource = {"group": "grove.io", "version": "v1alpha1", "resource": POD_CLIQUE_SET.plural}
        request = {
            "uid": str(uuid.uuid4()),
            "operation": "CREATE",
            "resource": resource,
            "kind": {"group": "grove.io", "version": "v1alpha1", "kind": POD_CLIQUE_SET.kind},
            "userInfo": {"username": "bench"},
            "object": obj,
        }
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        url = f"https://127.0.0.1:{port}/webhooks/{PATHS[n % 2]}"
        async with session.post(url, json=body, ssl=trust, server_hostname="grove-operator.grove-system.svc") as answer:
            told: Any = await answer.json()
            assert told["response"]["allowed"], told

    return ask


def through_the_server(api: HttpKubeApi) -> Ask:
    samples = submitted()

    async def ask(n: int) -> None:
        await api.raw("POST", POD_CLIQUE_SET.path("default"), body=samples[n % len(samples)], params={"dryRun": "All"})

    return ask


async def measure(made: Installation, seconds: float, sets: int) -> dict[str, Any]:
    await made.serve()
    async with HttpKubeApi.from_kubeconfig(made.plane.kubeconfig) as api, aiohttp.ClientSession() as session:
        await api.create(CLUSTER_TOPOLOGY_BINDING, None, TOPOLOGY)
        secret = await api.get(SECRET, made.options.namespace, "grove-webhook-server-cert")
        trust = ssl.create_default_context(cadata=_text(secret["data"]["ca.crt"]))
        ask = direct(session, made.options.webhook_port, trust)
        await paced(ask, 2)  # connections, imports
        figures: dict[str, Any] = {"at rest": await paced(ask, seconds)}
        figures["through the API server, at rest"] = await paced(through_the_server(api), seconds)
        busy = asyncio.create_task(_make(api, sets))
        figures[f"while {sets} sets are made"] = await paced(ask, seconds)
        await busy
    return figures


async def _make(api: HttpKubeApi, sets: int) -> None:
    for n in range(sets):
        await api.create(
            POD_CLIQUE_SET, "default", pcs(*(clique(f"c-{i}", replicas=20) for i in range(3)), name=f"b-{n}")
        )


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--sets", type=int, default=40)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root, installed(Path(root)) as made:
        print(json.dumps(asyncio.run(measure(made, given.seconds, given.sets)), indent=2))


if __name__ == "__main__":
    main()
