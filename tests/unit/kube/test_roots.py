"""The hand-over of roots from kopf's thread to the engine's loop."""

from __future__ import annotations

import asyncio
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from grove_operator.api.kinds import POD_CLIQUE_SET, Json, Kind
from grove_operator.engine.ports import Overloaded
from grove_operator.kube.roots import RootAudit, RootInbox
from grove_operator.sim.clock import SimClock


def root(name: str, version: int, uid: str = "") -> Json:
    meta = {"name": name, "namespace": "default", "uid": uid or f"uid-of-{name}", "resourceVersion": str(version)}
    return {"kind": "PodCliqueSet", "metadata": meta}


class Heard:
    """What an engine was told, and the state it would have."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str, str]] = []
        self.state: dict[str, str] = {}

    def deliver(self, kind: Kind, event_type: str, body: Json) -> None:
        assert kind is POD_CLIQUE_SET
        meta = body["metadata"]
        self.log.append((event_type, meta["name"], meta["resourceVersion"]))
        if event_type == "DELETED":
            assert self.state.pop(meta["name"]) is not None
        else:
            self.state[meta["name"]] = f"{meta['uid']}@{meta['resourceVersion']}"


async def heard_after(inbox: RootInbox) -> Heard:
    heard = Heard()
    inbox.attach(asyncio.get_running_loop(), heard.deliver)
    await asyncio.sleep(0)
    return heard


async def test_a_new_leader_begins_with_everything_its_kopf_has_seen() -> None:
    inbox = RootInbox()
    inbox.put(POD_CLIQUE_SET, None, root("a", 1))
    inbox.put(POD_CLIQUE_SET, "MODIFIED", root("a", 2))
    inbox.put(POD_CLIQUE_SET, "ADDED", root("b", 3))
    inbox.put(POD_CLIQUE_SET, "DELETED", root("b", 4))
    assert (await heard_after(inbox)).log == [("ADDED", "a", "2")]


async def test_events_from_another_thread_arrive_in_the_engines_loop_in_order() -> None:
    inbox = RootInbox()
    heard = await heard_after(inbox)
    loop_thread = threading.get_ident()
    threads: set[int] = set()
    deliver = heard.deliver

    def noting(kind: Kind, event_type: str, body: Json) -> None:
        threads.add(threading.get_ident())
        deliver(kind, event_type, body)

    inbox.attach(asyncio.get_running_loop(), noting)

    def kopf_side() -> None:
        for version in range(1, 200):
            inbox.put(POD_CLIQUE_SET, "MODIFIED", root("a", version))

    await asyncio.to_thread(kopf_side)
    await asyncio.sleep(0)
    assert [version for _, _, version in heard.log] == [str(v) for v in range(1, 200)]
    assert threads == {loop_thread}


async def test_the_same_state_twice_is_told_once() -> None:
    inbox = RootInbox()
    heard = await heard_after(inbox)
    for event_type in ("ADDED", None, None):
        inbox.put(POD_CLIQUE_SET, event_type, root("a", 1))
    await asyncio.sleep(0)
    assert heard.log == [("ADDED", "a", "1")]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.booleans(), min_size=6, max_size=6))
def test_an_old_objects_late_end_never_hides_its_successor(choices: list[bool]) -> None:
    """kopf hands over each UID's events in order, but nothing orders two UIDs of one name: any merge ends the same."""
    first = [("ADDED", root("a", 1, "u1")), ("MODIFIED", root("a", 2, "u1")), ("DELETED", root("a", 3, "u1"))]
    second = [("ADDED", root("a", 4, "u2")), ("MODIFIED", root("a", 5, "u2"))]

    async def play() -> dict[str, str]:
        inbox = RootInbox()
        heard = await heard_after(inbox)
        left, right = list(first), list(second)
        for takes_left in [*choices, *[True] * 5]:
            source = left if (takes_left and left) or not right else right
            if source:
                inbox.put(POD_CLIQUE_SET, *source.pop(0))
        await asyncio.sleep(0)
        return heard.state

    assert asyncio.run(play()) == {"a": "u2@5"}


async def test_an_audit_finds_a_deletion_that_nobody_told() -> None:
    inbox, clock = RootInbox(), SimClock()
    inbox.put(POD_CLIQUE_SET, None, root("kept", 1))
    inbox.put(POD_CLIQUE_SET, None, root("lost", 2))
    heard = await heard_after(inbox)

    async def list_uids(kind: Kind) -> set[str]:
        return {"uid-of-kept"}

    audit = asyncio.ensure_future(RootAudit(inbox, clock, list_uids).run())
    await clock.advance(1)
    assert heard.state == {"kept": "uid-of-kept@1"}
    audit.cancel()


async def test_an_audit_that_cannot_list_deletes_nothing_and_one_without_cause_asks_nothing() -> None:
    inbox, clock = RootInbox(), SimClock()
    inbox.put(POD_CLIQUE_SET, "ADDED", root("a", 1))
    asked: list[str] = []

    async def list_uids(kind: Kind) -> set[str]:
        asked.append(kind.plural)
        raise Overloaded("down")

    audit = asyncio.ensure_future(RootAudit(inbox, clock, list_uids).run())
    await clock.advance(290)
    assert asked == []
    await clock.advance(20)
    assert asked == ["podcliquesets"]
    assert list(inbox.known(POD_CLIQUE_SET)) == ["uid-of-a"]
    audit.cancel()
