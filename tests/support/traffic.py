"""Clients that ask a model server through its Service, one question after another, and keep account of what becomes of
each.

    answered    the stream ended as it should
    broken      it began (200) and ended otherwise
    refused     it did not begin: no connection, or another code
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from types import TracebackType

import aiohttp

from grove_operator.api.kinds import POD, SERVICE, Json
from grove_operator.core.objects import is_terminating
from grove_operator.kube.client import HttpKubeApi
from tests.support.operated import is_ready

BEGUN = 4


class Traffic:
    """Runs from enter to exit. Every question goes to the ready endpoints in turn, as kube-proxy would lead it."""

    def __init__(
        self, api: HttpKubeApi, namespace: str, service: str, model: str, *, clients: int = 4, tokens: int = 24
    ) -> None:
        self._count, self._tokens = clients, tokens
        self._api, self._namespace, self._service, self._model = api, namespace, service, model
        self._turn = itertools.count()
        self._stop = asyncio.Event()
        self._clients: list[asyncio.Task[None]] = []
        self.answered = 0
        self.broken: list[str] = []
        self.refused: list[str] = []

    async def __aenter__(self) -> Traffic:
        self._clients = [asyncio.create_task(self._client(i)) for i in range(self._count)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        await asyncio.gather(*self._clients)

    async def has_begun(self) -> bool:
        return self.answered >= BEGUN

    def summary(self) -> str:
        return f"{self.answered} answered, {len(self.broken)} broken off, {len(self.refused)} refused"

    async def _client(self, number: int) -> None:
        for question in itertools.count():
            if self._stop.is_set():
                return
            await self._ask(f"client {number}, question {question}: what runs in a gang? " * 4)

    async def _address(self) -> str:
        """A ready endpoint of the Service, from its pods: EndpointSlices refuse loopback addresses."""
        service = await self._api.get(SERVICE, self._namespace, self._service)
        selector = ",".join(f"{key}={value}" for key, value in service["spec"]["selector"].items())
        found = await self._api.list(POD, namespace=self._namespace, label_selector=selector)
        ready = sorted(p["status"]["podIP"] for p in found.items if is_ready(p) and not is_terminating(p))
        return f"{ready[next(self._turn) % len(ready)]}:{service['spec']['ports'][0]['port']}" if ready else ""

    async def _ask(self, text: str) -> None:
        """One question over a connection of its own."""
        body: Json = {
            "model": self._model,
            "stream": True,
            "max_tokens": self._tokens,
            "messages": [{"role": "user", "content": text}],
        }
        address, began = await self._address(), False
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"http://{address}/v1/chat/completions", json=body) as answer,
            ):
                if answer.status != 200:
                    self.refused.append(f"{time.time():.2f} {address}: {answer.status} {await answer.text()}")
                    return
                began = True
                fault = await _fault_of(answer)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            fault = f"{type(error).__name__}: {error}"
        if not began:
            self.refused.append(f"{time.time():.2f} {address}: {fault}")
        elif fault:
            self.broken.append(f"{time.time():.2f} {address}: {fault}")
        else:
            self.answered += 1


async def _fault_of(answer: aiohttp.ClientResponse) -> str:
    """What is wrong with a stream, "" when it ended with [DONE]."""
    async for raw in answer.content:
        line = raw.decode().strip()
        if line == "data: [DONE]":
            return ""
        if line.startswith("event: error") or '"error"' in line:
            return line
        if line.startswith("data: "):
            json.loads(line.removeprefix("data: "))
    return "ended without [DONE]"
