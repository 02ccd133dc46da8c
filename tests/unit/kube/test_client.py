"""The HTTP client against a small server that misbehaves on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from grove_operator.api.kinds import LEASE, POD, Json
from grove_operator.engine.ports import (
    AlreadyExists,
    ApiError,
    Conflict,
    Gone,
    Invalid,
    NotFound,
    Overloaded,
    WatchEvent,
)
from grove_operator.kube.client import HttpKubeApi
from grove_operator.kube.connection import Connection

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeServer:
    """Answers every request with `handler`; `requests` holds what came."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.handler: Handler = self.answer(200, {})
        self.url = ""

    async def dispatch(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request.method, request.path, dict(request.query), json.loads(body) if body else None))
        return await self.handler(request)

    @staticmethod
    def answer(status: int, body: Json, **headers: str) -> Handler:
        async def handler(_: web.Request) -> web.StreamResponse:
            return web.json_response(body, status=status, headers=headers)

        return handler

    def in_turn(self, *handlers: Handler) -> None:
        """One handler per request; the last one stays."""
        left = list(handlers)

        async def handler(request: web.Request) -> web.StreamResponse:
            return await (left.pop(0) if len(left) > 1 else left[0])(request)

        self.handler = handler


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.dispatch)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


@pytest.fixture
async def api(server: FakeServer) -> AsyncIterator[HttpKubeApi]:
    async with HttpKubeApi(Connection(server=server.url, token="t"), page_size=2) as client:
        yield client


def status(code: int, reason: str, **details: Any) -> Json:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "no", "details": details}


def stream(*parts: bytes, cut: bool = False) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        if cut:
            assert request.transport
            request.transport.abort()
        return response

    return handler


def event(kind: str, name: str, version: str = "5") -> bytes:
    return json.dumps({"type": kind, "object": {"metadata": {"name": name, "resourceVersion": version}}}).encode()


async def watched(api: HttpKubeApi, into: list[WatchEvent] | None = None) -> list[WatchEvent]:
    """Events until the watch ends; those before an error are left in `into`."""
    seen = [] if into is None else into
    async for one in api.watch(POD, "4"):
        seen.append(one)
    return seen


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (404, "NotFound", NotFound),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", Conflict),
        (410, "Expired", Gone),
        (400, "BadRequest", Invalid),
        (403, "Forbidden", Invalid),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", Overloaded),
        (500, "InternalError", Overloaded),
        (503, "ServiceUnavailable", Overloaded),
    ],
)
async def test_each_status_becomes_its_own_error(
    server: FakeServer, api: HttpKubeApi, code: int, reason: str, error: type[ApiError]
) -> None:
    server.handler = server.answer(code, status(code, reason))
    with pytest.raises(error) as raised:
        await api.create(POD, "default", {})
    assert (type(raised.value), raised.value.status, raised.value.reason) == (error, code, reason)
    assert "create /api/v1/namespaces/default/pods" in str(raised.value)


async def test_a_foreign_uid_in_a_patch_is_a_conflict(server: FakeServer, api: HttpKubeApi) -> None:
    server.handler = server.answer(422, status(422, "Invalid", causes=[{"field": "metadata.uid"}]))
    with pytest.raises(Conflict):
        await api.patch(POD, "default", "p", {"metadata": {"uid": "other"}})


async def test_a_refused_write_is_sent_once_unless_the_server_asks_to_wait(
    server: FakeServer, api: HttpKubeApi
) -> None:
    server.handler = server.answer(503, status(503, "ServiceUnavailable"))
    with pytest.raises(Overloaded):
        await api.create(POD, "default", {})
    assert len(server.requests) == 1
    busy = server.answer(429, status(429, "TooManyRequests"), **{"Retry-After": "0.01"})
    server.in_turn(busy, server.answer(201, {"metadata": {"name": "p"}}))
    assert (await api.create(POD, "default", {}))["metadata"]["name"] == "p"
    assert len(server.requests) == 3
    assert api.log.writes() == {("create", "pods"): 3}


async def test_a_read_is_tried_again_but_not_for_ever(server: FakeServer, api: HttpKubeApi) -> None:
    server.in_turn(server.answer(500, {}), server.answer(200, {"metadata": {"name": "p"}}))
    assert (await api.get(POD, "default", "p"))["metadata"]["name"] == "p"
    server.in_turn(server.answer(500, {}))
    with pytest.raises(Overloaded):
        await api.get(POD, "default", "p")
    assert len(server.requests) == 5


async def test_an_answer_that_is_no_json_is_an_error_of_the_port(server: FakeServer, api: HttpKubeApi) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>proxy</html>")

    server.handler = handler
    with pytest.raises(Overloaded, match="no JSON"):
        await api.create(POD, "default", {})


