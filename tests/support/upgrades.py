"""An older operator and scheduler run workloads, then ours take over: what is replaced by that."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from grove_operator.api.install import InstallOptions
from grove_operator.api.kinds import (
    BY_KIND,
    CRD,
    DEPLOYMENT,
    NAMESPACE,
    POD,
    POD_CLIQUE,
    POD_CLIQUE_SET,
    POD_GANG,
    SCALING_GROUP,
    SERVICE,
    Json,
)
from grove_operator.engine.ports import NotFound
from grove_operator.kube.client import HttpKubeApi
from tests.golden.graph import OPTIONAL, STORIES, inputs
from tests.support.installation import OURS, ROOT
from tests.support.killable import OPERATOR, SCHEDULER, Killable, config_of, killable_cluster, ours
from tests.support.placing import until

KEPT = (POD, POD_CLIQUE, SCALING_GROUP, POD_GANG, SERVICE)
QUIET_S = 5.0
PATIENCE_S = 240.0
PRINT_MANIFESTS = """
import json, sys
from grove_operator.api.crds import all_crds
from grove_operator.api.install import InstallOptions, install_manifests
print(json.dumps([*all_crds(), *install_manifests(InstallOptions(**json.loads(sys.argv[1])))]))
"""


def has_commit(commit: str) -> bool:
    """False in a checkout without that history."""
    done = subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=ROOT, capture_output=True, check=False)
    return done.returncode == 0


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """The folder of that commit's operator's packages."""
    with TemporaryDirectory(prefix="grove-older-") as folder:
        archive = subprocess.run(
            ["git", "archive", commit, "operator/src"], cwd=ROOT, capture_output=True, check=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder) / "operator" / "src"


def upgraded_from(commit: str, root: Path) -> dict[str, float]:
    """How many workloads and pods outlived the upgrade. AssertionError names what did not."""
    with checked_out(commit) as source:

        def older(options: InstallOptions) -> list[Json]:
            return _manifests_of(source, options)

        with killable_cluster(root, older=older) as cluster:
            return asyncio.run(_upgraded(cluster, source))


def _manifests_of(source: Path, options: InstallOptions) -> list[Json]:
    usual = asdict(InstallOptions())
    said = {name: value for name, value in asdict(options).items() if value != usual[name]}  # older ones know fewer
    argv = [sys.executable, "-c", PRINT_MANIFESTS, json.dumps(said)]
    done = subprocess.run(argv, env={"PYTHONPATH": str(source)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[Json] = json.loads(done.stdout)
    return found


async def _upgraded(cluster: Killable, source: Path) -> dict[str, float]:
    async with HttpKubeApi.from_kubeconfig(cluster.operated.kubeconfig) as api:
        cluster.installation.source = source
        await cluster.ensure_running()
        stories = [story for story in STORIES if story not in OPTIONAL]
        for story in stories:
            await _play(api, story)
        await until(lambda: _is_whole(api), lambda: f"every pod is there; {cluster.said(OPERATOR)}", PATIENCE_S)
        await _quiet(cluster)
        before = await _uids(api)
        for module in (OPERATOR, SCHEDULER):
            cluster.kill(module, signal.SIGTERM)
        await _install_ours(cluster, api)
        cluster.installation.source = OURS
        await cluster.ensure_running()
        await _quiet(cluster)
        await until(lambda: _is_whole(api), lambda: f"every pod is there; {cluster.said(OPERATOR)}", PATIENCE_S)
        after = await _uids(api)
        gone = sorted(f"{kind} {name}" for uid, (kind, name) in before.items() if uid not in after)
        assert not gone, f"{len(gone)} objects were replaced: {gone[:5]}"
        updating = [o["metadata"]["name"] for o in (await api.list(POD_CLIQUE_SET)).items if _is_updating(o)]
        assert not updating, f"updates began: {updating}"
    pods = sum(kind == POD.kind for kind, _ in before.values())
    return {"upgrades": 1, "workloads": len(stories), "pods_kept": pods, "other_objects_kept": len(before) - pods}


async def _play(api: HttpKubeApi, story: str) -> None:
    await api.create(NAMESPACE, None, {"metadata": {"name": story}})
    for document in inputs(story):
        kind = BY_KIND[document["kind"]]
        await api.create(kind, document["metadata"].get("namespace"), document)


async def _install_ours(cluster: Killable, api: HttpKubeApi) -> None:
    """As `kubectl apply` would: what there is is changed, what is missing is made."""
    manifests = [m for m in ours(cluster.installation.options) if m["kind"] != DEPLOYMENT.kind]
    cluster.installation.config.write_text(config_of(manifests))
    for manifest in manifests:
        kind, meta = BY_KIND[manifest["kind"]], manifest["metadata"]
        if "webhooks" in manifest:  # their caBundle is the operator's to fill in again
            with suppress(NotFound):
                await api.delete(kind, meta.get("namespace"), meta["name"])
        try:
            await api.patch(kind, meta.get("namespace"), meta["name"], manifest)
        except NotFound:
            await api.create(kind, meta.get("namespace"), manifest)
    assert CRD.kind in {m["kind"] for m in manifests}


async def _is_whole(api: HttpKubeApi) -> bool:
    """Each PodClique has noticed its spec and has all its pods; whether they find a place is not the question."""
    sets, cliques = (await api.list(POD_CLIQUE_SET)).items, (await api.list(POD_CLIQUE)).items
    noticed = all((o.get("status") or {}).get("observedGeneration") == o["metadata"]["generation"] for o in sets)
    return noticed and all((o.get("status") or {}).get("replicas", 0) == o["spec"]["replicas"] for o in cliques)


async def _quiet(cluster: Killable) -> None:
    """Until nothing has been written for a while."""
    last: dict[str, int] = {}

    async def is_quiet() -> bool:
        before = dict(last)
        last.clear()
        last.update(await asyncio.to_thread(cluster.operated.project.writes))
        if before != last:
            await asyncio.sleep(QUIET_S)
        return before == last

    await until(is_quiet, lambda: "nothing is written any more", PATIENCE_S)


async def _uids(api: HttpKubeApi) -> dict[str, tuple[str, str]]:
    found = {}
    for kind in KEPT:
        for obj in (await api.list(kind, label_selector="app.kubernetes.io/managed-by=grove-operator")).items:
            found[obj["metadata"]["uid"]] = (kind.kind, f"{obj['metadata']['namespace']}/{obj['metadata']['name']}")
    return found


def _is_updating(obj: Json) -> bool:
    return "updateProgress" in (obj.get("status") or {})
