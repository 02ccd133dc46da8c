"""Whether admission really answers: our own reviews, over TLS, as the API server would send them.

    this process ── https://<listen address>:<port>/webhooks/<id> as grove-operator.<namespace>.svc ──> gate ── kopf

A certificate that has expired, does not cover the Service's name or is signed by another CA fails here as it fails for
the API server; so does a handler that raises. On a host that several replicas share a port of (SO_REUSEPORT), the
kernel chooses who answers: an answer counts only if our own gate saw the question.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp

from grove_operator.api.kinds import CLUSTER_TOPOLOGY_BINDING, DYNAMO_GRAPH_DEPLOYMENT, POD_CLIQUE_SET, Json, Kind
from grove_operator.kube.gate import PROBE_PREFIX

log = logging.getLogger(__name__)

PERIOD_S, RETRY_S, TIMEOUT_S = 10.0, 0.5, 5.0
TRIES = 24
"""Connections before we give up on meeting ourselves: with one neighbour a miss has a chance of 1 in 16 million."""
NEVER = "not yet served"


class SelfCheck:
    """`run` until cancelled. `fault` is "" while every path answers, from any thread."""

    def __init__(self, address: str, port: int, server_name: str, ca: Path, saw: Callable[[str], bool]) -> None:
        host = "127.0.0.1" if address in ("", "0.0.0.0") else address  # noqa: S104 - compared, not bound
        self._base, self._name, self._ca, self._saw = f"https://{host}:{port}/webhooks/", server_name, ca, saw
        self._fault = NEVER

    def fault(self) -> str:
        return self._fault

    async def run(self) -> None:
        while True:
            found = await self.look()
            if found != self._fault:
                log.log(logging.WARNING if found else logging.INFO, "admission: %s", found or "every webhook answers")
            self._fault = found
            await asyncio.sleep(RETRY_S if found else PERIOD_S)

    async def look(self) -> str:
        """One round over every path; what is wrong, or ""."""
        try:
            context = await asyncio.to_thread(ssl.create_default_context, cafile=str(self._ca))
            for _ in range(TRIES):
                async with asyncio.timeout(TIMEOUT_S), aiohttp.ClientSession() as session:
                    is_us, fault = await self._round(session, context)
                if is_us or fault:
                    return fault
        except aiohttp.ClientConnectorCertificateError as error:
            return f"its certificate is not accepted: {error.certificate_error}; replace it"
        except aiohttp.ClientConnectorError as error:
            return f"port can't be reached: {error.os_error}"
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"
        return "only another replica answers on this host"

    async def _round(self, session: aiohttp.ClientSession, context: ssl.SSLContext) -> tuple[bool, str]:
        """All paths over one connection: whether it leads to this very process, and what is wrong."""
        for path, (kind, sample) in SAMPLES.items():
            uid = f"{PROBE_PREFIX}{uuid.uuid4()}"
            post = session.post(
                self._base + path, json=_review(uid, kind, sample), ssl=context, server_hostname=self._name
            )
            async with post as response:
                if response.status != 200:
                    return self._saw(uid), f"{path} answers {response.status} {response.reason}"
                told = (await response.json()).get("response") or {}
            if not self._saw(uid):
                return False, ""
            if told.get("allowed") is not True:
                return True, f"{path} refuses a good object: {(told.get('status') or {}).get('message')}"
        return True, ""


def _review(uid: str, kind: Kind, sample: Json) -> Json:
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "operation": "CREATE",
            "dryRun": True,
            "resource": {"group": kind.group, "version": kind.version, "resource": kind.plural},
            "kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
            "userInfo": {"username": "grove:self-check"},
            "object": {"apiVersion": kind.api_version, "kind": kind.kind, **sample},
        },
    }


_METADATA = {"name": "self-check", "namespace": "default"}
_CLIQUE: Json = {
    "name": "a",
    "spec": {
        "roleName": "a",
        "replicas": 1,
        "minAvailable": 1,
        "podSpec": {"containers": [{"name": "main", "image": "none"}]},
    },
}
_SET: Json = {"metadata": _METADATA, "spec": {"template": {"cliques": [_CLIQUE], "terminationDelay": "4h"}}}
_LEVELS: Json = {"levels": [{"domain": "host", "key": "kubernetes.io/hostname"}]}
SAMPLES: Mapping[str, tuple[Kind, Json]] = {
    "default-podcliqueset": (POD_CLIQUE_SET, _SET),
    "validate-podcliqueset": (POD_CLIQUE_SET, _SET),
    "validate-clustertopology": (CLUSTER_TOPOLOGY_BINDING, {"metadata": {"name": "self-check"}, "spec": _LEVELS}),
    "validate-dynamographdeployment": (
        DYNAMO_GRAPH_DEPLOYMENT,
        {"metadata": _METADATA, "spec": {"services": {"Frontend": {"componentType": "frontend", "replicas": 1}}}},
    ),
}
"""For each path an object that it has to allow, whatever the operator has enabled."""
