"""What users, nodes and bad luck do in a story. Each deed picks its target from the live objects when none is named."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

from grove_operator.api.constants import ANNOTATION_ROLLOUT_PAUSED, LABEL_SCALING_GROUP, MANAGED_BY
from grove_operator.api.kinds import (
    BY_KIND,
    CONTROLLER_REVISION,
    NODE,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    SCALING_GROUP,
    SERVICE,
    Json,
    Kind,
)
from grove_operator.core.objects import controller_uid
from grove_operator.core.revisions import number, restored
from grove_operator.engine.ports import ApiError
from grove_operator.sim.cluster import PROCESSES, SimCluster

Deed = Callable[[str, Any], Awaitable[str]]
CLOCK_JUMP_S = 10.0
DOWN_S = (0.5, 10.0)
STORM_S = (3.0, 20.0)


class Deeds:
    """`by_name[deed](of, to)` does it and tells what was done; '' when there was nothing to do it to."""

    def __init__(self, cluster: SimCluster, rng: random.Random) -> None:
        self._cluster, self._api, self._rng = cluster, cluster.api, rng
        self._image = 0
        self.by_name: dict[str, Deed] = {
            "scale-set": self._scale_set,
            "scale-group": self._scale_group,
            "scale-clique": self._scale_clique,
            "update": self._update,
            "bad-update": self._bad_update,
            "undo": self._undo,
            "pause": self._pause,
            "resume": self._resume,
            "delete-pod": self._delete_pod,
            "crash-pod": self._crash_pod,
            "evict-pod": self._evict_pod,
            "lose-node": self._lose_node,
            "return-node": self._return_node,
            "delete-by-hand": self._delete_by_hand,
            "squat": self._squat,
            "kill-operator": self._kill_operator,
            "kill-scheduler": self._kill_scheduler,
            "storm": self._storm,
            "lag": self._lag,
            "clock": self._clock,
        }

    async def calm(self) -> None:
        """Everything is mended: nodes, processes, clocks, templates; rollouts go on."""
        for name in PROCESSES:
            self._cluster.weather(name).clear()
            self._cluster.set_clock(name, 0.0)
            self._cluster.start_process(name)
        for node in sorted(self._cluster.kubelets.lost):
            await self._cluster.kubelets.bring_back(node)
        for pcs in self._objects(POD_CLIQUE_SET):
            if (pcs["metadata"].get("annotations") or {}).get(ANNOTATION_ROLLOUT_PAUSED):
                await self._resume(pcs["metadata"]["name"], None)
            if any(_image(c).endswith(":bad") for c in pcs["spec"]["template"]["cliques"]):
                await self._update(pcs["metadata"]["name"], None)

    # ── users ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _scale_set(self, of: str, to: Any) -> str:
        return await self._scale(POD_CLIQUE_SET, of, to, 0, 3)

    async def _scale_group(self, of: str, to: Any) -> str:
        return await self._scale(SCALING_GROUP, of, to, 1, 4)

    async def _scale_clique(self, of: str, to: Any) -> str:
        alone = [c for c in self._objects(POD_CLIQUE) if not _labels(c).get(LABEL_SCALING_GROUP)]
        target = self._pick(alone, of)
        return await self._scale(POD_CLIQUE, target["metadata"]["name"], to, 1, 5) if target else ""

    async def _scale(self, kind: Kind, of: str, to: Any, least: int, most: int) -> str:
        target = self._pick(self._objects(kind), of)
        if target is None:
            return ""
        minimum = max(least, target["spec"].get("minAvailable") or 0) if kind is not POD_CLIQUE_SET else least
        replicas = self._rng.randint(minimum, max(most, minimum)) if to is None else int(to)
        await self._patch(target, {"spec": {"replicas": replicas}})
        return f"{target['metadata']['name']} to {replicas}"

    async def _update(self, of: str, to: Any) -> str:
        self._image += 1
        return await self._new_image(of, f"v{self._image}" if to is None else str(to))

    async def _bad_update(self, of: str, to: Any) -> str:
        return await self._new_image(of, "bad")

    async def _new_image(self, of: str, tag: str) -> str:
        pcs = self._pick(self._objects(POD_CLIQUE_SET), of)
        if pcs is None:
            return ""
        cliques = pcs["spec"]["template"]["cliques"]
        chosen = [c for c in cliques if self._rng.random() < 0.7 or _image(c).endswith(":bad")] or cliques[:1]
        for entry in chosen:
            for container in entry["spec"]["podSpec"]["containers"]:
                container["image"] = f"{container['image'].partition(':')[0]}:{tag}"
        await self._patch(pcs, {"spec": {"template": {"cliques": cliques}}})
        return f"{pcs['metadata']['name']}: {', '.join(c['name'] for c in chosen)} to {tag}"

    async def _undo(self, of: str, to: Any) -> str:
        """Back to one of the former revisions."""
        pcs = self._pick(self._objects(POD_CLIQUE_SET), of)
        uid = pcs["metadata"]["uid"] if pcs else ""
        known = sorted((r for r in self._objects(CONTROLLER_REVISION) if controller_uid(r) == uid), key=number)
        if pcs is None or len(known) < 2:
            return ""
        chosen = self._rng.choice(known[:-1])
        await self._patch(pcs, restored(pcs, chosen))
        return f"{pcs['metadata']['name']} to revision {number(chosen)}"

    async def _pause(self, of: str, to: Any) -> str:
        return await self._annotate(of, "true")

    async def _resume(self, of: str, to: Any) -> str:
        return await self._annotate(of, None)

    async def _annotate(self, of: str, value: str | None) -> str:
        pcs = self._pick(self._objects(POD_CLIQUE_SET), of)
        if pcs is None:
            return ""
        await self._patch(pcs, {"metadata": {"annotations": {ANNOTATION_ROLLOUT_PAUSED: value}}})
        return str(pcs["metadata"]["name"])

    async def _delete_by_hand(self, of: str, to: Any) -> str:
        """A generated object of any kind but the pods goes."""
        kinds = (SERVICE, POD_GANG, POD_CLIQUE, SCALING_GROUP)
        target = self._pick([obj for kind in kinds for obj in self._objects(kind)], of)
        if target is None:
            return ""
        meta = target["metadata"]
        await self._api.delete(BY_KIND[target["kind"]], meta["namespace"], meta["name"])
        return f"{target['kind']} {meta['name']}"

    async def _squat(self, of: str, to: Any) -> str:
        """Somebody puts a Service of their own where one of ours was."""
        service = self._pick(self._objects(SERVICE), of)
        if service is None:
            return ""
        meta = service["metadata"]
        await self._api.delete(SERVICE, meta["namespace"], meta["name"])
        labels = {**(meta.get("labels") or {}), MANAGED_BY: "somebody"}
        theirs: Json = {"metadata": {"name": meta["name"], "labels": labels}, "spec": {"ports": [{"port": 80}]}}
        try:
            await self._api.create(SERVICE, meta["namespace"], theirs)
        except ApiError:
            return f"{meta['name']}: too late"
        self._later(self._leave(theirs, meta["namespace"]))
        return str(meta["name"])

    async def _leave(self, service: Json, namespace: str) -> None:
        await self._cluster.clock.sleep(self._rng.uniform(2, 30))
        live = self._api.find(SERVICE, namespace, service["metadata"]["name"])
        if live and _labels(live)[MANAGED_BY] == "somebody":
            await self._api.delete(SERVICE, namespace, service["metadata"]["name"])

    # ── pods and nodes ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _delete_pod(self, of: str, to: Any) -> str:
        """One on node `to`, where that is named."""
        pod = self._pick([p for p in self._running() if to in (None, p["spec"]["nodeName"])], of)
        if pod is None:
            return ""
        await self._api.delete(POD, pod["metadata"]["namespace"], pod["metadata"]["name"])
        return str(pod["metadata"]["name"])

    async def _crash_pod(self, of: str, to: Any) -> str:
        """For `to` seconds, or drawn ones."""
        pod = self._pick(self._running(), of)
        if pod is None:
            return ""
        await self._cluster.kubelets.crash(pod, None if to is None else float(to))
        return str(pod["metadata"]["name"])

    async def _evict_pod(self, of: str, to: Any) -> str:
        pod = self._pick(self._running(), of)
        if pod is None:
            return ""
        await self._cluster.kubelets.evict(pod)
        return str(pod["metadata"]["name"])

    async def _lose_node(self, of: str, to: Any) -> str:
        standing = [n for n in self._objects(NODE) if n["metadata"]["name"] not in self._cluster.kubelets.lost]
        node = self._pick(standing, of)
        if node is None or (not of and len(self._cluster.kubelets.lost) >= 2):
            return ""
        await self._cluster.kubelets.lose(node["metadata"]["name"])
        return str(node["metadata"]["name"])

    async def _return_node(self, of: str, to: Any) -> str:
        lost = sorted(self._cluster.kubelets.lost)
        if not lost:
            return ""
        node = of or self._rng.choice(lost)
        await self._cluster.kubelets.bring_back(node)
        return node

    # ── bad luck ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _kill_operator(self, of: str, to: Any) -> str:
        return self._kill("operator", to)

    async def _kill_scheduler(self, of: str, to: Any) -> str:
        return self._kill("scheduler", to)

    def _kill(self, name: str, to: Any) -> str:
        """After its `to`-th write from now on, or a drawn one; it comes back some seconds later."""
        count = self._rng.randint(1, 12) if to is None else int(to)
        self._cluster.kill_after_writes(name, count)
        self._later(self._bring_up(name))
        return f"{name} after {count} writes"

    async def _bring_up(self, name: str) -> None:
        for _ in range(30):
            await self._cluster.clock.sleep(1.0)
            if not self._cluster.is_running(name):
                await self._cluster.clock.sleep(self._rng.uniform(*DOWN_S))
                break
        self._cluster.start_process(name)

    async def _storm(self, of: str, to: Any) -> str:
        """`to`: the share of requests that are refused."""
        name = of or self._rng.choice(PROCESSES)
        weather, seconds = self._cluster.weather(name), self._rng.uniform(*STORM_S)
        weather.refused = self._rng.choice((0.1, 0.5, 1.0)) if to is None else float(to)
        weather.answer_lost = self._rng.choice((0.0, 0.2))
        weather.conflict = self._rng.choice((0.0, 0.3))
        self._later(self._clears(name, seconds))
        return f"{name} for {seconds:.1f} s: {weather.refused:g} refused, {weather.answer_lost:g} unanswered"

    async def _lag(self, of: str, to: Any) -> str:
        """`of`: a process, or PROCESS:KIND whose watch alone is `to` seconds late."""
        name, _, late_kind = (of or self._rng.choice(PROCESSES)).partition(":")
        weather, seconds = self._cluster.weather(name), self._rng.uniform(*STORM_S)
        weather.late_kind = late_kind
        weather.lag_s = self._rng.choice((0.3, 1.0, 4.0)) if to is None else float(to)
        weather.repeated = self._rng.choice((0.0, 0.3))
        weather.broken_off = self._rng.choice((0.0, 0.1)) if not late_kind else 0.0
        self._later(self._clears(name, seconds))
        return f"{name} for {seconds:.1f} s: {weather.lag_s:g} s late"

    async def _clears(self, name: str, seconds: float) -> None:
        await self._cluster.clock.sleep(seconds)
        self._cluster.weather(name).clear()

    async def _clock(self, of: str, to: Any) -> str:
        name = of or self._rng.choice(PROCESSES)
        offset = self._rng.uniform(-CLOCK_JUMP_S, CLOCK_JUMP_S) if to is None else float(to)
        self._cluster.set_clock(name, offset)
        return f"{name} is {offset:+.1f} s off"

    # ── picking ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _objects(self, kind: Kind) -> list[Json]:
        return [obj for obj in self._api.objects(kind) if "deletionTimestamp" not in obj["metadata"]]

    def _running(self) -> list[Json]:
        return [p for p in self._objects(POD) if p["status"].get("phase") == "Running"]

    def _pick(self, objects: list[Json], of: str) -> Json | None:
        """The named one, or the first whose name begins so; any of them when nothing is named."""
        if of:
            return next((obj for obj in objects if obj["metadata"]["name"].startswith(of)), None)
        return self._rng.choice(objects) if objects else None

    async def _patch(self, obj: Json, body: Json) -> None:
        meta = obj["metadata"]
        await self._api.patch(BY_KIND[obj["kind"]], meta["namespace"], meta["name"], body)

    def _later(self, work: Any) -> None:
        self._cluster.spawn(work)


def _image(clique: Json) -> str:
    return str(clique["spec"]["podSpec"]["containers"][0].get("image", ""))


def _labels(obj: Json) -> dict[str, str]:
    found: dict[str, str] = obj["metadata"].get("labels") or {}
    return found
