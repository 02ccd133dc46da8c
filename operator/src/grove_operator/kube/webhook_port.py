"""A port of ours that somebody else answers: found before we share it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

PROBE_TIMEOUT_S = 3.0


class PortTaken(RuntimeError):  # noqa: N818 - says what happened
    """Another program answers on the port: with SO_REUSEPORT it would silently get part of our requests."""


WEBHOOKS_REMEDY = "server.webhooks.port (stack config: grove:operator.webhookPort)"


async def refuse_a_strangers_port(address: str, port: int, ca: Path, remedy: str = WEBHOOKS_REMEDY) -> None:
    """Raises `PortTaken` unless the port is silent, or answered by a replica that shares our CA (a rolling update)."""
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    host = "127.0.0.1" if address in ("", "0.0.0.0") else address  # noqa: S104 - compared, not bound
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port, ssl=context), PROBE_TIMEOUT_S)
    except ConnectionRefusedError:
        return
    except (OSError, TimeoutError) as error:
        raise PortTaken(
            f"port {port} is answered by another program on this host ({error}); "
            f"give this one a port of its own: {remedy}"
        ) from error
    writer.close()
