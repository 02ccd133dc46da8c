"""Generated objects on a real API server, installed with the authorizer switched on: who may touch them."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest

from grove_operator.api.constants import (
    ANNOTATION_DISABLE_PROTECTION,
    LABEL_POD_CLIQUE,
    MANAGED_BY,
    MANAGED_BY_VALUE,
    PART_OF,
)
from grove_operator.api.kinds import POD, POD_CLIQUE, POD_CLIQUE_SET, POD_GANG, SERVICE, Json
from grove_operator.engine.ports import Invalid
from grove_operator.kube.client import HttpKubeApi
from grove_operator.localcluster.tools import locate
from tests.support.installation import Installation, eventually, installed
from tests.unit.api.manifests import clique, pcs

pytestmark = pytest.mark.needs_tools
LABELS = {MANAGED_BY: MANAGED_BY_VALUE, PART_OF: "web"}
IN_ORDER = {"cliqueStartupType": "CliqueStartupTypeInOrder"}  # only then is there a token Secret
WEB = pcs(clique("router", replicas=2), clique("worker"), name="web", **IN_ORDER)
GARBAGE_COLLECTOR = "system:serviceaccount:kube-system:generic-garbage-collector"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    root = tmp_path_factory.mktemp("authorizer")
    with installed(root, {"authorizer": {"enabled": True}}) as made:
        yield made


@pytest.fixture
async def api(installation: Installation) -> AsyncIterator[HttpKubeApi]:
    """The cluster's administrator, to whom nothing but admission says no; `web` is there with all its objects."""
    if not installation.processes:
        await installation.serve()
    async with HttpKubeApi.from_kubeconfig(installation.plane.kubeconfig) as client:
        if not (await client.list(POD_CLIQUE_SET, namespace="default")).items:
            await client.create(POD_CLIQUE_SET, "default", WEB)

        async def made() -> bool:
            return len(await routers(client)) == 2 and bool((await client.list(POD_GANG, namespace="default")).items)

        await eventually(made, lambda: f"the operator makes its objects; {installation.said('operator-0')[-2000:]}")
        yield client


async def routers(client: HttpKubeApi) -> set[str]:
    """Names of the living pods of web-0-router (without controllers nobody collects those of deleted podcliques)."""
    pods = await client.list(POD, namespace="default", label_selector=f"{LABEL_POD_CLIQUE}=web-0-router")
    return {pod["metadata"]["name"] for pod in pods.items if not pod["metadata"].get("deletionTimestamp")}


