"""A certificate taken up while the port stays open, and the operator's own check that admission answers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from grove_operator.kube.certificate_pair import CertificatePair, issue
from grove_operator.kube.certificates import CertificateFiles
from grove_operator.kube.selfcheck import NEVER, SAMPLES, SelfCheck
from grove_operator.kube.serving_certificate import ServingCertificate

NAME = "grove-operator.grove-system.svc"


def a_pair(days: int = 0, former: CertificatePair | None = None, name: str = NAME) -> CertificatePair:
    return issue([name], datetime.now(UTC) - timedelta(days=days), former)


class Server:
    """Answers every review with `allowed`, unless told otherwise; `seen` are the uids that came by."""

    def __init__(self, folder: Path, pair: CertificatePair) -> None:
        self.files = CertificateFiles(folder)
        self.files.write(pair)
        self.certificate = ServingCertificate(self.files)
        self.seen: set[str] = set()
        self.refuses = ""
        self.status = 200
        self.port = 0

    async def _answer(self, request: web.Request) -> web.Response:
        uid = (await request.json())["request"]["uid"]
        self.seen.add(uid)
        is_allowed = request.match_info["path"] != self.refuses
        response = {"uid": uid, "allowed": is_allowed, "status": {"message": "the rules are broken"}}
        return web.json_response({"response": response}, status=self.status)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[SelfCheck]:
        app = web.Application()
        app.add_routes([web.post("/webhooks/{path}", self._answer)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.certificate.context)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self.check()
        finally:
            await runner.cleanup()

    def check(self, saw: Any = None) -> SelfCheck:
        return SelfCheck("0.0.0.0", self.port, NAME, self.files.ca, saw or self.seen.__contains__)


async def shown(port: int) -> bytes:
    pem = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
    return pem.encode()


async def test_all_is_well_when_every_path_allows_its_good_object(tmp_path: Path) -> None:
    server = Server(tmp_path, a_pair())
    async with server.serve() as check:
        assert check.fault() == NEVER
        assert await check.look() == ""
    assert len(server.seen) == len(SAMPLES)


@pytest.mark.parametrize(
    ("pair", "says"),
    [(a_pair(400, a_pair(400)), "certificate has expired"), (a_pair(name="another.svc"), "not valid for")],
    ids=["expired", "for another name"],
)
async def test_a_certificate_that_the_api_server_would_not_accept_is_a_fault(
    tmp_path: Path, pair: CertificatePair, says: str
) -> None:
    async with Server(tmp_path, pair).serve() as check:
        fault = await check.look()
    assert "its certificate is not accepted" in fault
    assert says in fault


async def test_a_certificate_of_another_ca_is_a_fault(tmp_path: Path) -> None:
    server = Server(tmp_path, a_pair())
    async with server.serve() as check:
        server.files.ca.write_bytes(a_pair().ca)
        assert "its certificate is not accepted" in await check.look()


async def test_a_handler_that_refuses_what_is_good_is_a_fault(tmp_path: Path) -> None:
    server = Server(tmp_path, a_pair())
    async with server.serve() as check:
        server.refuses = "validate-clustertopology"
        assert await check.look() == "validate-clustertopology refuses a good object: the rules are broken"
        server.refuses, server.status = "", 404
        assert "default-podcliqueset answers 404" in await check.look()


async def test_a_silent_port_is_a_fault(tmp_path: Path) -> None:
    server = Server(tmp_path, a_pair())
    async with server.serve():
        pass
    assert "port can't be reached" in await server.check().look()


async def test_answers_of_another_replica_prove_nothing_about_us(tmp_path: Path) -> None:
    server = Server(tmp_path, a_pair())
    async with server.serve():
        assert await server.check(saw=lambda uid: False).look() == "only another replica answers on this host"
        turns = iter([False, False])
        assert await server.check(saw=lambda uid: next(turns, True)).look() == ""


async def test_a_renewed_certificate_is_shown_to_new_connections_and_old_ones_go_on(tmp_path: Path) -> None:
    first = a_pair()
    server = Server(tmp_path, first)
    async with server.serve():
        context = ssl.create_default_context(cafile=str(server.files.ca))
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname=NAME)
        second = a_pair(former=first)
        server.files.write(second)
        assert server.certificate.reload()
        assert not server.certificate.reload()
        assert await shown(server.port) == second.cert
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 404")
        writer.close()


async def test_a_pair_caught_halfway_through_its_replacement_spoils_nothing(tmp_path: Path) -> None:
    first, second = a_pair(), a_pair()
    server = Server(tmp_path, first)
    async with server.serve() as check:
        server.files.cert.write_bytes(second.cert)
        with pytest.raises(ssl.SSLError):
            server.certificate.reload()
        assert await shown(server.port) == first.cert
        assert await check.look() == ""
        server.files.write(second)
        assert server.certificate.reload()
        assert await shown(server.port) == second.cert
