"""SPDY frames, and forwarded connections to a real server."""

from __future__ import annotations

import asyncio
import zlib

import pytest

from grove_operator.localcluster.agent.portforward import PortForward
from grove_operator.localcluster.agent.spdy import DICTIONARY, GOAWAY, PING, SYN_REPLY, Frame, Framing


def test_the_dictionary_is_the_specifications() -> None:
    """SPDY/3 names its dictionary by this checksum in every first header block."""
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_header_blocks_share_one_compression_and_frames_may_arrive_in_pieces() -> None:
    ours, theirs = Framing(), Framing()
    sent = b"".join(ours.syn_stream(i, {"streamtype": "data", "port": "8000", "requestid": str(i)}) for i in (1, 3))
    sent += ours.data(1, b"hello", is_last=True)
    frames = [frame for i in range(len(sent)) for frame in theirs.feed(sent[i : i + 1])]
    assert [f.headers.get("requestid") for f in frames] == ["1", "3", None]
    assert frames[2] == Frame(0, 1, True, b"hello")


class Client:
    """The API server's side: what it would send, and what came back by stream."""

    def __init__(self, address: str) -> None:
        self.framing, self.received = Framing(), Framing()
        self.frames: list[Frame] = []
        self.news = asyncio.Event()
        self.session = PortForward(address, self._take)
        self.running = asyncio.create_task(self.session.run())

    def _take(self, data: bytes) -> None:
        self.frames += list(self.received.feed(data))
        self.news.set()

    def send(self, data: bytes) -> None:
        self.session.feed_data(data)

    def open(self, port: int, number: int = 0) -> None:
        for stream, kind in ((1 + 4 * number, "error"), (3 + 4 * number, "data")):
            said = {"streamtype": kind, "port": str(port), "requestid": str(number)}
            self.send(self.framing.syn_stream(stream, said))

    async def until_ended(self, stream: int) -> bytes:
        while not any(f.stream == stream and f.kind == 0 and f.is_last for f in self.frames):
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 10)
        return b"".join(f.data for f in self.frames if f.stream == stream and f.kind == 0)


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers everything in capitals once the other side has ended."""
    writer.write((await reader.read()).upper())
    await writer.drain()
    writer.close()


async def test_several_connections_are_carried_at_once_and_ends_reach_the_other_side() -> None:
    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = Client("127.0.0.1")
    for number in range(3):
        client.open(port, number)
    for number in range(3):
        client.send(client.framing.data(3 + 4 * number, f"hello {number}".encode(), is_last=True))
    for number in range(3):
        assert await client.until_ended(3 + 4 * number) == f"HELLO {number}".encode()
        assert await client.until_ended(1 + 4 * number) == b""
    assert sum(f.kind == SYN_REPLY for f in client.frames) == 6
    server.close()
    client.session.feed_eof()
    await client.running


async def test_a_port_where_nobody_listens_is_said_on_the_error_stream() -> None:
    client = Client("127.0.0.1")
    client.open(1)
    assert b"nothing answers on 127.0.0.1:1" in await client.until_ended(1)
    client.session.feed_eof()
    await client.running


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n" * 9, b"\x80\x03\x00\x01\x00\x00\x00\x0e" + b"x" * 14])
async def test_what_is_no_spdy_ends_the_session(said: bytes) -> None:
    client = Client("127.0.0.1")
    client.send(said)
    client.session.feed_eof()
    await asyncio.wait_for(client.running, 5)


async def test_a_ping_is_answered_and_goaway_ends_the_session() -> None:
    client = Client("127.0.0.1")
    client.send(b"\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x07")
    assert [(f.kind, f.data) for f in client.frames] == [(PING, b"\x00\x00\x00\x07")]
    client.send(b"\x80\x03\x00" + bytes([GOAWAY]) + b"\x00\x00\x00\x08" + bytes(8))
    await asyncio.wait_for(client.running, 5)
