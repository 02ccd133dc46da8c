"""SIGKILL to operator and scheduler at seeded moments of a workload's life."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.killable import OPERATOR, SCHEDULER, Killable
from tests.support.lives import Life, watched

VICTIMS = ((OPERATOR,), (SCHEDULER,), (OPERATOR, SCHEDULER))


@dataclass
class Killer:
    """Kills once in each phase, at a moment drawn from the time that the phase takes undisturbed."""

    cluster: Killable
    took_s: Mapping[str, float]
    dice: random.Random
    kills: list[str] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self, phase: str) -> None:
        moment = self.dice.uniform(0, self.took_s[phase])
        victims, pause = self.dice.choice(VICTIMS), self.dice.choice((0.0, 0.5, 2.0))
        self.tasks.append(asyncio.create_task(self._strike(phase, moment, victims, pause)))

    async def _strike(self, phase: str, moment: float, victims: tuple[str, ...], pause: float) -> None:
        await asyncio.sleep(moment)
        self.kills.append(f"{phase} +{moment:.2f} s: {' and '.join(victims)} away for {pause:g} s")
        await asyncio.gather(*(self.cluster.hold_down(victim, pause) for victim in victims))


async def undisturbed(cluster: Killable, namespace: str) -> Life:
    """What every disturbed life is compared with."""
    await cluster.ensure_running()
    async with cluster.kept_running(), cluster.operated.namespace(namespace) as here, watched(here.api, namespace):
        life = Life(here)
        await life.live()
    return life


async def disturbed(cluster: Killable, namespace: str, model: Life, seed: int) -> list[str]:
    """One life with a kill in each phase: what was done. AssertionError where it doesn't end as `model`."""
    await cluster.ensure_running()
    async with cluster.kept_running(), cluster.operated.namespace(namespace) as here, watched(here.api, namespace):
        life, killer = Life(here, model), Killer(cluster, model.took_s, random.Random(seed))
        try:
            await life.live(killer.begin)
        except AssertionError as problem:
            raise AssertionError(f"seed {seed}, after {killer.kills}: {problem}") from problem
        finally:
            await asyncio.gather(*killer.tasks)
    return killer.kills
