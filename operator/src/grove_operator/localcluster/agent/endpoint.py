"""The kubelet's HTTPS port, on loopback, for all nodes: `kubectl logs` and `port-forward` end up here."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from grove_operator.localcluster.agent.podmetrics import METRICS_HOST
from grove_operator.localcluster.agent.portforward import port_forward
from grove_operator.localcluster.agent.status import HOST_IP

Logs = Callable[[str, str, str, bool], tuple[Path | None, Callable[[], bool]]]
"""(namespace, pod, container, previous) -> (file or None if pretended, still written to?); KeyError if unknown."""
AddressOf = Callable[[str, str], str]
"""(namespace, pod) -> its address, "" when it isn't here."""
CHUNK = 64 * 1024
FOLLOW_S = 0.2


def bind_port(state_dir: Path) -> socket.socket:
    """The port of the last run if it is free, so that no Node needs a new status after a restart; else any."""
    remembered = state_dir / "kubelet-port"
    wanted = int(remembered.read_text()) if remembered.exists() else 0
    for port in (wanted, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST_IP, port))
        except OSError:
            listener.close()
            continue
        remembered.write_text(str(listener.getsockname()[1]))
        return listener
    raise OSError(f"no free port on {HOST_IP} for the kubelet endpoint")


def certificate(state_dir: Path) -> tuple[ssl.SSLContext, bytes]:
    """A self-signed certificate for 127.0.0.1 and the metrics service, made anew at each start; also as PEM.

    A kubelet's own is no different.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node-agent")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address(HOST_IP))
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([address, x509.DNSName(METRICS_HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = state_dir / "kubelet.pem"
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + cert.public_bytes(serialization.Encoding.PEM)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, cert.public_bytes(serialization.Encoding.PEM)


class Endpoint:
    """Serves `/containerLogs/{namespace}/{pod}/{container}` and `/healthz`; knows tail, limit, follow and previous."""

    def __init__(self, logs: Logs, address_of: AddressOf, *others: web.RouteDef) -> None:
        """`others` are served on the same port."""
        self._logs, self._address_of = logs, address_of
        app = web.Application()
        app.router.add_routes(others)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._container_logs)
        app.router.add_route("*", "/portForward/{namespace}/{pod}", self._port_forward)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)

    async def start(self, listener: socket.socket, tls: ssl.SSLContext) -> None:
        await self._runner.setup()
        await web.SockSite(self._runner, listener, ssl_context=tls).start()

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _port_forward(self, request: web.Request) -> web.StreamResponse:
        where = request.match_info
        address = self._address_of(where["namespace"], where["pod"])
        if not address:
            return web.Response(status=404, text=f"pod {where['pod']} doesn't run on this node\n")
        return await port_forward(request, address)

    async def _container_logs(self, request: web.Request) -> web.StreamResponse:
        where, query = request.match_info, request.query
        previous = query.get("previous", "") == "true"
        try:
            path, growing = self._logs(where["namespace"], where["pod"], where["container"], previous)
        except KeyError as error:
            return web.Response(status=404, text=f"{error.args[0]} not found on this node")
        if path is None:
            text = f"container {where['container']} is pretended by the node agent: it has no process and no output\n"
            return web.Response(text=text)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        if path.exists():
            await self._copy(
                response,
                path,
                query.get("tailLines"),
                query.get("limitBytes"),
                growing if query.get("follow") == "true" else None,
            )
        await response.write_eof()
        return response

    async def _copy(
        self,
        response: web.StreamResponse,
        path: Path,
        tail: str | None,
        limit: str | None,
        growing: Callable[[], bool] | None,
    ) -> None:
        left = int(limit) if limit else None
        with path.open("rb") as file:
            if tail is not None:
                file.seek(tail_offset(path, int(tail)))
            while left is None or left > 0:
                last_round = growing is None or not growing()
                chunk = file.read(CHUNK if left is None else min(CHUNK, left))
                if chunk:
                    await response.write(chunk)
                    left = None if left is None else left - len(chunk)
                elif last_round:
                    return
                else:
                    await asyncio.sleep(FOLLOW_S)


def tail_offset(path: Path, lines: int) -> int:
    """Where the last `lines` lines begin; an unfinished last line counts as one."""
    with path.open("rb") as file:
        position = end = file.seek(0, os.SEEK_END)
        wanted, block = lines, b""
        if lines <= 0:
            return end
        while position > 0:
            step = min(CHUNK, position)
            position -= step
            file.seek(position)
            block = file.read(step)
            search = len(block) - (1 if position + step == end else 0)
            while (found := block.rfind(b"\n", 0, search)) >= 0:
                wanted -= 1
                if wanted == 0:
                    return position + found + 1
                search = found
    return 0
