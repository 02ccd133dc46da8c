"""A load scales each of the three levels: Kubernetes' own HorizontalPodAutoscalers, over CPU time that is really used.

Every pod is a process that burns CPU while its set's file exists. One set for each level: the autoscaler refuses pods
that two of its objects select.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from grove_operator.api.kinds import HPA, POD_CLIQUE, POD_CLIQUE_SET, SCALING_GROUP, Json, Kind
from tests.e2e.conftest import REAL_PYTHON
from tests.sim.shapes import clique, group, podcliqueset
from tests.support.operated import Namespace, Operated, is_ready

pytestmark = pytest.mark.needs_tools
METRICS: Json = [
    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
]
BURN = """
import os, sys, time
while True:
    spent = time.process_time() + (0.01 if os.path.exists(sys.argv[1]) else 0.0)
    while time.process_time() < spent: pass
    time.sleep(0.2)
"""
"""About 50m under load and 1m without: far from the 10m that half of the request is, also on a busy machine."""


def burning(name: str, load: Path, **spec: object) -> Json:
    container: Json = {"name": "main", "image": REAL_PYTHON, "args": ["-c", BURN, str(load)]}
    container["resources"] = {"requests": {"cpu": "20m"}}
    return clique(name, 1, podSpec={"containers": [container], "terminationGracePeriodSeconds": 1}, **spec)


def named(name: str, pcs: Json) -> Json:
    return {**pcs, "metadata": {**pcs["metadata"], "name": name}}


async def size(here: Namespace, kind: Kind, name: str) -> int:
    return int((await here.api.get(kind, here.name, name))["spec"]["replicas"])


async def ready_pods(here: Namespace, clique_name: str) -> int:
    return sum(is_ready(p) for p in await here.pods(clique_name))


async def all_say_available(here: Namespace) -> bool:
    """Of their present spec."""
    for pcs in await here.all(POD_CLIQUE_SET):
        said = {c["type"]: c for c in (pcs.get("status") or {}).get("conditions", ())}
        if said.get("Available", {}).get("observedGeneration") != pcs["metadata"]["generation"]:
            return False
        if (said["Available"]["status"], said["Progressing"]["status"]) != ("True", "False"):
            return False
    return True


LEVELS = ((POD_CLIQUE, "byclique-0-fe"), (SCALING_GROUP, "bygroup-0-g"), (POD_CLIQUE_SET, "byset"))


async def test_a_load_scales_a_clique_a_group_and_a_set_out_and_its_end_scales_them_in(
    operated: Operated, tmp_path: Path
) -> None:
    load = tmp_path / "load"
    bounds: Json = {"minReplicas": 1, "maxReplicas": 3, "metrics": METRICS}
    async with operated.namespace("autoscaling") as here:
        await here.apply(named("byclique", podcliqueset([burning("fe", load, autoScalingConfig=bounds)])))
        by_group = podcliqueset([burning("w", load)], [group("g", ["w"], 1, scaleConfig=bounds)])
        await here.apply(named("bygroup", by_group))
        await here.apply(named("byset", podcliqueset([burning("m", load)])))
        target = {"apiVersion": POD_CLIQUE_SET.api_version, "kind": POD_CLIQUE_SET.kind, "name": "byset"}
        await here.api.create(HPA, here.name, {"metadata": {"name": "u"}, "spec": {"scaleTargetRef": target, **bounds}})

        async def all_are(replicas: int) -> bool:
            return all([await size(here, kind, name) == replicas for kind, name in LEVELS])

        async def all_are_up(replicas: int) -> bool:
            counts = [
                await ready_pods(here, "byclique-0-fe"),
                sum([await ready_pods(here, f"bygroup-0-g-{j}-w") for j in range(3)]),
                sum([await ready_pods(here, f"byset-{i}-m") for i in range(3)]),
            ]
            return counts == [replicas] * 3

        await here.eventually(lambda: all_are_up(1))
        load.touch()
        await here.eventually(lambda: all_are(3))
        await here.eventually(lambda: all_are_up(3))
        load.unlink()
        await here.eventually(lambda: all_are(1))
        await here.eventually(lambda: all_are_up(1))
        await here.eventually(lambda: here.is_settled("bygroup"))  # groups and cliques of all three, not sets alone
        await here.eventually(lambda: all_say_available(here))
        breaches = [
            obj["metadata"]["name"]
            for kind in (POD_CLIQUE, SCALING_GROUP)
            for obj in await here.all(kind)
            for condition in obj["status"]["conditions"]
            if condition["type"] == "MinAvailableBreached" and condition["status"] != "False"
        ]
        assert breaches == []
