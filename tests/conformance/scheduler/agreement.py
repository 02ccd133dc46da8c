"""The comparison of verdicts, shared by the sample in the suite and the full proof."""

from __future__ import annotations

import asyncio

from grove_operator.api.kinds import BY_KIND, NODE, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, Json, Kind
from grove_operator.engine.ports import AlreadyExists
from grove_operator.kube.client import HttpKubeApi
from tests.conformance.scheduler.pairs import OVERHEAD, RUNTIME_CLASS, create, ours, pair
from tests.support.placing import each, until, wipe

CLASS = Kind("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", namespaced=False)


async def compare(api: HttpKubeApi, first: int, count: int) -> dict[str, float]:
    """Both verdicts on `count` pairs. AssertionError naming the seeds on which they differ, with both reasons."""
    assert BY_KIND
    await wipe(api, (POD, PERSISTENT_VOLUME_CLAIM, PERSISTENT_VOLUME, NODE))
    try:
        await api.create(
            CLASS, None, {"metadata": {"name": RUNTIME_CLASS}, "handler": "x", "overhead": {"podFixed": OVERHEAD}}
        )
    except AlreadyExists:
        await asyncio.sleep(0)
    pairs = [pair(first + i) for i in range(count)]
    await create(api, pairs)
    stored: dict[str, Json] = {p["metadata"]["name"]: p for p in (await api.list(POD)).items}
    pending = [p.pod for p in pairs]

    async def make(pod: Json) -> None:
        gated = {**pod, "spec": {**pod["spec"], "schedulingGates": [{"name": "example.com/wait"}]}}
        stored[pod["metadata"]["name"]] = await api.create(POD, "ns", gated)

    await each(make(pod) for pod in pending)
    mine = ours(pairs, {name: _ungated(pod) for name, pod in stored.items()})
    await each(api.patch(POD, "ns", pod["metadata"]["name"], {"spec": {"schedulingGates": None}}) for pod in pending)
    names = {pod["metadata"]["name"] for pod in pending}

    async def all_judged() -> dict[str, str] | None:
        pods = [p for p in (await api.list(POD)).items if p["metadata"]["name"] in names]
        said = {p["metadata"]["name"]: _verdict(p) for p in pods}
        return {k: v for k, v in said.items() if v is not None} if None not in said.values() else None

    theirs: dict[str, str] = await until(all_judged, "kube-scheduler judges every pod")
    different = [
        f"{name}: ours {mine[name] or 'bind'!r}, kube-scheduler's {theirs[name] or 'bind'!r}"
        for name in sorted(names)
        if bool(mine[name]) != bool(theirs[name])
    ]
    assert not different, "\n".join(different)
    bound = sum(not said for said in theirs.values())
    return {"pairs": count, "bound": bound, "refused": count - bound}


def _ungated(pod: Json) -> Json:
    spec = {k: v for k, v in pod["spec"].items() if k != "schedulingGates"}
    return {**pod, "spec": spec}


def _verdict(pod: Json) -> str | None:
    """'' when bound, the reason when refused, None when not judged yet."""
    if pod["spec"].get("nodeName"):
        return ""
    told = [c for c in pod["status"].get("conditions") or () if c["type"] == "PodScheduled"]
    judged = [c for c in told if c["status"] == "False" and c.get("reason") == "Unschedulable"]
    return judged[0]["message"] if judged else None
