"""Keeps the conversion webhook in the CRDs that have two versions, and v1beta1 served while it is there.

    CRD as installed: v1beta1 not served, no conversion  ──>  conversion to our server with our CA, v1beta1 served

Whoever writes a CRD again (kubectl apply, pulumi up) takes both away; they are put back as soon as the watch tells.
Which version is stored is none of its business.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable

from grove_operator.api.kinds import CRD, DYNAMO_GRAPH_DEPLOYMENT, SCALING_ADAPTER, Json, Kind
from grove_operator.engine.informer import Informer
from grove_operator.engine.ports import ApiError, Clock, Conflict, KubeApi, NotFound
from grove_operator.kube.certificates import WEBHOOK_SERVICE

log = logging.getLogger(__name__)

PATH = "/webhooks/convert"
SERVED = "v1beta1"
CONVERTED: tuple[Kind, ...] = (DYNAMO_GRAPH_DEPLOYMENT, SCALING_ADAPTER)
RETRY_S, CHECK_PERIOD_S = 1.0, 600.0
RACES = 5


def crd_name(kind: Kind) -> str:
    return f"{kind.plural}.{kind.group}"


def with_conversion(crd: Json, namespace: str, port: int, ca: bytes) -> Json | None:
    """The spec's patch, None when nothing is to be done; CRDs without the version are left alone. Pure."""
    versions = crd["spec"]["versions"]
    if SERVED not in [version["name"] for version in versions]:
        return None
    service = {"namespace": namespace, "name": WEBHOOK_SERVICE, "path": PATH, "port": port}
    client = {"service": service, "caBundle": base64.b64encode(ca).decode()}
    conversion = {
        "strategy": "Webhook",
        "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]},
    }
    wanted = [{**v, "served": True} if v["name"] == SERVED else v for v in versions]
    if crd["spec"].get("conversion") == conversion and wanted == versions:
        return None
    return {"conversion": conversion, "versions": wanted}


class CrdKeeper:
    """`run` until cancelled. `ca` gives the CA that the API server shall trust, b"" while there is none."""

    def __init__(self, api: KubeApi, clock: Clock, namespace: str, port: int, ca: Callable[[], bytes]) -> None:
        self._api, self._clock = api, clock
        self._namespace, self._port, self._ca = namespace, port, ca
        self._changed = asyncio.Event()

    async def run(self) -> None:
        watches = [
            asyncio.create_task(
                Informer(
                    self._api,
                    self._clock,
                    CRD,
                    lambda old, new: self._changed.set(),
                    field_selector=f"metadata.name={crd_name(kind)}",
                    trim=_identity_only,
                ).run()
            )
            for kind in CONVERTED
        ]
        try:
            while True:
                self._changed.clear()
                try:
                    for kind in CONVERTED:
                        await self.keep(kind)
                    await self._wait()
                except ApiError as error:
                    log.warning("conversion of CRDs: %s; again in %g s", error, RETRY_S)
                    await self._clock.sleep(max(RETRY_S, error.retry_after_s))
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    async def keep(self, kind: Kind) -> bool:
        """Whether the CRD had to be written. Raises Conflict when others keep changing it."""
        for _ in range(RACES):
            try:
                live = await self._api.get(CRD, None, crd_name(kind))
                change = with_conversion(live, self._namespace, self._port, self._ca())
                if change is None:
                    return False
                precondition = {"resourceVersion": live["metadata"]["resourceVersion"]}
                await self._api.patch(CRD, None, crd_name(kind), {"metadata": precondition, "spec": change})
                log.info("conversion put into CRD %s", crd_name(kind))
                return True
            except NotFound:
                return False
            except Conflict:
                continue
        raise Conflict(f"CRD {crd_name(kind)}: others keep changing it; find out who writes its conversion")

    async def _wait(self) -> None:
        """Until a CRD changed, or ten minutes have passed: the CA may have been renewed."""
        changed = asyncio.ensure_future(self._changed.wait())
        timer = asyncio.ensure_future(self._clock.sleep(CHECK_PERIOD_S))
        try:
            await asyncio.wait({changed, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            timer.cancel()


def _identity_only(obj: Json) -> Json:
    """The informer need not keep whole CRDs in memory."""
    return {"metadata": {"name": obj["metadata"]["name"], "resourceVersion": obj["metadata"]["resourceVersion"]}}
