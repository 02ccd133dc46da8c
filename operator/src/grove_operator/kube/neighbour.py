"""Whether NVIDIA's own Dynamo operator is at work in this cluster: then ours leaves `nvidia.com` alone.

    dynamo.reconcile: auto      ours works unless the CRD that only NVIDIA's operator brings is there
                      always    ours works
                      never     ours doesn't

Both write a PodCliqueSet of the graph's name, so there must never be two. It is looked at again and again: NVIDIA's
operator may come or go while ours runs. Changes are said in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal

from grove_operator.api.kinds import CRD
from grove_operator.engine.ports import ApiError, Clock, KubeApi, NotFound

log = logging.getLogger(__name__)

THEIRS = "dynamocomponentdeployments.nvidia.com"
LOOK_S = 30.0
Mode = Literal["auto", "always", "never"]


class DynamoSwitch:
    """`is_on` says whether this operator reconciles graphs now; False until the first look in mode auto."""

    def __init__(self, api: KubeApi, clock: Clock, mode: Mode) -> None:
        self._api, self._clock, self._mode = api, clock, mode
        self.is_on = mode == "always"

    async def look(self) -> bool:
        """Whether the answer changed. An API server that doesn't answer changes nothing."""
        if self._mode != "auto":
            return False
        try:
            await self._api.get(CRD, None, THEIRS)
            is_on = False
        except NotFound:
            is_on = True
        except ApiError as error:
            log.warning("can't see whether NVIDIA's Dynamo operator is here: %s", error)
            return False
        changed, self.is_on = is_on != self.is_on, is_on
        return changed

    async def run(self, on_change: Callable[[], None]) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(LOOK_S)
            if await self.look():
                self.say()
                on_change()

    def say(self) -> None:
        """One line in the log: who reconciles graphs, and why."""
        if self.is_on:
            log.info("DynamoGraphDeployments are reconciled by this operator (dynamo.reconcile: %s)", self._mode)
        elif self._mode == "auto":
            log.warning("CRD %s is here: NVIDIA's operator owns nvidia.com, and this one leaves it alone", THEIRS)
        else:
            log.info("DynamoGraphDeployments are left alone (dynamo.reconcile: never)")
