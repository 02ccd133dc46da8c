"""Two clusters on one host: an operator never shares its webhook port with a stranger."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from grove_operator.kube.certificate_pair import CertificatePair, issue
from grove_operator.kube.certificates import CertificateFiles
from grove_operator.kube.webhook_port import PortTaken, refuse_a_strangers_port


def files_of(folder: Path, pair: CertificatePair) -> CertificateFiles:
    files = CertificateFiles(folder)
    files.write(pair)
    return files


def a_pair() -> CertificatePair:
    return issue(["localhost"], datetime.now(UTC))


async def listen(files: CertificateFiles) -> tuple[asyncio.Server, int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.cert, files.key)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    return server, server.sockets[0].getsockname()[1]


async def test_a_stranger_on_the_port_is_refused_with_the_remedy(tmp_path: Path) -> None:
    ours, theirs = files_of(tmp_path / "ours", a_pair()), files_of(tmp_path / "theirs", a_pair())
    server, port = await listen(theirs)
    async with server:
        with pytest.raises(PortTaken, match=rf"port {port} .*grove:operator.webhookPort"):
            await refuse_a_strangers_port("0.0.0.0", port, ours.ca)


async def test_a_replica_with_our_ca_may_share_the_port(tmp_path: Path) -> None:
    ours = files_of(tmp_path, a_pair())
    server, port = await listen(ours)
    async with server:
        await refuse_a_strangers_port("0.0.0.0", port, ours.ca)


async def test_a_silent_port_is_free(tmp_path: Path) -> None:
    ours = files_of(tmp_path, a_pair())
    server, port = await listen(ours)
    server.close()
    await server.wait_closed()
    await refuse_a_strangers_port("0.0.0.0", port, ours.ca)