async def test_nobody_listening_is_told_as_overload(server: FakeServer) -> None:
    async with HttpKubeApi(Connection(server="http://127.0.0.1:1")) as client:
        with pytest.raises(Overloaded, match="connection failed"):
            await client.create(POD, "default", {})


async def test_a_list_is_read_page_by_page(server: FakeServer, api: HttpKubeApi) -> None:
    def page(name: str, token: str) -> Handler:
        meta = {"resourceVersion": "9", **({"continue": token} if token else {})}
        return server.answer(200, {"metadata": meta, "items": [{"metadata": {"name": name}}]})

    server.in_turn(page("a", "t1"), page("b", ""))
    listing = await api.list(POD, namespace="default", label_selector="x=y")
    assert [item["metadata"]["name"] for item in listing.items] == ["a", "b"]
    assert listing.resource_version == "9"
    assert [query for _, _, query, _ in server.requests] == [
        {"labelSelector": "x=y", "limit": "2"},
        {"labelSelector": "x=y", "limit": "2", "continue": "t1"},
    ]


async def test_a_list_whose_pages_expire_starts_anew_and_at_last_in_one_piece(
    server: FakeServer, api: HttpKubeApi
) -> None:
    first = server.answer(200, {"metadata": {"resourceVersion": "9", "continue": "t"}, "items": []})
    expired = server.answer(410, status(410, "Expired"))
    whole = server.answer(200, {"metadata": {"resourceVersion": "10"}, "items": []})
    server.in_turn(first, expired, first, expired, whole)
    assert (await api.list(POD)).resource_version == "10"
    assert server.requests[-1][2] == {}


async def test_watch_events_come_whole_however_the_stream_is_cut_into_pieces(
    server: FakeServer, api: HttpKubeApi
) -> None:
    text = b"\n".join([event("ADDED", "ä"), event("BOOKMARK", "", "7"), event("DELETED", "ä", "8"), b""])
    server.handler = stream(*(text[i : i + 7] for i in range(0, len(text), 7)))
    events = await watched(api)
    assert [one.type for one in events] == ["ADDED", "BOOKMARK", "DELETED"]
    assert events[0].object["metadata"]["name"] == "ä"
    query = server.requests[0][2]
    assert query["resourceVersion"] == "4"
    assert query["allowWatchBookmarks"] == "true"
    assert int(query["timeoutSeconds"]) > 0


async def test_an_error_in_the_stream_is_raised_after_the_events_before_it(
    server: FakeServer, api: HttpKubeApi
) -> None:
    error = json.dumps({"type": "ERROR", "object": status(410, "Expired")}).encode()
    server.handler = stream(event("ADDED", "a") + b"\n" + error + b"\n")
    seen: list[WatchEvent] = []
    with pytest.raises(Gone):
        await watched(api, seen)
    assert [one.type for one in seen] == ["ADDED"]


async def test_a_cut_connection_is_overload_and_half_an_event_is_dropped(server: FakeServer, api: HttpKubeApi) -> None:
    server.handler = stream(event("ADDED", "a") + b"\n" + event("ADDED", "b")[:20], cut=True)
    seen: list[WatchEvent] = []
    with pytest.raises(Overloaded):
        await watched(api, seen)
    assert [one.object["metadata"]["name"] for one in seen] in ([], ["a"])


async def test_a_silent_watch_is_given_up(server: FakeServer) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(event("ADDED", "a") + b"\n")
        await asyncio.Event().wait()
        return response

    server.handler = handler
    async with HttpKubeApi(Connection(server=server.url), inactivity_s=0.05) as client:
        with pytest.raises(Overloaded, match="connection failed"):
            await watched(client)


async def test_a_deletion_carries_its_precondition_and_grace(server: FakeServer, api: HttpKubeApi) -> None:
    await api.delete(LEASE, "ns", "l", uid="u1", grace_s=0)
    method, path, _, body = server.requests[0]
    assert (method, path) == ("DELETE", "/apis/coordination.k8s.io/v1/namespaces/ns/leases/l")
    assert body["preconditions"] == {"uid": "u1"}
    assert body["gracePeriodSeconds"] == 0
    assert body["propagationPolicy"] == "Background"


async def test_a_hundred_and_fifty_requests_are_in_flight_at_once(server: FakeServer, api: HttpKubeApi) -> None:
    everyone = asyncio.Barrier(150)

    async def handler(_: web.Request) -> web.StreamResponse:
        await everyone.wait()  # answers only once all have arrived
        return web.json_response({})

    server.handler = handler
    await asyncio.gather(*(api.get(POD, "default", f"p{n}") for n in range(150)))
