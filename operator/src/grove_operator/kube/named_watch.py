"""Work that is done again whenever one of a few objects, each known by its name, was written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from grove_operator.api.kinds import Json, Kind
from grove_operator.engine.informer import Informer
from grove_operator.engine.ports import ApiError, Clock, KubeApi

log = logging.getLogger(__name__)

RETRY_S = 1.0


class NamedWatch:
    """`objects`: (kind, namespace, name), a watch for each, so that rules may be limited to their names."""

    def __init__(self, api: KubeApi, clock: Clock, objects: Sequence[tuple[Kind, str | None, str]]) -> None:
        self._clock = clock
        self._changed = asyncio.Event()
        self._informers = [
            Informer(
                api,
                clock,
                kind,
                lambda old, new: self._changed.set(),
                namespace=namespace,
                field_selector=f"metadata.name={name}",
                trim=_identity_only,
            )
            for kind, namespace, name in objects
        ]

    def look_again(self) -> None:
        self._changed.set()

    async def run(self, work: Callable[[], Awaitable[float]], what: str) -> None:
        """`work` after every change, and when as many seconds have passed as it answers; an ApiError is logged as
        `what`'s and the work tried again. Until cancelled."""
        watches = [
            asyncio.create_task(informer.run(), name=f"watch {informer.kind.plural}") for informer in self._informers
        ]
        try:
            while True:
                self._changed.clear()
                try:
                    await self._wait(await work())
                except ApiError as error:
                    log.warning("%s: %s; again in %g s", what, error, RETRY_S)
                    await self._clock.sleep(max(RETRY_S, error.retry_after_s))
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    async def _wait(self, seconds: float) -> None:
        """Until something changed, or so many seconds have passed."""
        changed = asyncio.ensure_future(self._changed.wait())
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({changed, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            timer.cancel()


def _identity_only(obj: Json) -> Json:
    """The informers need not keep secrets and whole CRDs in memory."""
    return {"metadata": {"name": obj["metadata"]["name"], "resourceVersion": obj["metadata"]["resourceVersion"]}}
