"""Once released, a resource keeps its URN or an alias of it: an upgrade of this package replaces nothing.

`released_urns.txt` only ever grows: `UPDATE_GOLDEN=1` adds what is new to it and removes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pulumi

from grove_components import build_stack
from grove_components.manifests import namespace
from grove_components.resources import KubernetesObject
from tests.components.collect import Registration, collect
from tests.components.examples import EXAMPLES, run_example
from tests.components.stacks import STACKS, stack_config

RELEASED = Path(__file__).parent / "released_urns.txt"


def registrations() -> Iterator[Registration]:
    """Everything that the stacks and the examples of this repository register."""
    for stack in STACKS:
        config = stack_config(stack)
        yield from collect(lambda config=config: build_stack(config), stack=stack).registrations
    for example in EXAMPLES:
        yield from run_example(example).registrations


def unstacked(urn: str) -> str:
    """The chain of types and the name, as the engine has them: without stack, project and the stack's own type."""
    return urn.split("::", 2)[2].removeprefix("pulumi:pulumi:Stack$")


def known(found: Iterable[Registration]) -> set[str]:
    return {unstacked(urn) for r in found for urn in (r.urn, *r.former_urns)}


def test_every_urn_that_was_ever_released_is_still_known() -> None:
    now = known(registrations())
    released = set(RELEASED.read_text().splitlines()) if RELEASED.exists() else set()
    if os.environ.get("UPDATE_GOLDEN"):
        RELEASED.write_text("".join(f"{urn}\n" for urn in sorted(released | now)))
        return
    assert released - now == set(), "give the resource an alias of its former name, type or parent"
    assert now - released == set(), "UPDATE_GOLDEN=1 records new ones"


def test_a_former_name_or_parent_counts_as_known() -> None:
    """A renamed component needs no such aliases for its children: the engine derives them (tried with the real one)."""
    manifest = namespace("n")

    def program(*aliases: pulumi.Alias) -> None:
        KubernetesObject("new", manifest, pulumi.ResourceOptions(aliases=list(aliases)))

    former = known(collect(lambda: program(pulumi.Alias(name="old"))).registrations)
    assert former == {"kubernetes:core/v1:Namespace::new", "kubernetes:core/v1:Namespace::old"}
