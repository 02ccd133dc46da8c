"""Planted mistakes in the production code, as a test of the stories and invariants: each must be caught by some seed.

A mutant replaces one function of the operator, the scheduler or the engine while a story is played.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grove_operator.core import (
    availability,
    cliques,
    coherent,
    podclique,
    podcliqueset,
    podgangs,
    podstate,
    replica,
    rollout,
    scalinggroup,
    strategy,
    surge,
    termination,
    updates,
)
from grove_operator.engine import binder, executor, plan, reconcilers, vacated
from grove_operator.scheduler import extras, kept
from grove_operator.sim.rehearsal import Verdict, rehearse
from grove_operator.sim.story import Story

FOLDER = Path(__file__).parents[2] / "examples" / "rehearsals"
Patch = tuple[Any, str, Callable[[Any], Any]]
"""(module or class, name, what makes the wrong function of the right one)."""


@dataclass(frozen=True)
class Mutant:
    name: str
    what: str
    patches: tuple[Patch, ...]
    stories: tuple[str, ...] = ("breach", "crashing", "disaggregated", "leader-worker", "coherent")


@contextlib.contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    before = [(where, name, getattr(where, name)) for where, name, _ in mutant.patches]
    try:
        for (where, name, right), (_, _, wrong) in zip(before, mutant.patches, strict=True):
            setattr(where, name, wrong(right))
        yield
    finally:
        for where, name, right in before:
            setattr(where, name, right)


def caught(mutant: Mutant, seeds: Iterable[int]) -> Verdict | str | None:
    """The first verdict against the mutant, or what it died of; None: it lives."""
    with planted(mutant):
        for seed in seeds:
            for name in mutant.stories:
                try:
                    verdict = rehearse(Story.read(FOLDER / f"{name}.yaml"), seed)
                except RuntimeError as error:  # it never comes to rest
                    return str(error)
                if not verdict.holds:
                    return verdict
    return None


def always(value: Any) -> Callable[[Any], Any]:
    return lambda right: lambda *args, **kwargs: value


def no_verdict(right: Any) -> Any:
    return lambda *args, **kwargs: termination.Verdict()


def number_stays(right: Any) -> Any:
    def wrong(template: Any, live: Any) -> Any:
        held = right(template, live)
        return [child if "data" in child else {k: v for k, v in child.items() if k != "revision"} for child in held]

    return wrong


def without_preconditions(right: Any) -> Any:
    """Deletes go by name alone."""

    async def send(self: Any, action: Any, owner_uid: str) -> Any:
        return await right(self, replace(action, uid="") if isinstance(action, plan.Delete) else action, owner_uid)

    return send


def one_more(right: Any) -> Any:
    return lambda *args, **kwargs: right(*args, **kwargs) + 1


def one_less(right: Any) -> Any:
    return lambda *args, **kwargs: max(0, right(*args, **kwargs) - 1)


def terminating_counts(right: Any) -> Any:
    return lambda pod: not podstate.is_finished(pod)


def ended_counts(right: Any) -> Any:
    return lambda pod: not podstate.is_terminating(pod)


def newest_first(right: Any) -> Any:
    """Scaling in takes Ready pods before others."""
    return lambda pods, template_hash: list(reversed(right(pods, template_hash)))


def bookkeeping_lost(right: Any) -> Any:
    """A second template change forgets what the first took away."""
    return lambda progress, by_replica: {}


def never_expires(right: Any) -> Any:
    return lambda template: right(template) * 5


def early(right: Any) -> Any:
    return lambda template: right(template) / 5


def index_zero_first(right: Any) -> Any:
    """Every new pod takes index 0, 1, ... whoever holds it."""
    return lambda pods, count: iter(range(count))


def no_references(right: Any) -> Any:
    def group(*args: Any, **kwargs: Any) -> Any:
        return {**right(*args, **kwargs), "podReferences": right(*args, **kwargs)["podReferences"][:-1]}

    return group


def waits_for_nobody(right: Any) -> Any:
    return lambda *args, **kwargs: []


def empty_nodes(right: Any) -> Any:
    return lambda self, uid, now: False


def always_its_turn(right: Any) -> Any:
    return lambda template, i: strategy.is_noticed(template)


def acts_before_noticed(right: Any) -> Any:
    return lambda template: True


def trigger_first(right: Any) -> Any:
    """Whoever shows the breach goes first: a crash then leaves half a recycle."""

    def verdict(template: Any, cliques: Any, groups: Any, now: Any) -> Any:
        breached = {n: o for n, o in cliques.items() if availability.is_breached(o)}
        found = right(template, cliques, groups, now)
        return replace(found, doomed=frozenset(breached)) if found.doomed else found

    return verdict


def ends_at_once(right: Any) -> Any:
    """The set's update ends when every replica was selected, done or not."""

    def advanced(view: Any, before: Any, updated: Any, done: Any, surge: Any, now: Any) -> Any:
        everything = frozenset(range(view.template.replicas))
        return right(view, before, everything, everything, surge, now)

    return advanced


def surge_is_there(right: Any) -> Any:
    """The further replicas are taken for available as soon as they are wished for."""

    def judged(*args: Any, **kwargs: Any) -> Any:
        said = right(*args, **kwargs)
        return replace(said, lacking=(), is_there=bool(said.lacking) or said.is_there)

    return judged


def always_surging(right: Any) -> Any:
    return lambda template: range(template.replicas + surge.max_surge(template))


