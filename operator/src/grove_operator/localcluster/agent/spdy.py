"""SPDY/3.1 as a kubelet speaks it: frames and header blocks, without transport. Priorities and windows are ignored.

    control frame   1 version:15 type:16 | flags:8 length:24 | content
    data frame      0 stream:31          | flags:8 length:24 | bytes

Header blocks of one direction share one zlib stream that starts from the dictionary of the specification.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

VERSION = 3
SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
FIN = 0x01
_HEAD = 8
_WORDS = [
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
    "status",
]
_MORE = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(w)) + w.encode() for w in (*_WORDS, *_MORE)) + _TAIL.encode()


@dataclass(frozen=True, slots=True)
class Frame:
    """What arrived. `kind` 0 is data; `headers` only of SYN_STREAM and SYN_REPLY."""

    kind: int
    stream: int
    is_last: bool
    data: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Framing:
    """Both directions of one connection."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete now. Raises zlib.error and struct.error for what is no SPDY."""
        self._received += data
        while len(self._received) >= _HEAD:
            first, second = struct.unpack_from(">II", self._received)
            length = second & 0xFFFFFF
            if len(self._received) < _HEAD + length:
                return
            content = bytes(self._received[_HEAD : _HEAD + length])
            del self._received[: _HEAD + length]
            yield self._frame(first, second >> 24, content)

    def _frame(self, first: int, flags: int, content: bytes) -> Frame:
        is_last = bool(flags & FIN)
        if not first >> 31:
            return Frame(0, first & 0x7FFFFFFF, is_last, content)
        kind = first & 0xFFFF
        stream = struct.unpack_from(">I", content)[0] & 0x7FFFFFFF if len(content) >= 4 else 0
        if kind == SYN_STREAM:
            return Frame(kind, stream, is_last, headers=self._headers(content[10:]))
        if kind == SYN_REPLY:
            return Frame(kind, stream, is_last, headers=self._headers(content[4:]))
        return Frame(kind, stream, is_last, content)

    def _headers(self, block: bytes) -> dict[str, str]:
        plain = self._inflate.decompress(block)
        (count,) = struct.unpack_from(">I", plain)
        place, out = 4, {}
        for _ in range(count):
            pair = []
            for _ in range(2):
                (length,) = struct.unpack_from(">I", plain, place)
                pair.append(plain[place + 4 : place + 4 + length].decode())
                place += 4 + length
            out[pair[0]] = pair[1]
        return out

    def data(self, stream: int, content: bytes, *, is_last: bool = False) -> bytes:
        return struct.pack(">II", stream, (FIN if is_last else 0) << 24 | len(content)) + content

    def syn_stream(self, stream: int, headers: Mapping[str, str]) -> bytes:
        return self._control(SYN_STREAM, struct.pack(">IIH", stream, 0, 0) + self._block(headers))

    def syn_reply(self, stream: int) -> bytes:
        return self._control(SYN_REPLY, struct.pack(">I", stream) + self._block({}))

    def pong(self, ping: Frame) -> bytes:
        return self._control(PING, ping.data)

    def reset(self, stream: int) -> bytes:
        return self._control(RST_STREAM, struct.pack(">II", stream, 5))

    def _control(self, kind: int, content: bytes) -> bytes:
        return struct.pack(">HHI", 0x8000 | VERSION, kind, len(content)) + content

    def _block(self, headers: Mapping[str, str]) -> bytes:
        plain = struct.pack(">I", len(headers))
        for text in (part for pair in headers.items() for part in pair):
            plain += struct.pack(">I", len(text.encode())) + text.encode()
        return self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
