"""The kubelet's side of `kubectl port-forward`: pairs of SPDY streams, each a connection to a port of the pod.

    streamtype error, port 8000, requestid 0 ─┐
    streamtype data,  port 8000, requestid 0 ─┴─> TCP to <pod's address>:8000

What goes wrong is said on the error stream; a connection's end closes both.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from grove_operator.localcluster.agent.spdy import GOAWAY, PING, RST_STREAM, SYN_STREAM, Frame, Framing

PROTOCOL = "portforward.k8s.io"
UPGRADE = "SPDY/3.1"
CHUNK = 64 * 1024
CONNECT_TIMEOUT_S = 10.0


@dataclass
class _Pair:
    """One forwarded connection: its two streams, and what the client sent and nobody wrote on yet."""

    port: int
    error: int = 0
    data: int = 0
    waiting: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)


class PortForward:
    """One upgraded connection. It is the parser that aiohttp hands every received byte to."""

    def __init__(self, address: str, write: Callable[[bytes], None]) -> None:
        self._address, self._write = address, write
        self._framing = Framing()
        self._pairs: dict[str, _Pair] = {}
        self._by_stream: dict[int, _Pair] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.closed = asyncio.Event()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        try:
            for frame in self._framing.feed(data):
                self._take(frame)
        except (zlib.error, struct.error, ValueError):
            self.closed.set()
        return self.closed.is_set(), b""

    def feed_eof(self) -> None:
        self.closed.set()

    def set_exception(self, *_: object) -> None:
        self.closed.set()

    async def run(self) -> None:
        """Until the client goes; then every connection ends."""
        await self.closed.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, frame: Frame) -> None:
        if frame.kind == SYN_STREAM:
            self._open(frame)
        elif frame.kind == PING:
            self._write(self._framing.pong(frame))
        elif frame.kind == GOAWAY:
            self.closed.set()
        elif (pair := self._by_stream.get(frame.stream)) and frame.stream == pair.data:
            if frame.kind == 0 and frame.data:
                pair.waiting.put_nowait(frame.data)
            if frame.kind == RST_STREAM or frame.is_last:
                pair.waiting.put_nowait(b"")

    def _open(self, frame: Frame) -> None:
        said = {key.lower(): value for key, value in frame.headers.items()}
        self._write(self._framing.syn_reply(frame.stream))
        pair = self._pairs.setdefault(said.get("requestid", ""), _Pair(int(said["port"])))
        self._by_stream[frame.stream] = pair
        if said.get("streamtype") == "error":
            pair.error = frame.stream
        else:
            pair.data = frame.stream
        if pair.error and pair.data:
            del self._pairs[said.get("requestid", "")]
            task = asyncio.create_task(self._serve(pair))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, pair: _Pair) -> None:
        try:
            connecting = asyncio.open_connection(self._address, pair.port)
            reader, writer = await asyncio.wait_for(connecting, CONNECT_TIMEOUT_S)
        except (OSError, TimeoutError) as error:
            text = f"nothing answers on {self._address}:{pair.port}: {error or 'no connection in time'}"
            self._write(self._framing.data(pair.error, text.encode(), is_last=True))
            self._write(self._framing.data(pair.data, b"", is_last=True))
            return
        sending = asyncio.create_task(_send(pair.waiting, writer))
        try:
            while chunk := await reader.read(CHUNK):
                self._write(self._framing.data(pair.data, chunk))
        except OSError:
            pass
        finally:
            sending.cancel()
            writer.close()
            self._write(self._framing.data(pair.data, b"", is_last=True))
            self._write(self._framing.data(pair.error, b"", is_last=True))
            for stream in (pair.data, pair.error):
                self._by_stream.pop(stream, None)


async def _send(waiting: asyncio.Queue[bytes], writer: asyncio.StreamWriter) -> None:
    """What the client sends, until it has no more to say."""
    with contextlib.suppress(OSError):
        while chunk := await waiting.get():
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()


async def port_forward(request: web.Request, address: str) -> web.StreamResponse:
    """Answers the API server's upgrade and serves until it hangs up."""
    if UPGRADE not in request.headers.get("Upgrade", ""):
        return web.Response(status=400, text=f"port-forward needs an upgrade to {UPGRADE}\n")
    headers = {"Connection": "Upgrade", "Upgrade": UPGRADE, "X-Stream-Protocol-Version": PROTOCOL}
    response = web.StreamResponse(status=101, headers=headers)
    await response.prepare(request)
    transport = request.transport
    if transport is None:
        return response

    def write(data: bytes) -> None:
        if not transport.is_closing():
            transport.write(data)

    session = PortForward(address, write)
    protocol: Any = request.protocol  # its parser may be anything with these three methods
    protocol.set_parser(session)
    await session.run()
    request.protocol.force_close()
    return response
