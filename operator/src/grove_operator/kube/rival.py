"""Another Grove operator at work in this cluster, and what that means for this one.

    seen                                                        what it is
    Lease grove-operator-leader-election that somebody renews   ours where its holder signed it, else NVIDIA's
    Deployment grove-operator in another namespace              NVIDIA's, unless its pods are marked as ours

Two that write the same objects never come to rest, so this operator does not reconcile beside another: it waits before
it stands for election, and ends when one comes later. In one namespace the Lease itself excludes them. Of two of ours
the one that has led for longer stays.

Clocks of other machines are not trusted for long: a Lease lives when it was just renewed or is seen to change.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from grove_operator.api.constants import ANNOTATION_LEASE_HOLDER, OPERATOR_LEASE, OPERATOR_NAME
from grove_operator.api.install import CONFIG_HASH
from grove_operator.api.kinds import DEPLOYMENT, LEASE, Json
from grove_operator.engine.ports import ApiError, Clock, KubeApi
from grove_operator.kube.lease import LeadershipLost

log = logging.getLogger(__name__)

LOOK_S = 10.0
DURATION_S = 15.0
"""Of a Lease that names none."""
SAID_AGAIN_S = 300.0


class RivalFound(LeadershipLost):
    """Another operator works in this cluster: stop all writes at once."""


@dataclass(frozen=True, slots=True)
class OtherOperator:
    """`since`: when it took its Lease, as it says itself; '' where only its Deployment is known."""

    namespace: str
    holder: str
    is_ours: bool
    since: str = ""

    def __str__(self) -> str:
        whose = "another one of this project" if self.is_ours else "NVIDIA's Grove operator"
        return f"{whose} in namespace {self.namespace} ({self.holder})"


def lease_operator(lease: Json) -> OtherOperator | None:
    """Who holds a Lease; None when nobody does."""
    spec, meta = lease.get("spec") or {}, lease["metadata"]
    holder = str(spec.get("holderIdentity") or "")
    signed_by = (meta.get("annotations") or {}).get(ANNOTATION_LEASE_HOLDER)
    if not holder:
        return None
    return OtherOperator(meta["namespace"], f"lease held by {holder}", signed_by == holder, spec.get("acquireTime", ""))


def was_just_renewed(lease: Json, now: datetime) -> bool:
    """Within its duration, if both clocks agree."""
    spec = lease.get("spec") or {}
    if not spec.get("renewTime"):
        return False
    age_s = (now - datetime.fromisoformat(spec["renewTime"])).total_seconds()
    return abs(age_s) < float(spec.get("leaseDurationSeconds") or DURATION_S)


def deployed_operator(deployment: Json) -> OtherOperator | None:
    """NVIDIA's operator where a Deployment of its name has pods and isn't ours."""
    pods = deployment["spec"]["template"]["metadata"].get("annotations") or {}
    if CONFIG_HASH in pods or not deployment["spec"].get("replicas", 1):
        return None
    meta = deployment["metadata"]
    return OtherOperator(meta["namespace"], f"deployment {meta['name']}", is_ours=False)


async def operators(api: KubeApi, now: datetime) -> list[OtherOperator]:
    """Every Grove operator that a cluster shows, by namespace: who just renewed a Lease, and NVIDIA's Deployments."""
    leases = await api.list(LEASE, field_selector=f"metadata.name={OPERATOR_LEASE}")
    found = [lease_operator(lease) for lease in leases.items if was_just_renewed(lease, now)]
    leading = {other.namespace for other in found if other}
    deployments = await api.list(DEPLOYMENT, field_selector=f"metadata.name={OPERATOR_NAME}")
    found += [deployed_operator(d) for d in deployments.items if d["metadata"]["namespace"] not in leading]
    return sorted((other for other in found if other), key=lambda other: other.namespace)


class RivalWatch:
    """`namespace`: where this operator's Lease is."""

    def __init__(self, api: KubeApi, clock: Clock, namespace: str) -> None:
        self._api, self._clock, self._namespace = api, clock, namespace
        self._changed: dict[str, tuple[str, float]] = {}
        self._told: tuple[str, float] = ("", 0.0)
        self._fault = ""

    def fault(self) -> str:
        """For readiness: which of NVIDIA's is in the way; '' when none is. Called from other threads.

        Behind one of ours it is a standby, and ready: who moves an installation brings up the new one first.
        """
        return self._fault

    async def until_alone(self) -> None:
        """Returns once no other operator works. An API server that doesn't answer hides nobody for long."""
        has_waited = False
        while rival := await self._rival(since=""):
            self._say(rival)
            has_waited = True
            await self._clock.sleep(LOOK_S)
        if has_waited:
            log.info("no other Grove operator is at work any more")
        self._fault = ""

    async def check(self, lease: Json | None) -> None:
        """Raises RivalFound where this operator, as the holder of `lease`, has to give way."""
        since = str(((lease or {}).get("spec") or {}).get("acquireTime") or "")
        if rival := await self._rival(since):
            raise RivalFound(self._say(rival))

    async def _rival(self, since: str) -> OtherOperator | None:
        """The first one that this operator, which leads since then ('' = not yet), gives way to."""
        try:
            others = await self._others()
        except ApiError as error:
            self._tell(f"can't see whether another Grove operator is at work: {error}")
            return None
        return next(
            (o for o in others if not (since and o.is_ours and (o.since, o.namespace) > self._rank(since))), None
        )

    def _rank(self, since: str) -> tuple[str, str]:
        return since, self._namespace

    async def _others(self) -> list[OtherOperator]:
        leases = await self._api.list(LEASE, field_selector=f"metadata.name={OPERATOR_LEASE}")
        elsewhere = (lease for lease in leases.items if lease["metadata"]["namespace"] != self._namespace)
        found = [lease_operator(lease) for lease in elsewhere if self._lives(lease)]
        deployments = await self._api.list(DEPLOYMENT, field_selector=f"metadata.name={OPERATOR_NAME}")
        there = (one for one in deployments.items if one["metadata"]["namespace"] != self._namespace)
        found += [deployed_operator(deployment) for deployment in there]
        return [other for other in found if other is not None]

    def _lives(self, lease: Json) -> bool:
        where, spec, now = lease["metadata"]["namespace"], lease.get("spec") or {}, self._clock.monotonic()
        renewed = str(spec.get("renewTime") or "")
        before, seen_at = self._changed.get(where, (renewed, float("-inf")))
        is_new = where not in self._changed
        if before != renewed or (is_new and was_just_renewed(lease, self._clock.now())):
            seen_at = now
        self._changed[where] = (renewed, seen_at)
        return now - seen_at < float(spec.get("leaseDurationSeconds") or DURATION_S)

    def _say(self, rival: OtherOperator) -> str:
        text = f"not reconciling beside {rival}; remove one of the two (docs/take-over.md)"
        self._fault = "" if rival.is_ours else text
        self._tell(text)
        return text

    def _tell(self, text: str) -> None:
        """In the log, and again only after a while."""
        now = self._clock.monotonic()
        if self._told[0] != text or now - self._told[1] >= SAID_AGAIN_S:
            log.warning("%s", text)
            self._told = (text, now)
