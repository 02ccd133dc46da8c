"""What became of the pods of some roles, moment by moment: for the message of a test that fails."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

from grove_operator.api.kinds import POD, Json
from grove_operator.core.objects import is_terminating
from grove_operator.kube.client import HttpKubeApi
from tests.support.operated import is_ready

LOOK_EVERY_S = 0.05
ROLE = "nvidia.com/dynamo-component"


@contextlib.asynccontextmanager
async def timeline(api: HttpKubeApi, namespace: str, roles: Sequence[str]) -> AsyncIterator[list[str]]:
    """One line for each change, written while the block runs: Unix time, role, its pods with what they are."""
    lines: list[str] = []
    task = asyncio.create_task(_look(api, namespace, roles, lines))
    try:
        yield lines
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _look(api: HttpKubeApi, namespace: str, roles: Sequence[str], lines: list[str]) -> None:
    before: dict[str, str] = {}
    while True:
        for role in roles:
            found = await api.list(POD, namespace=namespace, label_selector=f"{ROLE}={role}")
            now = ", ".join(sorted(map(_told, found.items)))
            if before.get(role) != now:
                before[role] = now
                lines.append(f"{time.time():.2f} {role}: {now}")
        await asyncio.sleep(LOOK_EVERY_S)


def _told(pod: Json) -> str:
    restarts = sum(c["restartCount"] for c in pod.get("status", {}).get("containerStatuses") or ())
    said = ["Ready" if is_ready(pod) else "not Ready", *(["going"] if is_terminating(pod) else [])]
    return f"{pod['metadata']['name'].rpartition('-')[2]} {' '.join(said)}" + (f" {restarts} restarts" * bool(restarts))
