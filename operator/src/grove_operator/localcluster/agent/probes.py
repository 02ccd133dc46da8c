"""Startup, readiness and liveness probes of a real container, with Kubernetes' periods and thresholds."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from grove_operator.api.kinds import Json
from grove_operator.engine.ports import Clock

Exec = Callable[[list[str]], Awaitable[int]]
"""Runs a command beside the container and returns its exit code."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Kubernetes' defaults; seconds and counts."""

    delay_s: float
    period_s: float
    timeout_s: float
    successes: int
    failures: int

    @classmethod
    def of(cls, probe: Json) -> Timing:
        return cls(
            probe.get("initialDelaySeconds") or 0,
            probe.get("periodSeconds") or 10,
            probe.get("timeoutSeconds") or 1,
            probe.get("successThreshold") or 1,
            probe.get("failureThreshold") or 3,
        )


def port_of(container: Json, port: int | str) -> int:
    """A number, or the name of one of the container's ports; ValueError when there is no such port."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for declared in container.get("ports") or []:
        if declared.get("name") == port:
            return int(declared["containerPort"])
    raise ValueError(f"container {container['name']} has no port named {port}; name it under ports")


async def ask(probe: Json, container: Json, ip: str, run: Exec) -> str:
    """One attempt: "" on success, else why it failed. Time-outs are the caller's."""
    try:
        if "exec" in probe:
            code = await run(probe["exec"].get("command") or [])
            return "" if code == 0 else f"command exited with {code}"
        if "httpGet" in probe:
            return await _http(probe["httpGet"], container, ip)
        target = probe.get("tcpSocket") or probe.get("grpc") or {}
        host = target.get("host") or ip
        _, writer = await asyncio.open_connection(host, port_of(container, target["port"]))
        writer.close()
    except (OSError, ValueError, aiohttp.ClientError) as error:
        return str(error) or type(error).__name__
    return ""


async def _http(get: Json, container: Json, ip: str) -> str:
    host, port = get.get("host") or ip, port_of(container, get["port"])
    url = f"{get.get('scheme', 'HTTP').lower()}://{host}:{port}/{(get.get('path') or '').lstrip('/')}"
    headers = {h["name"]: h["value"] for h in get.get("httpHeaders") or []}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=_unverified())) as session,
        session.get(url, headers=headers) as answer,
    ):
        return "" if 200 <= answer.status < 400 else f"{url} answered {answer.status}"


def _unverified() -> ssl.SSLContext:
    """A kubelet doesn't verify a probed container's certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(slots=True)
class Prober:
    """Asks one probe until cancelled; `on_verdict(passed, why)` is called when a threshold is reached and changes."""

    probe: Json
    container: Json
    ip: str
    clock: Clock
    run: Exec
    on_verdict: Callable[[bool, str], None]

    async def loop(self, *, until_first_success: bool = False) -> None:
        timing = Timing.of(self.probe)
        verdict: bool | None = None
        streak, last = 0, None
        await self.clock.sleep(timing.delay_s)
        while True:
            try:
                why = await asyncio.wait_for(ask(self.probe, self.container, self.ip, self.run), timing.timeout_s)
            except TimeoutError:
                why = f"no answer in {timing.timeout_s:g} s"
            passed = not why
            streak = streak + 1 if passed is last else 1
            last = passed
            if streak >= (timing.successes if passed else timing.failures) and verdict is not passed:
                verdict = passed
                self.on_verdict(passed, why)
            if passed and until_first_success:
                return
            await self.clock.sleep(timing.period_s)
