"""Moves what is stored in an older version of a CRD: rewrites every object, then trims `status.storedVersions`.

    storedVersions [v1alpha1, v1beta1]  ──> every object written once, unchanged ──>  [v1beta1]

An empty patch makes the API server store an object in the version that the CRD says now. It goes through `status`,
which no admission webhook judges: an object from before a rule was made has to move, too. Before it begins, every API
server has had time to see the CRD; if the CRD changes meanwhile, the trimming is refused and all is done again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from grove_operator.api.crds import PROMOTED
from grove_operator.api.kinds import CRD, Kind
from grove_operator.engine.ports import ApiError, Clock, Conflict, KubeApi, NotFound
from grove_operator.kube.crd_keeper import CHECK_PERIOD_S, CONVERTED, RACES, crd_name, is_promoted, watch_crds

log = logging.getLogger(__name__)

SPREAD_S = 2.0
"""For every API server to notice which version is stored now: an object that one of them still writes in the old one
would be missed."""


class StorageMover:
    """`run` until cancelled, on the leader alone."""

    def __init__(self, api: KubeApi, clock: Clock, *, is_ours: Callable[[], bool] = lambda: True) -> None:
        self._api, self._clock, self._is_ours = api, clock, is_ours
        self._watch = watch_crds(api, clock)

    async def run(self) -> None:
        await self._watch.run(self.move_all, "storage version of CRDs")

    async def move_all(self) -> float:
        """One pass; in how many seconds to look again."""
        if self._is_ours():
            for kind in CONVERTED:
                await self.move(kind)
        return CHECK_PERIOD_S

    async def move(self, kind: Kind) -> int:
        """How many objects were rewritten. ApiError when one can't be: then nothing is trimmed."""
        for _ in range(RACES):
            try:
                crd = await self._api.get(CRD, None, crd_name(kind))
                stored = (crd.get("status") or {}).get("storedVersions") or []
                if not is_promoted(crd) or PROMOTED not in stored or stored == [PROMOTED]:
                    return 0
                await self._clock.sleep(SPREAD_S)
                count = await self._rewrite(replace(kind, version=PROMOTED))
                precondition = {"resourceVersion": crd["metadata"]["resourceVersion"]}
                trimmed = {"metadata": precondition, "status": {"storedVersions": [PROMOTED]}}
                await self._api.patch(CRD, None, crd_name(kind), trimmed, subresource="status")
                log.info("CRD %s: %d objects rewritten, stored as %s alone", crd_name(kind), count, PROMOTED)
                return count
            except NotFound:
                return 0
            except Conflict:
                continue
        raise Conflict(f"CRD {crd_name(kind)}: others keep changing it; find out who writes it")

    async def _rewrite(self, kind: Kind) -> int:
        items = (await self._api.list(kind)).items
        refused = []
        for obj in items:
            namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
            try:
                await self._api.patch(kind, namespace, name, {}, subresource="status")
            except NotFound:
                continue
            except ApiError as error:
                refused.append(f"{namespace}/{name}: {error}")
        if refused:
            text = f"{crd_name(kind)}: {len(refused)} of {len(items)} objects can't be stored as {kind.version}"
            raise ApiError(f"{text}: {refused[0]}; correct or delete them")
        return len(items)