def kubectl(installation: Installation, *args: str, user: str = "") -> subprocess.CompletedProcess[str]:
    as_user = ["--as", user, "--as-group", "system:masters"] if user else []
    command = [str(locate("kubectl")), "--kubeconfig", str(installation.plane.kubeconfig), *as_user, *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def test_the_operator_itself_makes_and_changes_its_objects(installation: Installation, api: HttpKubeApi) -> None:
    await api.patch(POD_CLIQUE_SET, "default", "web", {"spec": {"replicas": 2}})

    async def followed() -> bool:
        return len((await api.list(POD_CLIQUE, namespace="default")).items) == 4

    await eventually(followed, "podcliques of the second replica")
    await api.patch(POD_CLIQUE_SET, "default", "web", {"spec": {"replicas": 1}})

    async def went() -> bool:
        return len((await api.list(POD_CLIQUE, namespace="default")).items) == 2

    await eventually(went, "and they go again")
    assert "may not" not in installation.said("operator-0")


async def test_an_edit_is_refused_and_the_refusal_shows_the_three_ways(
    installation: Installation, api: HttpKubeApi
) -> None:
    with pytest.raises(Invalid) as refused:
        await api.patch(POD_CLIQUE, "default", "web-0-router", {"spec": {"replicas": 7}})
    said = str(refused.value)
    assert "authorizer.webhooks.grove.io" in said
    assert (
        "podclique default/web-0-router is generated from podcliqueset web, and user grove-admin may not update" in said
    )
    assert "kubectl scale podclique web-0-router -n default --replicas=N" in said
    assert "kubectl edit podcliqueset web -n default" in said
    assert f"kubectl annotate podcliqueset web -n default {ANNOTATION_DISABLE_PROTECTION}=true" in said


async def test_the_way_to_scale_that_the_refusal_names_works(installation: Installation, api: HttpKubeApi) -> None:
    done = kubectl(installation, "scale", "podclique", "web-0-router", "-n", "default", "--replicas=3")
    assert done.returncode == 0, done.stderr

    async def scaled() -> bool:
        return len(await routers(api)) == 3

    await eventually(scaled, "a third pod")
    assert kubectl(installation, "scale", "podclique", "web-0-router", "-n", "default", "--replicas=2").returncode == 0

    async def back() -> bool:
        return len(await routers(api)) == 2

    await eventually(back, "and two again")


@pytest.mark.parametrize(
    "command",
    [
        ("delete", "podclique", "web-0-router"),
        ("delete", "podgang", "web-0"),
        ("label", "podgang", "web-0", "a=b"),
        ("label", "service", "web-0", "a=b"),
        ("delete", "service", "web-0"),
        ("delete", "role", "grove.io:pcs:web"),
        ("label", "rolebinding", "grove.io:pcs:web", "a=b"),
        ("delete", "serviceaccount", "web"),
        ("label", "secret", "web-ic-sat", "a=b"),
        ("label", "pod", "--all", "a=b"),
        # taking the labels off in the same request is no way around: what is stored counts
        ("label", "podclique", "web-0-router", f"{MANAGED_BY}-", f"{PART_OF}-"),
    ],
    ids=" ".join,
)
async def test_others_may_not_do_this(installation: Installation, api: HttpKubeApi, command: tuple[str, ...]) -> None:
    done = kubectl(installation, *command, "-n", "default", "--wait=false" if command[0] == "delete" else "--overwrite")
    assert done.returncode == 1
    assert "may not" in done.stderr, done.stderr


async def test_a_generated_object_cannot_be_forged(installation: Installation, api: HttpKubeApi) -> None:
    stored = await api.get(POD_CLIQUE, "default", "web-0-router")
    forged: Json = {
        "apiVersion": stored["apiVersion"],
        "kind": stored["kind"],
        "metadata": {"name": "forged", "namespace": "default", "labels": LABELS},
        "spec": stored["spec"],
    }
    with pytest.raises(Invalid, match="may not create it"):
        await api.create(POD_CLIQUE, "default", forged)


@pytest.mark.parametrize(
    "user",
    ["system:kube-controller-manager", GARBAGE_COLLECTOR, "system:serviceaccount:grove-system:grove-scheduler"],
)
async def test_parts_of_the_cluster_are_exempt(installation: Installation, api: HttpKubeApi, user: str) -> None:
    done = kubectl(installation, "annotate", "podgang", "web-0", "-n", "default", "a=b", "--overwrite", user=user)
    assert done.returncode == 0, done.stderr


async def test_a_user_named_like_an_exempt_one_elsewhere_is_not(installation: Installation, api: HttpKubeApi) -> None:
    stranger = "system:serviceaccount:default:grove-operator"
    done = kubectl(installation, "annotate", "podgang", "web-0", "-n", "default", "a=c", "--overwrite", user=stranger)
    assert "may not" in done.stderr


async def test_pods_may_be_deleted_and_come_back(installation: Installation, api: HttpKubeApi) -> None:
    victim = min(await routers(api))
    await api.delete(POD, "default", victim, grace_s=0)

    async def replaced() -> bool:
        names = await routers(api)
        return len(names) == 2 and victim not in names

    await eventually(replaced, "the operator replaces it")


async def test_what_no_set_owns_is_allowed_with_a_warning(installation: Installation, api: HttpKubeApi) -> None:
    for name, labels, says in (
        ("orphan", {MANAGED_BY: MANAGED_BY_VALUE, PART_OF: "gone"}, "podcliqueset default/gone does not exist"),
        ("unlabelled", {MANAGED_BY: MANAGED_BY_VALUE}, f"has no label {PART_OF}"),
    ):
        service: Json = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "default", "labels": labels},
            "spec": {"clusterIP": "None"},
        }
        await api.create(SERVICE, "default", service)
        done = kubectl(installation, "annotate", "service", name, "-n", "default", "a=b")
        assert done.returncode == 0, done.stderr
        assert says in done.stderr
        await api.delete(SERVICE, "default", name)


async def test_the_annotation_switches_the_protection_off(installation: Installation, api: HttpKubeApi) -> None:
    off = {"metadata": {"annotations": {ANNOTATION_DISABLE_PROTECTION: "true"}}}
    await api.patch(POD_CLIQUE_SET, "default", "web", off)
    await api.patch(POD_CLIQUE, "default", "web-0-router", {"metadata": {"annotations": {"by": "hand"}}})
    await api.patch(
        POD_CLIQUE_SET, "default", "web", {"metadata": {"annotations": {ANNOTATION_DISABLE_PROTECTION: None}}}
    )
    with pytest.raises(Invalid, match="may not update it"):
        await api.patch(POD_CLIQUE, "default", "web-0-router", {"metadata": {"annotations": {"by": "foot"}}})
