"""kopf in a thread of its own: it watches the roots and answers admission, whatever the engine's loop is busy with.

It writes nothing: no annotations, finalizers, events, peering or webhook configurations. When it ends, for whatever
reason, `on_end` is told, and the process ends with it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import kopf

from grove_operator.kube.certificates import CertificateFiles
from grove_operator.kube.client import INACTIVITY_S, PAGE_SIZE, WATCH_TIMEOUT_S
from grove_operator.kube.connection import Connection
from grove_operator.kube.gate import Gate
from grove_operator.kube.health import Heartbeat
from grove_operator.kube.serving_certificate import ServingCertificate
from grove_operator.kube.webhook_port import refuse_a_strangers_port

log = logging.getLogger(__name__)

WEBHOOK_ROOT = "/webhooks"
KOPF_CHECKS_CERTIFICATE_S = 10 * 365 * 86400.0
"""Never: kopf would close the port for a new certificate; see serving_certificate."""
STOP_TIMEOUT_S = 3.0


@dataclass(frozen=True)
class AdmissionListener:
    """Where and with what the webhook server listens."""

    address: str
    port: int
    files: CertificateFiles
    gate: Gate


class KopfThread:
    """`start` once; `stop` from any thread."""

    def __init__(
        self,
        registry: kopf.OperatorRegistry,
        connection: Connection,
        listener: AdmissionListener | None,
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        self._registry, self._connection, self._listener, self._on_end = registry, connection, listener, on_end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name="kopf", daemon=True)
        self.heartbeat = Heartbeat()
        self.listening = threading.Event()
        """Set while admission requests are answered."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> bool:
        """Asks kopf to end and waits at most 3 s; whether it did."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_TIMEOUT_S)
        return not self._thread.is_alive()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _main(self) -> None:
        failure: BaseException | None = None
        try:
            asyncio.run(self._operate())
        except BaseException as error:  # whatever ended it is told to the process
            failure = error
        self.listening.clear()
        self._on_end(failure)

    async def _operate(self) -> None:
        beat = asyncio.create_task(self.heartbeat.run(), name="heartbeat")
        login_by(self._registry, self._connection)
        try:
            await kopf.operator(
                registry=self._registry,
                settings=kopf_settings(self._serve if self._listener else None),
                clusterwide=True,
                standalone=True,
                stop_flag=self._stop,
            )
        finally:
            beat.cancel()

    async def _serve(self, fn: Any) -> AsyncIterator[Any]:
        """kopf's webhook server on our address: its path `/webhooks/<handler id>` gives the paths that Grove has."""
        assert self._listener is not None  # noqa: S101 - only set as the server where there is one
        files = self._listener.files
        certificate = ServingCertificate(files)
        await refuse_a_strangers_port(self._listener.address, self._listener.port, files.ca)
        server = kopf.WebhookServer(
            addr=self._listener.address,
            port=self._listener.port,
            path=WEBHOOK_ROOT,
            host="localhost",
            context=certificate.context,
            certfile=files.cert,
            pkeyfile=files.key,
            file_check_interval=KOPF_CHECKS_CERTIFICATE_S,
        )
        follower = asyncio.create_task(certificate.follow(), name="follow the certificate")
        try:
            async with server:
                async for client_config in server(self._listener.gate.around(fn)):
                    log.info("admission is served on port %d", self._listener.port)
                    self.listening.set()
                    yield client_config
        finally:
            follower.cancel()


def kopf_settings(server: Any | None) -> kopf.OperatorSettings:
    """Bounded watches and lists, no writes, no events, no peering, quick end."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.watching.inactivity_timeout = INACTIVITY_S
    settings.watching.server_timeout = 2 * WATCH_TIMEOUT_S
    settings.watching.connect_timeout = 10.0
    settings.watching.chunk_size = PAGE_SIZE
    settings.queueing.exit_timeout = 0.2
    settings.process.ultimate_exiting_timeout = None
    settings.admission.server = server
    settings.admission.managed = None
    return settings


def login_by(registry: kopf.OperatorRegistry, connection: Connection) -> None:
    """kopf uses our own connection; after a 401 it asks again, and so gets a renewed token."""

    @kopf.on.login(registry=registry, id="connection")
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(
            server=connection.server,
            ca_data=connection.ca,
            insecure=connection.insecure,
            token=connection.bearer() or None,
            certificate_data=connection.client_cert,
            private_key_data=connection.client_key,
            proxy_url=connection.proxy,
        )
