"""Leader election on a `coordination.k8s.io` Lease, as client-go does it.

    candidate ── free, ours or expired ──> patch ──> leader ── renew every retry period ──> ...
        ^                                              │ not renewed for the renew deadline, or taken by another
        └── look every retry period                    └──> LeadershipLost: the process ends and starts as a candidate

Clocks of other machines are never trusted: a Lease has expired when *we* saw no change of it for its whole duration,
by our own monotonic clock. Every write carries the resourceVersion that was read, so two can't both win.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from grove_operator.api.constants import ANNOTATION_LEASE_HOLDER
from grove_operator.api.kinds import LEASE, Json
from grove_operator.engine.ports import AlreadyExists, ApiError, Clock, Conflict, KubeApi, NotFound

log = logging.getLogger(__name__)
T = TypeVar("T")


class LeadershipLost(Exception):  # noqa: N818 - an event, not a mistake
    """Another holds the Lease, or it could not be renewed in time: stop all writes at once."""


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """Seconds. The duration must exceed the renew deadline, which must exceed the retry period."""

    lease_duration_s: float = 15.0
    renew_deadline_s: float = 10.0
    retry_period_s: float = 2.0

    def __post_init__(self) -> None:
        if not self.lease_duration_s > self.renew_deadline_s > self.retry_period_s > 0:
            raise ValueError(
                f"leader election: leaseDuration {self.lease_duration_s:g}s must exceed renewDeadline "
                f"{self.renew_deadline_s:g}s, which must exceed retryPeriod {self.retry_period_s:g}s; correct them"
            )


class LeaseElection:
    """One candidate. `acquire`, then `hold` beside the work, then `release`."""

    def __init__(
        self, api: KubeApi, clock: Clock, namespace: str, name: str, identity: str, timing: LeaseTiming | None = None
    ) -> None:
        self._api, self._clock = api, clock
        self._namespace, self._name, self.identity = namespace, name, identity
        self._timing = timing or LeaseTiming()
        self._seen: Json | None = None
        self._seen_at = 0.0
        self.is_leader = False

    @property
    def lease(self) -> Json | None:
        """As it was last seen or written."""
        return self._seen

    @property
    def namespace(self) -> str:
        return self._namespace

    async def acquire(self) -> None:
        """Returns once the Lease is ours. API errors are waited out."""
        told = ""
        while not await self._try_to_take():
            holder = _holder(self._seen)
            if holder != told:
                log.info("lease %s is held by %s; waiting", self._name, holder or "nobody yet")
                told = holder
            await self._clock.sleep(self._timing.retry_period_s)
        self.is_leader = True
        log.info("lease %s acquired as %s", self._name, self.identity)

    async def hold(self) -> None:
        """Renews until cancelled; raises LeadershipLost, and does so before another candidate may take over."""
        renewed_at = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._timing.retry_period_s)
            try:
                left_s = renewed_at + self._timing.renew_deadline_s - self._clock.monotonic()
                started = self._clock.monotonic()
                await self._within(left_s, self._renew())
                renewed_at = started
            except (ApiError, TimeoutError) as error:
                if self._clock.monotonic() - renewed_at < self._timing.renew_deadline_s:
                    log.warning("lease %s: renewal failed, will try again: %s", self._name, error)
                    continue
                self.is_leader = False
                raise LeadershipLost(
                    f"lease {self._name} could not be renewed for {self._timing.renew_deadline_s:g} s: {error}; "
                    "check the API server"
                ) from error

    async def release(self) -> None:
        """Frees the Lease so that the next candidate need not wait. Harmless when it isn't ours; errors are logged."""
        if not self.is_leader or self._seen is None:
            return
        self.is_leader = False
        try:
            await self._look()  # a renewal may have been cut off after the server took it
            if _holder(self._seen) == self.identity:
                await self._patch({"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._now()})
                log.info("lease %s released", self._name)
        except ApiError as error:
            log.warning("lease %s could not be released, it expires by itself: %s", self._name, error)

    async def _try_to_take(self) -> bool:
        try:
            await self._look()
            if self._seen is None:
                self._note(await self._api.create(LEASE, self._namespace, self._fresh_lease()))
                return True
            if _holder(self._seen) not in ("", self.identity) and not self._has_expired():
                return False
            transitions = int(self._seen["spec"].get("leaseTransitions") or 0)
            taken_over = _holder(self._seen) != self.identity
            await self._patch({**self._record(), "leaseTransitions": transitions + int(taken_over)}, self._signature())
            return True
        except (AlreadyExists, Conflict):
            return False
        except ApiError as error:
            log.warning("lease %s: %s", self._name, error)
            return False

    async def _renew(self) -> None:
        try:
            await self._patch({"renewTime": self._now()})
        except (Conflict, NotFound):
            # Somebody else wrote: a label by a user is harmless, another holder is the end.
            await self._look()
            if _holder(self._seen) != self.identity:
                self.is_leader = False
                raise LeadershipLost(f"lease {self._name} is now held by {_holder(self._seen) or 'nobody'}") from None
            await self._patch({"renewTime": self._now()})

    async def _within(self, seconds: float, work: Awaitable[T]) -> T:
        """The result of `work`, or TimeoutError after so many seconds of our clock."""
        task = asyncio.ensure_future(work)
        timer = asyncio.ensure_future(self._clock.sleep(max(seconds, 0.0)))
        try:
            await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise TimeoutError("the API server did not answer")
            return task.result()
        finally:
            for pending in (task, timer):
                pending.cancel()
            await asyncio.gather(task, timer, return_exceptions=True)

    async def _look(self) -> None:
        try:
            self._note(await self._api.get(LEASE, self._namespace, self._name))
        except NotFound:
            self._seen = None

    def _note(self, lease: Json) -> None:
        """Remember what we saw, and when it last looked different."""
        if self._seen is None or self._seen.get("spec") != lease.get("spec"):
            self._seen_at = self._clock.monotonic()
        self._seen = lease

    def _has_expired(self) -> bool:
        spec = (self._seen or {}).get("spec") or {}
        duration_s = float(spec.get("leaseDurationSeconds") or self._timing.lease_duration_s)
        return self._clock.monotonic() - self._seen_at >= duration_s

    async def _patch(self, spec: Json, metadata: Json | None = None) -> None:
        assert self._seen is not None  # noqa: S101 - looked before
        precondition = {"resourceVersion": self._seen["metadata"]["resourceVersion"]}
        body: Json = {"metadata": {**precondition, **(metadata or {})}, "spec": spec}
        self._note(await self._api.patch(LEASE, self._namespace, self._name, body))

    def _record(self) -> Json:
        now = self._now()
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self._timing.lease_duration_s)),
            "acquireTime": now,
            "renewTime": now,
        }

    def _signature(self) -> Json:
        """By which others of this project know who it is."""
        return {"annotations": {ANNOTATION_LEASE_HOLDER: self.identity}}

    def _fresh_lease(self) -> Json:
        meta = {"name": self._name, "namespace": self._namespace, **self._signature()}
        spec = {**self._record(), "leaseTransitions": 0}
        return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": meta, "spec": spec}

    def _now(self) -> str:
        return micro_time(self._clock.now())


def micro_time(moment: datetime) -> str:
    """Kubernetes' MicroTime: RFC 3339 with six decimals, UTC."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _holder(lease: Json | None) -> str:
    return str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")
