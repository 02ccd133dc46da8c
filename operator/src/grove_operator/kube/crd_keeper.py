"""Keeps the conversion webhook in the CRDs that have two versions; serves v1beta1 and stores it once that answers.

    CRD as installed                     v1alpha1 served and stored, v1beta1 not served, conversion by our Service
    ──> always                           conversion by our Service where it really is, with our CA
    ──> when the conversion server answers     v1beta1 served and stored (storage_version rewrites what there is)

Whoever writes a CRD again (kubectl apply, pulumi up) takes that away; it is put back as soon as the watch tells. Until
then the API server doesn't trust the conversion server, so it refuses rather than reads one version as the other.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable, Callable

from grove_operator.api.crds import PROMOTED
from grove_operator.api.install_conversion import conversion_service
from grove_operator.api.kinds import CRD, DYNAMO_GRAPH_DEPLOYMENT, SCALING_ADAPTER, Json, Kind
from grove_operator.engine.ports import Clock, Conflict, KubeApi, NotFound
from grove_operator.kube.named_watch import RETRY_S, NamedWatch

log = logging.getLogger(__name__)

CONVERTED: tuple[Kind, ...] = (DYNAMO_GRAPH_DEPLOYMENT, SCALING_ADAPTER)
CHECK_PERIOD_S = 600.0
RACES = 5


def crd_name(kind: Kind) -> str:
    return f"{kind.plural}.{kind.group}"


def is_promoted(crd: Json) -> bool:
    """Whether v1beta1 is served and stored. CRDs without that version are none of our business, so they count."""
    found = [v for v in crd["spec"]["versions"] if v["name"] == PROMOTED]
    return all(v["served"] and v["storage"] for v in found)


def with_conversion(crd: Json, namespace: str, port: int, ca: bytes, *, promote: bool) -> Json | None:
    """The spec's patch, None when nothing is to be done; CRDs without the version are left alone. `promote` serves and
    stores v1beta1; without it versions stay as they are. Pure."""
    versions = crd["spec"]["versions"]
    if PROMOTED not in [version["name"] for version in versions]:
        return None
    client = {"service": conversion_service(namespace, port), "caBundle": base64.b64encode(ca).decode()}
    conversion = {
        "strategy": "Webhook",
        "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]},
    }
    wanted = versions
    if promote:
        wanted = [{**v, "served": v["served"] or v["name"] == PROMOTED} for v in versions]
        wanted = [{**v, "storage": v["name"] == PROMOTED} for v in wanted]
    if crd["spec"].get("conversion") == conversion and wanted == versions:
        return None
    return {"conversion": conversion, "versions": wanted}


def watch_crds(api: KubeApi, clock: Clock) -> NamedWatch:
    """Of the CRDs that have two versions."""
    return NamedWatch(api, clock, [(CRD, None, crd_name(kind)) for kind in CONVERTED])


class CrdKeeper:
    """`run` until cancelled. `ca` gives the CA that the API server shall trust; `fault` says why the conversion server
    doesn't answer, "" when it does; `is_ours` says whether `nvidia.com` is this operator's business now."""

    def __init__(
        self,
        api: KubeApi,
        clock: Clock,
        service: tuple[str, int],
        ca: Callable[[], bytes],
        fault: Callable[[], Awaitable[str]],
        *,
        promotes: bool = True,
        is_ours: Callable[[], bool] = lambda: True,
    ) -> None:
        self._api, self._ca, self._fault = api, ca, fault
        self._namespace, self._port = service
        self._promotes, self._is_ours = promotes, is_ours
        self._watch = watch_crds(api, clock)
        self._said = ""

    def look_again(self) -> None:
        """The CA has changed, or who owns `nvidia.com`."""
        self._watch.look_again()

    async def run(self) -> None:
        await self._watch.run(self.keep_all, "conversion of CRDs")

    async def keep_all(self) -> float:
        """One pass; how long nothing needs to be done unless somebody changes something."""
        if not self._is_ours():
            return CHECK_PERIOD_S
        waits = [await self.keep(kind) for kind in CONVERTED]
        return RETRY_S if any(waits) else CHECK_PERIOD_S

    async def keep(self, kind: Kind) -> bool:
        """Whether the CRD waits for the conversion server. Raises Conflict when others keep changing it."""
        for _ in range(RACES):
            try:
                live = await self._api.get(CRD, None, crd_name(kind))
                wants = self._promotes and not is_promoted(live)
                promote = wants and await self._answers(kind)
                change = with_conversion(live, self._namespace, self._port, self._ca(), promote=promote)
                if change is not None:
                    precondition = {"resourceVersion": live["metadata"]["resourceVersion"]}
                    await self._api.patch(CRD, None, crd_name(kind), {"metadata": precondition, "spec": change})
                    log.info("conversion put into CRD %s%s", crd_name(kind), f", {PROMOTED} stored" if promote else "")
                return wants and not promote
            except NotFound:
                return False
            except Conflict:
                continue
        raise Conflict(f"CRD {crd_name(kind)}: others keep changing it; find out who writes its conversion")

    async def _answers(self, kind: Kind) -> bool:
        found = await self._fault()
        if found != self._said:
            log.log(
                logging.WARNING if found else logging.INFO,
                "conversion server: %s",
                f"{found}; {PROMOTED} is not served until it answers" if found else "answers",
            )
            self._said = found
        return not found
