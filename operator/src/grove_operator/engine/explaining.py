"""The way out that a refusal's sentence ends with, found beside the loop before the refusal is told.

    refused ── new reason? ──> explain (what-if runs of the solver on a copy, aside) ──> "...; to unblock: ..." ──> told

`grove explain podgang` gives the whole explanation; this is its first way out. Runs are bounded by the cluster's size,
and gangs beyond the first few that wait for theirs are told without.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from grove_operator.engine import scheduling_view as view
from grove_operator.engine.informer import Informer
from grove_operator.engine.scheduling_feed import Feed
from grove_operator.engine.scheduling_status import RefusalKey, refusal_key
from grove_operator.scheduler.explain import Explanation
from grove_operator.scheduler.model import Policy, Refusal
from grove_operator.scheduler.ways_out import explain

log = logging.getLogger(__name__)

AT_A_TIME = 8
NODE_RUNS = 20_000
"""What-if runs times nodes that one explanation may cost."""
MOST_RUNS = 40
EXPLAINED = ("Insufficient", "DoesNotFitTogether", "NoMatchingNode")
Aside = Callable[[Callable[[], Explanation]], Awaitable[Explanation]]


class Explainer:
    """`holds_back(key)`: the gang's refusal isn't told yet; `touch(key)` is called when it may be."""

    def __init__(
        self,
        feed: Feed,
        pods: Informer,
        policy: Policy | None,
        aside: Aside,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        touch: Callable[[str], None],
    ) -> None:
        self.feed, self.pods, self.policy, self.aside, self.spawn, self.touch = feed, pods, policy, aside, spawn, touch
        self._explained: dict[str, RefusalKey] = {}
        self._busy: set[str] = set()
        self._turn = asyncio.Lock()

    def holds_back(self, key: str) -> bool:
        refusals = self.feed.refusals.get(key, ())
        refusal = next((r for r in refusals if r.proven and not r.pods and r.reason in EXPLAINED), None)
        if refusal is None:
            self._explained.pop(key, None)
            return False
        if key in self._busy:
            return True
        runs = min(MOST_RUNS, NODE_RUNS // max(len(self.feed.solver.cluster.table), 1))
        if self._explained.get(key) == refusal_key(refusal) or len(self._busy) >= AT_A_TIME or not runs:
            return False
        self._busy.add(key)
        self.spawn(self._explain(key, refusal, runs))
        return True

    async def _explain(self, key: str, refusal: Refusal, runs: int) -> None:
        found: Explanation | None
        try:
            async with self._turn:
                snapshot, holdings = self.feed.snapshot(), list(view.holdings(self.pods.items()))
                known = self.feed.solver.gangs
                concerned = {key, *(g.key for g in self.feed.solver.family(known[key]))}
                gangs = [g for g in known.values() if g.key in concerned or not g.stands]
                found = await self.aside(lambda: explain(snapshot, gangs, key, holdings, policy=self.policy, runs=runs))
        except KeyError:  # the gang is gone
            found = None
        except Exception:  # told without a way out
            log.exception("explaining podgang %s failed", key)
            found = None
        finally:
            self._busy.discard(key)
            self._explained[key] = refusal_key(refusal)
        if found is not None and found.ways_out:
            self.feed.add_words(key, refusal_key(refusal), f"; to unblock: {found.ways_out[0].message}")
        self.touch(key)
