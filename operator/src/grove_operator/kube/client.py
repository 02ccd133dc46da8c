"""The Kubernetes API over HTTP, behind the `KubeApi` port.

No client-side rate limit: the server's priority and fairness decides, and 429 with Retry-After is obeyed. Reads are
tried again by themselves, writes only after an explicit 429 (then the server did nothing); all else is the caller's.
One instance belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from grove_operator.api.kinds import Json, Kind
from grove_operator.engine.ports import ApiError, Gone, Listing, Overloaded, WatchEvent
from grove_operator.kube.connection import Connection, ConnectionConfigError, connect, in_cluster
from grove_operator.kube.request_log import RequestLog
from grove_operator.kube.status import decode_status, to_error

PAGE_SIZE = 500
CONNECTIONS = 256
REQUEST_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 10.0
WATCH_TIMEOUT_S = 300
INACTIVITY_S = 150.0
"""Servers send a bookmark a minute, the first one after two at worst (seen on 1.36). A watch silent for longer
is dead, whatever TCP says."""
LAST_TURNS = 5
"""Of the event loop, for TLS transports to close their sockets before it may end."""
ATTEMPTS = 3
RETRY_PAUSE_S = 0.1
LONGEST_RETRY_AFTER_S = 10.0
EMPTY_WATCH_PAUSE_S = 0.5
"""A watch that ends at once without a word (a broken proxy) must not turn its reader into a busy loop."""

MERGE_PATCH = "application/merge-patch+json"
JSON_BODY = "application/json"
_READS = ("GET", "HEAD")
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError)


class HttpKubeApi:
    """Implements `KubeApi`. `close` it, or use it as an async context manager.

    `log` counts requests and remembers when each watch was last heard of.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        field_manager: str = "grove-operator",
        page_size: int = PAGE_SIZE,
        inactivity_s: float = INACTIVITY_S,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
        log: RequestLog | None = None,
    ) -> None:
        self.connection = connection
        self.log = log or RequestLog()
        self._field_manager, self._page_size = field_manager, page_size
        self._inactivity_s, self._request_timeout_s = inactivity_s, request_timeout_s
        self._ssl = connection.ssl_context() if connection.server.startswith("https:") else True
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_kubeconfig(cls, kubeconfig: str | Path | None = None, **options: Any) -> HttpKubeApi:
        """By `connection.connect`: the path, $KUBECONFIG, the pod's service account, ~/.kube/config."""
        return cls(connect(kubeconfig), **options)

    @classmethod
    def in_cluster(cls, **options: Any) -> HttpKubeApi:
        return cls(in_cluster(), **options)

    async def __aenter__(self) -> HttpKubeApi:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
            for _ in range(LAST_TURNS):
                await asyncio.sleep(0)

    # --- the port ---------------------------------------------------------------------------------------------------

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Json:
        return await self._call("GET", "get", kind, _path(kind, namespace, name))

    async def list(
        self, kind: Kind, *, namespace: str | None = None, label_selector: str = "", field_selector: str = ""
    ) -> Listing:
        """In pages of 500. When a page's token expires under way the list starts anew, at last in one piece."""
        selectors = _selectors(label_selector, field_selector)
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._list_in_pages(kind, namespace, selectors, self._page_size)
            except Gone:
                continue
        return await self._list_in_pages(kind, namespace, selectors, 0)

    async def watch(
        self,
        kind: Kind,
        resource_version: str,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        params = {
            **_selectors(label_selector, field_selector),
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(WATCH_TIMEOUT_S),
        }
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S, sock_read=self._inactivity_s)
        subject = f"watch {kind.plural}"
        started, heard = time.monotonic(), False
        async with self._respond("GET", "watch", kind, _path(kind, namespace), params, timeout=timeout) as response:
            self.log.heard(kind)
            async for line in _lines(response, subject):
                self.log.heard(kind)
                heard = True
                yield _watch_event(line, subject)
        if not heard and time.monotonic() - started < EMPTY_WATCH_PAUSE_S:
            await asyncio.sleep(EMPTY_WATCH_PAUSE_S)

    async def create(self, kind: Kind, namespace: str | None, body: Json, *, subresource_of: str = "") -> Json:
        path = _path(kind, namespace, *subresource_of.split("/", 1)) if subresource_of else _path(kind, namespace)
        return await self._call("POST", "create", kind, path, self._written_by(), body, JSON_BODY)

    async def patch(
        self, kind: Kind, namespace: str | None, name: str, body: Json, *, subresource: str | None = None
    ) -> Json:
        path = _path(kind, namespace, name, subresource)
        return await self._call("PATCH", "patch", kind, path, self._written_by(), body, MERGE_PATCH)

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, *, uid: str = "", grace_s: int | None = None
    ) -> None:
        options: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        await self._call("DELETE", "delete", kind, _path(kind, namespace, name), None, options, JSON_BODY)

    # --- beside the port --------------------------------------------------------------------------------------------

    async def raw(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        params: Mapping[str, str] | None = None,
        content_type: str = JSON_BODY,
        accept: str = JSON_BODY,
    ) -> Json:
        """Any request by its path: `/version`, a server-side apply, a list of metadata only. JSON answers only."""
        return await self._call(method, method.lower(), None, path, params, body, content_type, accept)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _written_by(self) -> dict[str, str]:
        return {"fieldManager": self._field_manager}

    async def _list_in_pages(
        self, kind: Kind, namespace: str | None, selectors: Mapping[str, str], page_size: int
    ) -> Listing:
        items: list[Json] = []
        token = ""
        while True:
            params = dict(selectors)
            if page_size:
                params["limit"] = str(page_size)
            if token:
                params["continue"] = token
            page = await self._call("GET", "list", kind, _path(kind, namespace), params)
            for item in page.get("items") or []:
                item.setdefault("kind", kind.kind)
                item.setdefault("apiVersion", kind.api_version)
                items.append(item)
            token = page["metadata"].get("continue") or ""
            if not token:
                return Listing(items, page["metadata"].get("resourceVersion", ""))

    async def _call(
        self,
        method: str,
        verb: str,
        kind: Kind | None,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = JSON_BODY,
        accept: str = JSON_BODY,
    ) -> Json:
        data = None if body is None else msgspec.json.encode(body)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self._respond(
                    method, verb, kind, path, params, data=data, content_type=content_type, accept=accept
                ) as response:
                    return _decode(await response.read(), f"{verb} {path}")
            except ApiError as error:
                pause_s = _pause_before_retry(method, error, attempt)
                if pause_s is None:
                    raise
            await asyncio.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def _respond(
        self,
        method: str,
        verb: str,
        kind: Kind | None,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        data: bytes | None = None,
        content_type: str = JSON_BODY,
        accept: str = JSON_BODY,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request; a good answer is yielded unread, everything else becomes an ApiError."""
        subject, started, code = f"{verb} {path}", time.monotonic(), 0
        try:
            headers = {"Accept": accept}
            if data is not None:
                headers["Content-Type"] = content_type
            if token := self.connection.bearer():
                headers["Authorization"] = f"Bearer {token}"
            async with self._open_session().request(
                method,
                self.connection.server + path,
                params=params,
                data=data,
                headers=headers,
                ssl=self._ssl,
                server_hostname=self.connection.tls_server_name,
                proxy=self.connection.proxy,
                timeout=timeout or aiohttp.ClientTimeout(total=self._request_timeout_s, connect=CONNECT_TIMEOUT_S),
                allow_redirects=False,
            ) as response:
                code = response.status
                if not 200 <= code < 300:
                    retry_after = response.headers.get("Retry-After", "")
                    raise to_error(code, decode_status(await response.read()), subject=subject, retry_after=retry_after)
                try:
                    yield response
                finally:
                    if (unread := response.connection) is not None and unread.transport is not None:
                        unread.transport.abort()  # a watch that nobody reads on: no farewell, the loop may end first
        except ConnectionConfigError as error:
            raise Overloaded(f"{subject}: {error}", reason="NoCredentials", status=503) from error
        except _BROKEN as error:
            what = str(error) or type(error).__name__
            raise Overloaded(f"{subject}: connection failed: {what}", reason="ConnectionFailed", status=503) from error
        finally:
            self.log.request(verb, kind, path, code, time.monotonic() - started)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=30)
            self._session = aiohttp.ClientSession(
                connector=connector, headers={"User-Agent": self._field_manager}, auto_decompress=True
            )
        return self._session


def _pause_before_retry(method: str, error: ApiError, attempt: int) -> float | None:
    """Seconds to wait before the same request again, None to give up."""
    if attempt == ATTEMPTS or not isinstance(error, Overloaded):
        return None
    if error.retry_after_s > LONGEST_RETRY_AFTER_S:
        return None
    if method in _READS:
        return max(error.retry_after_s, RETRY_PAUSE_S * attempt)
    return error.retry_after_s if error.status == 429 and error.retry_after_s > 0 else None


def _path(kind: Kind, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
    return quote(kind.path(namespace, name, subresource), safe="/:")


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    given = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: value for name, value in given.items() if value}


def _decode(body: bytes, subject: str) -> Json:
    try:
        decoded = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError as error:
        raise Overloaded(f"{subject}: the answer is no JSON: {error}", reason="BadAnswer", status=502) from error
    if not isinstance(decoded, dict):
        raise Overloaded(f"{subject}: the answer is no JSON object", reason="BadAnswer", status=502)
    return decoded


async def _lines(response: aiohttp.ClientResponse, subject: str) -> AsyncIterator[bytes]:
    """Whole lines of a stream. A half line at its end is dropped: the next watch sends that event again."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line


def _watch_event(line: bytes, subject: str) -> WatchEvent:
    event = _decode(line, subject)
    if event.get("type") == "ERROR":
        status = event.get("object") or {}
        raise to_error(int(status.get("code") or 500), status, subject=subject)
    return WatchEvent(event["type"], event["object"])
