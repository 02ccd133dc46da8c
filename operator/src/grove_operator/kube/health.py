"""/healthz, /readyz and /metrics, answered by a thread of their own, so that they tell the truth about the others.

    /healthz   503 when a loop has been silent for a minute or a thread is gone: restart the process
    /readyz    503 until the process can do its part (a standby that waits for the Lease is ready, too)

Both answer JSON with what is wrong and, for the curious, the age of the last sign of life of every watch.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

HUNG_AFTER_S = 60.0
BEAT_S = 1.0
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 2.0

Check = Callable[[], str]
""" "" when all is well, else what is wrong."""
Handler = Callable[[web.Request], Awaitable[web.Response]]


class ListenError(Exception):
    """A port can't be had."""


class Heartbeat:
    """A loop that runs sets this once a second; its age tells a hung one."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def age_s(self) -> float:
        return time.monotonic() - self._last

    def fault(self) -> str:
        age_s = self.age_s()
        return f"its loop has been silent for {age_s:.0f} s" if age_s > HUNG_AFTER_S else ""

    async def run(self) -> None:
        while True:
            self._last = time.monotonic()
            await asyncio.sleep(BEAT_S)


@dataclass
class Health:
    """Named checks. They are called from the probe thread, so they only read."""

    liveness: dict[str, Check] = field(default_factory=dict)
    readiness: dict[str, Check] = field(default_factory=dict)
    watch_ages_s: Callable[[], Mapping[str, float]] = dict

    def report(self, checks: Mapping[str, Check]) -> tuple[int, dict[str, object]]:
        """HTTP status and body."""
        faults = {name: fault for name, check in checks.items() if (fault := check())}
        ages = {name: round(age_s, 1) for name, age_s in self.watch_ages_s().items()}
        return (503 if faults else 200), {"ok": not faults, "faults": faults, "watchAgeSeconds": ages}

    async def healthz(self, _: web.Request) -> web.Response:
        status, body = self.report(self.liveness)
        return web.json_response(body, status=status)

    async def readyz(self, _: web.Request) -> web.Response:
        status, body = self.report({**self.liveness, **self.readiness})
        return web.json_response(body, status=status)


def listen_address(configured: str) -> str:
    """The configured address; else the pod's own where that is a loopback address (pods that share one host, as in
    the local cluster, may then use the same port); else all interfaces."""
    pod_ip = os.environ.get("POD_IP", "")
    try:
        shares_host = ipaddress.ip_address(pod_ip).is_loopback
    except ValueError:
        shares_host = False
    return configured or (pod_ip if shares_host else "0.0.0.0")  # noqa: S104 - as every pod does


class ProbeThread:
    """Serves plain HTTP: {(address, port): {path: handler}}. `start` raises ListenError."""

    def __init__(self, sites: Mapping[tuple[str, int], Mapping[str, Handler]]) -> None:
        self._sites = sites
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._main, name="probes", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait(START_TIMEOUT_S)
        if self._failure is not None:
            raise ListenError(str(self._failure)) from self._failure

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(STOP_TIMEOUT_S)

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # told to whoever started it
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runners: list[web.AppRunner] = []
        try:
            for (address, port), routes in self._sites.items():
                app = web.Application()
                app.add_routes([web.get(path, handler) for path, handler in routes.items()])
                runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=0.1)
                runners.append(runner)
                await runner.setup()
                await _listen(runner, address, port)
            self._ready.set()
            await self._stop.wait()
        finally:
            for runner in runners:
                await runner.cleanup()


async def _listen(runner: web.AppRunner, address: str, port: int) -> None:
    try:
        # reuse_port: during a rolling update on one host the successor listens before its predecessor has gone.
        await web.TCPSite(runner, address, port, reuse_port=True, reuse_address=True).start()
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        remedy = "another process has it; choose another port in the configuration" if taken else error.strerror
        raise ListenError(f"can't listen on {address}:{port}: {remedy}") from error
