"""An older version's operator makes the golden stories on a real API server; this version takes over from it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from grove_operator.api.kinds import EVENT, POD, POD_CLIQUE, POD_CLIQUE_SET, POD_GANG, SCALING_GROUP, Json, Kind
from grove_operator.core.settings import Settings
from grove_operator.kube.client import HttpKubeApi
from grove_operator.kube.clock import RealClock
from grove_operator.localcluster.controlplane_bare import bare_control_plane
from tests.conformance.operator.test_stories import _serve, running
from tests.golden.graph import OPTIONAL, STORIES
from tests.prove.proof import Figures, Progress
from tests.support.deployed import until

ROOT = Path(__file__).parents[2]
OLDER = ("baee0fb", "d560d7d")
"""The last commit whose hashes have no prefix, and one from long before it."""
KEPT: tuple[Kind, ...] = (POD, POD_CLIQUE, SCALING_GROUP, POD_GANG)
PATIENCE_S = 120.0
PLAY = """
import asyncio, sys
from pathlib import Path
from tests.conformance.operator.test_stories import OPTIONAL, STORIES, _play, settings_of
stories = [s for s in STORIES if s not in OPTIONAL]
asyncio.run(_play(Path(sys.argv[1]), stories, settings_of(stories[0])))
"""


def upgrades(seed: int, count: int, progress: Progress) -> Figures:
    """Case i upgrades from the i-th older commit: no pod, PodClique, group or gang is replaced, then nobody writes."""
    kept = 0
    first = seed % 1_000_003
    for commit in OLDER[first : first + count]:
        with tempfile.TemporaryDirectory(prefix="grove-upgrade-") as folder:
            kept += _upgrade(commit, Path(folder))
        progress(1)
    return {"versions": count, "pods_kept": kept}


def _upgrade(commit: str, folder: Path) -> int:
    older = folder / "older"
    older.mkdir()
    archive = subprocess.run(["git", "archive", commit, "operator", "tests"], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", str(older)], input=archive.stdout, check=True)
    with bare_control_plane(folder) as plane:
        asyncio.run(_serve(plane))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(older / "operator" / "src"), str(older)))}
        done = subprocess.run(
            [sys.executable, "-c", PLAY, str(plane.kubeconfig)], cwd=older, env=environment, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{commit} could not make the stories: {done.stderr[-2000:]}"
        return asyncio.run(_take_over(plane.kubeconfig))


async def _take_over(kubeconfig: Path) -> int:
    async with HttpKubeApi.from_kubeconfig(kubeconfig) as api:
        before, sets = await _uids(api), {s: await _spec(api, s) for s in STORIES if s not in OPTIONAL}
        async with running(api, RealClock(), Settings()) as operator:
            await until(lambda: _is_relabelled(api), PATIENCE_S, every_s=0.5)
            await asyncio.sleep(5)
            written = operator.metrics.writes.copy()
            await asyncio.sleep(10)
            extra = {what: n for what, n in (operator.metrics.writes - written).items() if what[1] != EVENT.kind}
            assert not extra, f"written at rest: {extra}"
        assert await _uids(api) == before, "something was replaced"
        assert {s: await _spec(api, s) for s in sets} == sets, "a set was changed"
        return len((await api.list(POD)).items)


async def _uids(api: HttpKubeApi) -> set[str]:
    return {obj["metadata"]["uid"] for kind in KEPT for obj in (await api.list(kind)).items}


async def _spec(api: HttpKubeApi, story: str) -> list[Json]:
    return [pcs["spec"] for pcs in (await api.list(POD_CLIQUE_SET, namespace=story)).items]


async def _is_relabelled(api: HttpKubeApi) -> bool:
    with contextlib.suppress(KeyError):
        found = [obj for kind in (POD, POD_CLIQUE) for obj in (await api.list(kind)).items]
        return all(obj["metadata"]["labels"]["grove.io/pod-template-hash"].startswith("v1-") for obj in found)
    return False
