"""What the engine leans on, as cases that any `KubeApi` must pass: the simulated server and the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from grove_operator.api.kinds import CONFIG_MAP, POD, POD_CLIQUE, Json
from grove_operator.engine.ports import AlreadyExists, Conflict, Gone, Invalid, KubeApi, NotFound, WatchEvent


@dataclass(frozen=True)
class Place:
    """A server, and a namespace of it for one case. `forget` makes it forget the history of changes."""

    api: KubeApi
    namespace: str
    forget: Callable[[], None] = lambda: None


Case = Callable[[Place], Awaitable[None]]


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> Json:
    meta: Json = {"name": name, "labels": labels or {"a": "1"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def pod(name: str, *, gates: tuple[str, ...] = (), node: str = "") -> Json:
    spec: Json = {"containers": [{"name": "main", "image": "x"}], "schedulerName": "nobody"}
    if gates:
        spec["schedulingGates"] = [{"name": gate} for gate in gates]
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def podclique(name: str, **meta: object) -> Json:
    pods: Json = {"containers": [{"name": "main", "image": "x"}]}
    return {
        "apiVersion": POD_CLIQUE.api_version,
        "kind": POD_CLIQUE.kind,
        "metadata": {"name": name, **meta},
        "spec": {"roleName": "r", "replicas": 1, "podSpec": pods},
    }


async def a_second_create_of_a_name_is_refused(at: Place) -> None:
    made = await at.api.create(CONFIG_MAP, at.namespace, config_map("a"))
    assert made["metadata"]["uid"]
    with pytest.raises(AlreadyExists):
        await at.api.create(CONFIG_MAP, at.namespace, config_map("a"))


async def what_is_not_there_is_not_found(at: Place) -> None:
    with pytest.raises(NotFound):
        await at.api.get(CONFIG_MAP, at.namespace, "none")
    with pytest.raises(NotFound):
        await at.api.patch(CONFIG_MAP, at.namespace, "none", {"data": {"x": "1"}})
    with pytest.raises(NotFound):
        await at.api.delete(CONFIG_MAP, at.namespace, "none")


async def a_merge_patch_removes_by_null_and_replaces_lists_and_one_without_effect_is_no_change(at: Place) -> None:
    await at.api.create(POD_CLIQUE, at.namespace, podclique("c", labels={"x": "1"}, annotations={"k": "v"}))
    change: Json = {"metadata": {"labels": {"x": None, "y": "2"}}, "spec": {"startsAfter": ["p", "q"]}}
    first = await at.api.patch(POD_CLIQUE, at.namespace, "c", change)
    assert first["metadata"]["labels"] == {"y": "2"}
    second = await at.api.patch(POD_CLIQUE, at.namespace, "c", {"spec": {"startsAfter": ["q"]}})
    assert second["spec"]["startsAfter"] == ["q"]
    assert second["metadata"]["annotations"] == {"k": "v"}
    third = await at.api.patch(POD_CLIQUE, at.namespace, "c", {"spec": {"startsAfter": ["q"]}})
    assert third["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def a_stale_resource_version_or_another_uid_is_a_conflict(at: Place) -> None:
    old = (await at.api.create(CONFIG_MAP, at.namespace, config_map("a", x="1")))["metadata"]
    await at.api.patch(CONFIG_MAP, at.namespace, "a", {"data": {"x": "2"}})
    for precondition in ({"resourceVersion": old["resourceVersion"]}, {"uid": "not-this-one"}):
        with pytest.raises(Conflict):
            await at.api.patch(CONFIG_MAP, at.namespace, "a", {"metadata": precondition, "data": {"x": "3"}})
    with pytest.raises(Conflict):
        await at.api.delete(CONFIG_MAP, at.namespace, "a", uid="not-this-one")
    kept = await at.api.patch(CONFIG_MAP, at.namespace, "a", {"metadata": {"uid": old["uid"]}, "data": {"x": "3"}})
    assert kept["data"] == {"x": "3"}
    await at.api.delete(CONFIG_MAP, at.namespace, "a", uid=old["uid"])


async def a_status_has_its_own_way_and_only_a_spec_raises_the_generation(at: Place) -> None:
    made = await at.api.create(POD_CLIQUE, at.namespace, {**podclique("c"), "status": {"replicas": 9}})
    assert "replicas" not in (made.get("status") or {})
    assert made["metadata"]["generation"] == 1
    ignored = await at.api.patch(POD_CLIQUE, at.namespace, "c", {"status": {"replicas": 1}})
    assert "replicas" not in (ignored.get("status") or {})
    body: Json = {"status": {"replicas": 1}, "spec": {"replicas": 5}}
    written = await at.api.patch(POD_CLIQUE, at.namespace, "c", body, subresource="status")
    assert (written["status"]["replicas"], written["spec"]["replicas"]) == (1, 1)
    assert written["metadata"]["generation"] == 1
    relabelled = await at.api.patch(POD_CLIQUE, at.namespace, "c", {"metadata": {"labels": {"a": "b"}}})
    assert relabelled["metadata"]["generation"] == 1
    changed = await at.api.patch(POD_CLIQUE, at.namespace, "c", {"spec": {"replicas": 5}})
    assert (changed["metadata"]["generation"], changed["status"]["replicas"]) == (2, 1)


async def a_scale_changes_the_replicas_and_nothing_else(at: Place) -> None:
    await at.api.create(POD_CLIQUE, at.namespace, podclique("c"))
    await at.api.patch(POD_CLIQUE, at.namespace, "c", {"status": {"replicas": 1}}, subresource="status")
    said = await at.api.patch(POD_CLIQUE, at.namespace, "c", {"spec": {"replicas": 7}}, subresource="scale")
    assert (said["kind"], said["spec"]["replicas"], said["status"]["replicas"]) == ("Scale", 7, 1)
    live = await at.api.get(POD_CLIQUE, at.namespace, "c")
    assert (live["spec"]["replicas"], live["spec"]["roleName"], live["metadata"]["generation"]) == (7, "r", 2)
    stale = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 8}}
    with pytest.raises(Conflict):
        await at.api.patch(POD_CLIQUE, at.namespace, "c", stale, subresource="scale")
    with pytest.raises(NotFound):
        await at.api.patch(CONFIG_MAP, at.namespace, "c", {"spec": {"replicas": 1}}, subresource="scale")


async def a_finalizer_keeps_what_is_deleted_until_it_goes(at: Place) -> None:
    await at.api.create(POD_CLIQUE, at.namespace, podclique("c", finalizers=["grove.io/test"]))
    await at.api.delete(POD_CLIQUE, at.namespace, "c")
    going = await at.api.get(POD_CLIQUE, at.namespace, "c")
    assert going["metadata"]["deletionTimestamp"]
    with pytest.raises(AlreadyExists):
        await at.api.create(POD_CLIQUE, at.namespace, podclique("c"))
    await at.api.patch(POD_CLIQUE, at.namespace, "c", {"metadata": {"labels": {"still": "writable"}}})
    await at.api.delete(POD_CLIQUE, at.namespace, "c")
    same = await at.api.get(POD_CLIQUE, at.namespace, "c")
    assert same["metadata"]["deletionTimestamp"] == going["metadata"]["deletionTimestamp"]
    await at.api.patch(POD_CLIQUE, at.namespace, "c", {"metadata": {"finalizers": None}})
    with pytest.raises(NotFound):
        await at.api.get(POD_CLIQUE, at.namespace, "c")


async def a_list_selects_and_says_from_where_to_watch(at: Place) -> None:
    for name, labels in (("a", {"k": "1"}), ("b", {"k": "2"}), ("c", {"k": "1", "l": "x"})):
        await at.api.create(CONFIG_MAP, at.namespace, config_map(name, labels))
    for selector, names in (("k=1", "ac"), ("k in (2,3)", "b"), ("!l", "ab"), ("k!=1", "b"), ("l", "c"), ("", "abc")):
        found = await at.api.list(CONFIG_MAP, namespace=at.namespace, label_selector=selector)
        shown = [o["metadata"]["name"] for o in found.items if o["metadata"]["name"] in "abc"]
        assert shown == list(names), selector
    named = await at.api.list(CONFIG_MAP, namespace=at.namespace, field_selector="metadata.name=b")
    assert [o["metadata"]["name"] for o in named.items] == ["b"]


async def a_watch_tells_every_change_once_and_in_order(at: Place) -> None:
    await at.api.create(CONFIG_MAP, at.namespace, config_map("before"))
    position = (await at.api.list(CONFIG_MAP, namespace=at.namespace)).resource_version
    await at.api.create(CONFIG_MAP, at.namespace, config_map("x", v="1"))
    await at.api.patch(CONFIG_MAP, at.namespace, "x", {"data": {"v": "2"}})
    await at.api.patch(CONFIG_MAP, at.namespace, "x", {"data": {"v": "2"}})
    await at.api.delete(CONFIG_MAP, at.namespace, "x")
    await at.api.create(CONFIG_MAP, at.namespace, config_map("x", v="3"))
    events = await _first(at, 4, position)
    assert [(e.type, e.object["data"]["v"]) for e in events] == [
        ("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2"), ("ADDED", "3"),
    ]  # fmt: skip
    versions = [int(e.object["metadata"]["resourceVersion"]) for e in events]
    assert versions == sorted(set(versions))
    assert events[0].object["metadata"]["uid"] == events[2].object["metadata"]["uid"]
    assert events[0].object["metadata"]["uid"] != events[3].object["metadata"]["uid"]


async def who_leaves_a_selector_is_told_as_deleted_and_who_enters_it_as_added(at: Place) -> None:
    await at.api.create(CONFIG_MAP, at.namespace, config_map("x", {"in": "yes"}))
    position = (await at.api.list(CONFIG_MAP, namespace=at.namespace)).resource_version
    for label in ("no", "yes"):
        await at.api.patch(CONFIG_MAP, at.namespace, "x", {"metadata": {"labels": {"in": label}}})
    events = await _first(at, 2, position, "in=yes")
    assert [e.type for e in events] == ["DELETED", "ADDED"]


async def a_position_that_is_too_old_is_gone(at: Place) -> None:
    await at.api.create(POD_CLIQUE, at.namespace, podclique("c"))
    for value in "123":
        await at.api.patch(POD_CLIQUE, at.namespace, "c", {"metadata": {"labels": {"v": value}}})
    at.forget()
    events = aiter(at.api.watch(POD_CLIQUE, "1", namespace=at.namespace))
    with pytest.raises(Gone):
        await asyncio.wait_for(anext(events), 10)


async def gates_only_go_and_a_pod_spec_stays(at: Place) -> None:
    await at.api.create(POD, at.namespace, pod("p", gates=("one", "two")))
    first = await at.api.get(POD, at.namespace, "p")
    assert first["status"]["phase"] == "Pending"
    assert [(c["type"], c["status"], c["reason"]) for c in first["status"]["conditions"]] == [
        ("PodScheduled", "False", "SchedulingGated")
    ]
    left = await at.api.patch(POD, at.namespace, "p", {"spec": {"schedulingGates": [{"name": "two"}]}})
    assert left["spec"]["schedulingGates"] == [{"name": "two"}]
    for refused in ({"schedulingGates": [{"name": "two"}, {"name": "new"}]}, {"hostname": "h"}, {"nodeName": "n"}):
        with pytest.raises(Invalid):
            await at.api.patch(POD, at.namespace, "p", {"spec": refused})


async def a_pod_is_bound_once_and_not_while_it_is_gated(at: Place) -> None:
    made = await at.api.create(POD, at.namespace, pod("p", gates=("one",)))
    with pytest.raises(Conflict):
        await _bind(at, made)
    await at.api.patch(POD, at.namespace, "p", {"spec": {"schedulingGates": None}})
    with pytest.raises(Conflict):
        await _bind(at, {"metadata": {"name": "p", "uid": "not-this-one"}})
    await _bind(at, made)
    bound = await at.api.get(POD, at.namespace, "p")
    assert bound["spec"]["nodeName"] == "node-1"
    assert {c["type"]: c["status"] for c in bound["status"]["conditions"]} == {"PodScheduled": "True"}
    with pytest.raises(Conflict):
        await _bind(at, made)


async def an_unbound_pod_goes_at_once_and_a_bound_one_when_its_node_says_so(at: Place) -> None:
    await at.api.create(POD, at.namespace, pod("free", gates=("one",)))
    await at.api.delete(POD, at.namespace, "free")
    with pytest.raises(NotFound):
        await at.api.get(POD, at.namespace, "free")
    await at.api.create(POD, at.namespace, pod("bound", node="node-1"))
    await at.api.delete(POD, at.namespace, "bound")
    going = await at.api.get(POD, at.namespace, "bound")
    assert going["metadata"]["deletionGracePeriodSeconds"] == 30
    with pytest.raises(AlreadyExists):
        await at.api.create(POD, at.namespace, pod("bound"))
    await at.api.delete(POD, at.namespace, "bound", grace_s=0)
    with pytest.raises(NotFound):
        await at.api.get(POD, at.namespace, "bound")


CASES: tuple[Case, ...] = (
    a_second_create_of_a_name_is_refused,
    what_is_not_there_is_not_found,
    a_merge_patch_removes_by_null_and_replaces_lists_and_one_without_effect_is_no_change,
    a_stale_resource_version_or_another_uid_is_a_conflict,
    a_status_has_its_own_way_and_only_a_spec_raises_the_generation,
    a_scale_changes_the_replicas_and_nothing_else,
    a_finalizer_keeps_what_is_deleted_until_it_goes,
    a_list_selects_and_says_from_where_to_watch,
    a_watch_tells_every_change_once_and_in_order,
    who_leaves_a_selector_is_told_as_deleted_and_who_enters_it_as_added,
    a_position_that_is_too_old_is_gone,
    gates_only_go_and_a_pod_spec_stays,
    a_pod_is_bound_once_and_not_while_it_is_gated,
    an_unbound_pod_goes_at_once_and_a_bound_one_when_its_node_says_so,
)


async def what_an_owner_owned_goes_with_it_at_every_depth(at: Place) -> None:
    top = await at.api.create(CONFIG_MAP, at.namespace, config_map("top"))
    other = await at.api.create(CONFIG_MAP, at.namespace, config_map("other"))
    middle = await at.api.create(CONFIG_MAP, at.namespace, owned("middle", top))
    await at.api.create(CONFIG_MAP, at.namespace, owned("bottom", middle))
    await at.api.create(CONFIG_MAP, at.namespace, owned("shared", top, other))
    await at.api.delete(CONFIG_MAP, at.namespace, "top")
    await _eventually_gone(at, "middle")
    await _eventually_gone(at, "bottom")
    await at.api.get(CONFIG_MAP, at.namespace, "shared")
    await at.api.create(CONFIG_MAP, at.namespace, owned("late", top))
    await _eventually_gone(at, "late")
    await at.api.delete(CONFIG_MAP, at.namespace, "other")
    await _eventually_gone(at, "shared")


COLLECTED: tuple[Case, ...] = (what_an_owner_owned_goes_with_it_at_every_depth,)
"""Cases that need the garbage collector beside the API server."""


def owned(name: str, *owners: Json) -> Json:
    references = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": o["metadata"]["name"], "uid": o["metadata"]["uid"]}
        for o in owners
    ]
    manifest = config_map(name)
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": references}}


async def _eventually_gone(at: Place, name: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await at.api.get(CONFIG_MAP, at.namespace, name)
            except NotFound:
                return
            await asyncio.sleep(0.1)


async def _bind(at: Place, of: Json) -> None:
    meta = of["metadata"]
    body: Json = {"metadata": {"name": meta["name"], "uid": meta["uid"]}, "target": {"kind": "Node", "name": "node-1"}}
    await at.api.create(POD, at.namespace, body, subresource_of=f"{meta['name']}/binding")


async def _first(at: Place, count: int, position: str, selector: str = "") -> list[WatchEvent]:
    """The first events of ConfigMaps after `position`; TimeoutError where they don't come within 10 s."""
    events: list[WatchEvent] = []
    watch = at.api.watch(CONFIG_MAP, position, namespace=at.namespace, label_selector=selector)
    async with asyncio.timeout(10):
        async for event in watch:
            if event.type != "BOOKMARK":
                events.append(event)
            if len(events) == count:
                break
    return events