def tried_for_ever(right: Any) -> Any:
    """What was given up is forgotten, so that the room that comes free is tried anew."""

    def before(template: Any) -> Any:
        said = right(template)
        return None if said and said["status"] == "False" else said

    return before


def never_vacated(right: Any) -> Any:
    return lambda self, key, pod, pod_gang, assumed=None: None


def never_followed(right: Any) -> Any:
    return lambda self, gangs: None


MUTANTS = (
    Mutant(
        "no-gang-termination",
        "nothing is ever recycled",
        ((replica, "replica_verdict", no_verdict), (scalinggroup, "group_verdict", no_verdict)),
    ),
    Mutant("delay-ignored", "a breach is acted on after a fifth of its delay", ((termination, "delay_s", early),)),
    Mutant("delay-forgotten", "a breach waits five times its delay", ((termination, "delay_s", never_expires),)),
    Mutant(
        "ready-pods-all-at-once",
        "the budget of an update is not looked at",
        ((updates, "max_unavailable", always(99)),),
    ),
    Mutant("budget-off-by-one", "one more may be away than allowed", ((updates, "max_unavailable", one_more),)),
    Mutant("away-not-counted", "pods that are starting don't count as away", ((updates, "_is_away", always(False)),)),
    Mutant("bookkeeping-lost", "a second change forgets what is away", ((updates, "_still_away", bookkeeping_lost),)),
    Mutant(
        "number-stays",
        "a revision that comes back keeps its old number",
        ((podcliqueset, "revisions", number_stays),),
        ("disaggregated",),
    ),
    Mutant("no-turns", "every replica is updated at once", ((updates, "is_its_turn", always_its_turn),)),
    Mutant(
        "acts-before-noticed",
        "parts don't wait until the set has noticed the change",
        ((updates, "is_noticed", acts_before_noticed), (strategy, "is_noticed", acts_before_noticed)),
    ),
    Mutant(
        "update-never-selected", "the set's update ends without any replica", ((rollout, "_advanced", ends_at_once),)
    ),
    Mutant("stale-not-seen", "old group replicas are taken for new ones", ((updates, "_is_old", always(False)),)),
    Mutant(
        "gate-of-scaled-gangs-skipped",
        "gates are removed without a PodGang",
        ((podclique, "may_be_ungated", always(True)),),
    ),
    Mutant("gates-stay", "no gate is ever removed", ((podclique, "may_be_ungated", always(False)),)),
    Mutant("terminating-counts", "terminating pods count as active", ((podstate, "is_active", terminating_counts),)),
    Mutant("ended-counts", "pods that ended count as active", ((podstate, "is_active", ended_counts),)),
    Mutant(
        "scale-in-upside-down", "scaling in takes the best pods first", ((podclique, "scale_in_order", newest_first),)
    ),
    Mutant("index-taken-twice", "two pods get the same index", ((podclique, "free_indices", index_zero_first),)),
    Mutant("a-reference-is-missing", "gangs lack a pod each", ((podgangs, "_pod_group", no_references),)),
    Mutant(
        "start-order-dropped",
        "pods wait for no parent",
        ((cliques, "starts_after", waits_for_nobody),),
    ),
    Mutant(
        "usage-not-seen",
        "the scheduler takes every node for empty",
        ((binder.view.Usage, "_hold", empty_nodes),),
    ),
    Mutant("never-broken", "no pod is ever taken for broken", ((podstate, "health", always("ready")),)),
    Mutant(
        "least-off-by-one",
        "one pod less than minAvailable is enough",
        ((podclique, "least", one_less), (scalinggroup, "least", one_less), (updates, "least", one_less)),
    ),
    Mutant("ratio-forgotten", "a coherent update lets every part run ahead", ((coherent, "allowance", always(99)),)),
    Mutant(
        "ready-is-enough",
        "an update goes on as soon as pods are Ready, however long the set asks for",
        ((updates, "settles_in_s", always(0.0)), (updates, "is_settling", always(False))),
        ("patient",),
    ),
    Mutant(
        "surge-not-waited-for",
        "old pods go before the further replica is available",
        ((surge, "judged", surge_is_there),),
        ("surge",),
    ),
    Mutant(
        "surge-tried-for-ever", "a surge without room is begun again", ((surge, "_before", tried_for_ever),), ("surge",)
    ),
    Mutant("surge-stays", "further replicas outlive the update", ((replica, "indices", always_surging),), ("surge",)),
    Mutant(
        "gone-is-free",
        "a place is anybody's from the end of a pod until its successor is there",
        ((vacated.Vacated, "see", never_vacated),),
        ("crowded-quick",),
    ),
    Mutant(
        "followers-wait-their-turn",
        "what a gang had beyond its minima comes after the minima of those that never had a place",
        ((extras.Extras, "place_followers", never_followed),),
        ("crowded",),
    ),
    Mutant(
        "nothing-is-kept",
        "a gang that waits to go back keeps no room until there is enough",
        ((kept.Kept, "keep", always(None)),),
        ("crowded",),
    ),
    Mutant(
        "no-precondition",
        "deletes go by name, whatever UID is there",
        ((executor.Executor, "_send", without_preconditions),),
    ),
    Mutant(
        "recycle-half", "whoever shows the breach is recycled alone", ((replica, "replica_verdict", trigger_first),)
    ),
    Mutant(
        "owner-not-asked", "gangs of other sets are taken for ours", ((reconcilers.Reconcilers, "_gang", always(None)),)
    ),
)
