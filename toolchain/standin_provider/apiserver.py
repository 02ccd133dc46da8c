"""HTTP to one API server. Connections for reads are kept; each write gets a fresh one, so that a connection which the
server has closed meanwhile is never the reason why a write's effect is unknown."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from standin_provider.errors import ApiFailure, Unreachable
from standin_provider.objects import group_of
from standin_provider.settings import Endpoint, require_loopback, write_private
from standin_provider.wire import Json

_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class ResourceType:
    """One served kind: the path of its collection and whether its objects live in namespaces."""

    api_version: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        root = f"/apis/{self.api_version}" if group_of(self.api_version) else f"/api/{self.api_version}"
        scope = f"/namespaces/{quote(namespace)}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{quote(name)}" if name else "")


class ApiServer:
    """Thread-safe. Raises ApiFailure for answers of 400 and above, Unreachable where there is no answer."""

    def __init__(self, endpoint: Endpoint, on_warning: Callable[[str], None] = lambda _: None):
        require_loopback(endpoint.server)
        self.server = endpoint.server
        self._endpoint = endpoint
        self._address = urlsplit(endpoint.server)
        self._tls = _tls(endpoint) if self._address.scheme == "https" else None
        self._idle: list[http.client.HTTPConnection] = []
        self._types: dict[str, dict[str, ResourceType]] = {}
        self._lock = threading.Lock()
        self._on_warning = on_warning

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        return self.request("GET", path, query=query)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        target = f"{self._address.path}{path}" + (f"?{urlencode(query)}" if query else "")
        payload = None if body is None else json.dumps(body).encode()
        status, warnings, answer = self._exchange(method, target, payload, content_type)
        for warning in warnings:
            self._on_warning(warning)
        if status >= 400:
            raise ApiFailure(status, str(answer.get("reason", "")), str(answer.get("message") or f"HTTP {status}"))
        return answer

    def resource_type(self, api_version: str, kind: str) -> ResourceType | None:
        """None if the server doesn't serve that kind (now). A miss is asked again each time, a hit is remembered."""
        with self._lock:
            known = self._types.get(api_version, {}).get(kind)
        if known is not None:
            return known
        root = f"/apis/{api_version}" if group_of(api_version) else f"/api/{api_version}"
        try:
            listed = self.get(root).get("resources") or []
        except ApiFailure as failure:
            if failure.status == 404:
                return None
            raise
        types = {
            r["kind"]: ResourceType(api_version, r["name"], r["namespaced"]) for r in listed if "/" not in r["name"]
        }
        with self._lock:
            self._types[api_version] = types
        return types.get(kind)

    def forget_types(self) -> None:
        with self._lock:
            self._types.clear()

    def close(self) -> None:
        with self._lock:
            connections, self._idle = self._idle, []
        for connection in connections:
            connection.close()

    def _exchange(
        self, method: str, target: str, payload: bytes | None, content_type: str
    ) -> tuple[int, list[str], Json]:
        headers = {"Accept": "application/json", "User-Agent": "grove-standin-provider"}
        if self._endpoint.token:
            headers["Authorization"] = f"Bearer {self._endpoint.token}"
        if payload is not None:
            headers["Content-Type"] = content_type
        is_read = method == "GET"
        connection = self._take() if is_read else None
        if connection is not None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self._once(connection, method, target, payload, headers, keep=True)
            connection.close()
        connection, sent = self._connect(), False
        try:
            connection.connect()
            sent = True
            return self._once(connection, method, target, payload, headers, keep=is_read)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            reason = str(error) or error.__class__.__name__
            raise Unreachable(
                f"no answer from the API server {self.server}: {reason}", sent=sent and not is_read
            ) from error

    def _once(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        payload: bytes | None,
        headers: dict[str, str],
        *,
        keep: bool,
    ) -> tuple[int, list[str], Json]:
        connection.request(method, target, payload, headers)
        response = connection.getresponse()
        raw = response.read()
        warnings = [_warning_text(value) for value in response.headers.get_all("Warning") or []]
        if keep and not response.will_close:
            with self._lock:
                self._idle.append(connection)
        else:
            connection.close()
        try:
            answer = json.loads(raw) if raw else {}
        except ValueError:
            answer = {"message": raw.decode(errors="replace").strip()}
        return response.status, warnings, answer if isinstance(answer, dict) else {}

    def _take(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _connect(self) -> http.client.HTTPConnection:
        host = self._address.hostname or ""
        if self._tls is None:
            return http.client.HTTPConnection(host, self._address.port or 80, timeout=_TIMEOUT_S)
        port = self._address.port or 443
        return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=self._tls)


def _tls(endpoint: Endpoint) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=endpoint.ca or None)
    if endpoint.insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if endpoint.cert:
        paths = [write_private(endpoint.cert), write_private(endpoint.key)]
        try:
            context.load_cert_chain(*paths)
        finally:
            for path in paths:
                os.unlink(path)
    return context


def _warning_text(header: str) -> str:
    """`299 - "text"` -> `text`."""
    start = header.find('"')
    return header[start + 1 : -1].replace('\\"', '"') if start >= 0 and header.endswith('"') else header
