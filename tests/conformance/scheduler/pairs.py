"""Random pods and nodes, each pod pinned to one node: what our scheduler and the real kube-scheduler say of a pair."""

from __future__ import annotations

import random
from dataclasses import dataclass

from grove_operator.api.kinds import Json
from grove_operator.engine import scheduling_view as view
from grove_operator.engine.pod_needs import PodTrimmer
from grove_operator.kube.client import HttpKubeApi
from grove_operator.scheduler.model import Snapshot
from grove_operator.scheduler.solve import schedule
from tests.support.placing import put

HOST = "kubernetes.io/hostname"
KEYS = {"disk": ("ssd", "hdd"), "zone": ("a", "b"), "gen": ("1", "2", "7")}
EFFECTS = ("NoSchedule", "NoExecute", "PreferNoSchedule")
RUNTIME_CLASS = "heavy"
OVERHEAD = {"cpu": "700m", "memory": "1Gi"}


@dataclass(frozen=True)
class Pair:
    """`others` run on the node already; `volumes` are what the pod's claims are bound to, with the claims."""

    node: Json
    pod: Json
    others: tuple[Json, ...]
    volumes: tuple[Json, ...]


def pair(seed: int) -> Pair:
    rng = random.Random(seed)
    name = f"n{seed}"
    node = _node(rng, name)
    apps = [f"app{i}-{seed}" for i in range(2)]
    others = tuple(_running(rng, f"r{seed}-{i}", name, apps) for i in range(rng.choice((0, 0, 1, 2))))
    pod, volumes = _pod(rng, f"p{seed}", name, apps)
    return Pair(node, pod, others, volumes)


def _node(rng: random.Random, name: str) -> Json:
    labels = {HOST: name, **{k: rng.choice(v) for k, v in KEYS.items() if rng.random() < 0.7}}
    amounts = {
        "cpu": rng.choice(("2", "5500m", "16", "16")),
        "memory": rng.choice(("4Gi", "64Gi")),
        "ephemeral-storage": rng.choice(("10Gi", "100Gi")),
        "pods": rng.choice(("2", "110", "110", "110")),
    }
    if rng.random() < 0.7:
        amounts["nvidia.com/gpu"] = rng.choice(("1", "4", "8"))
    if rng.random() < 0.3:
        amounts["hugepages-2Mi"] = "64Mi"
    taints = [
        {"key": rng.choice(("maintenance", "gpu")), "value": rng.choice(("", "x")), "effect": effect}
        for effect in rng.sample(EFFECTS, rng.choice((0, 0, 0, 0, 1, 2)))
    ]
    spec: Json = {"unschedulable": True} if rng.random() < 0.03 else {}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {**spec, **({"taints": taints} if taints else {})},
        "status": {
            "allocatable": amounts,
            "capacity": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }


def _running(rng: random.Random, name: str, node: str, apps: list[str]) -> Json:
    found = _empty(name, rng.choice([*apps, "other"]))
    found["spec"]["containers"] = [_container(rng, "c", ports=True)]
    if rng.random() < 0.2:
        found["spec"]["affinity"] = _avoiding(rng.choice(apps))
    found["spec"]["nodeName"] = node
    found["spec"]["tolerations"] = [{"operator": "Exists"}]
    return found


def _pod(rng: random.Random, name: str, node: str, apps: list[str]) -> tuple[Json, tuple[Json, ...]]:
    found = _empty(name, rng.choice([*apps, "other"]))
    spec = found["spec"]
    spec["containers"] = [_container(rng, f"c{i}", ports=i == 0) for i in range(rng.randint(1, 2))]
    spec["initContainers"] = [_init(rng, i) for i in range(rng.choice((0, 0, 1, 3)))]
    if rng.random() < 0.15:
        spec["resources"] = {"requests": {"cpu": rng.choice(("500m", "4")), "memory": "2Gi"}}
        for container in [*spec["containers"], *spec["initContainers"]]:
            container["resources"] = {}
    if rng.random() < 0.15:
        spec["runtimeClassName"] = RUNTIME_CLASS
        spec["overhead"] = OVERHEAD
    if rng.random() < 0.12:
        key = rng.choice(list(KEYS))
        spec["nodeSelector"] = {key: rng.choice(KEYS[key])}
    spec["tolerations"] = [_toleration(rng) for _ in range(rng.choice((0, 1, 1, 2)))]
    spec["affinity"] = {"nodeAffinity": _pinned(rng, node)}
    if rng.random() < 0.25:
        spec["affinity"] |= _avoiding(rng.choice(apps))
    if rng.random() < 0.2:
        return found, _with_volume(rng, found)
    return found, ()


def _empty(name: str, app: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns", "labels": {"app": app}},
        "spec": {"schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 0},
    }


def _container(rng: random.Random, name: str, *, ports: bool) -> Json:
    asked = {
        "cpu": rng.choice(("100m", "1", "1500m")),
        "memory": rng.choice(("128Mi", "3Gi")),
        "ephemeral-storage": rng.choice(("1Gi", "12Gi")),
        "nvidia.com/gpu": rng.choice(("1", "4")),
        "hugepages-2Mi": "32Mi",
    }
    chances = {"cpu": 0.8, "memory": 0.7, "ephemeral-storage": 0.2, "nvidia.com/gpu": 0.15, "hugepages-2Mi": 0.02}
    asked = {k: v for k, v in asked.items() if rng.random() < chances[k]}
    if "hugepages-2Mi" in asked:
        asked["memory"] = "128Mi"
    found: Json = {"name": name, "image": "registry.example/pause:1", "resources": {"requests": asked}}
    if whole := {k: v for k, v in asked.items() if "/" in k or k.startswith("hugepages")}:
        found["resources"]["limits"] = whole
    if ports and rng.random() < 0.3:
        port: Json = {"containerPort": 80, "hostPort": rng.choice((80, 81)), "protocol": rng.choice(("TCP", "UDP"))}
        if rng.random() < 0.5:
            port["hostIP"] = rng.choice(("127.0.0.1", "10.0.0.1"))
        found["ports"] = [port]
    return found


def _init(rng: random.Random, i: int) -> Json:
    found = _container(rng, f"i{i}", ports=False)
    return {**found, "restartPolicy": "Always"} if rng.random() < 0.4 else found


def _toleration(rng: random.Random) -> Json:
    operator = rng.choice(("Exists", "Equal"))
    found: Json = {"key": rng.choice(("maintenance", "gpu")), "operator": operator}
    if operator == "Equal":
        found["value"] = rng.choice(("", "x"))
    elif rng.random() < 0.2:
        del found["key"]
    if rng.random() < 0.6:
        found["effect"] = rng.choice(EFFECTS)
    return found


def _pinned(rng: random.Random, node: str) -> Json:
    """Required node affinity for one node, with random further expressions."""
    by_name = {"key": "metadata.name", "operator": "In", "values": [node]}
    terms = []
    for _ in range(rng.choice((1, 1, 2))):
        term: Json = {"matchFields": [by_name]}
        if rng.random() < 0.3:
            term["matchExpressions"] = [_expression(rng)]
        terms.append(term)
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}


def _expression(rng: random.Random) -> Json:
    operator = rng.choice(("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"))
    key = "gen" if operator in ("Gt", "Lt") else rng.choice(list(KEYS))
    found: Json = {"key": key, "operator": operator}
    if operator in ("In", "NotIn"):
        found["values"] = rng.sample(KEYS[key], rng.randint(1, len(KEYS[key])))
    elif operator in ("Gt", "Lt"):
        found["values"] = ["2"]
    return found


def _avoiding(app: str) -> Json:
    term = {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": app}}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _with_volume(rng: random.Random, pod: Json) -> tuple[Json, ...]:
    """A claim bound to a volume that only nodes of one zone, or all, can use."""
    name = f"v-{pod['metadata']['name']}"
    pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
    amount = {"storage": "1Gi"}
    spec: Json = {
        "capacity": amount,
        "accessModes": ["ReadWriteMany"],
        "hostPath": {"path": "/nowhere"},
        "storageClassName": "manual",
        "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "ns", "name": name},
    }
    if rng.random() < 0.7:
        term = {"matchExpressions": [{"key": "zone", "operator": "In", "values": [rng.choice(KEYS["zone"])]}]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [term]}}
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
    volume["status"] = {"phase": "Bound"}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "namespace": "ns",
            "annotations": {"pv.kubernetes.io/bind-completed": "yes"},
        },
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": amount},
            "volumeName": name,
            "storageClassName": "manual",
        },
        "status": {"phase": "Bound"},
    }
    return volume, claim


async def create(api: HttpKubeApi, pairs: list[Pair]) -> None:
    """Everything but the pods that are to be placed."""
    await put(api, [obj for p in pairs for obj in (p.node, *p.volumes, *p.others)])


def ours(pairs: list[Pair], pods: dict[str, Json]) -> dict[str, str]:
    """'' for each pod that we would bind to its node, else why not. `pods`: as the API server stored them."""
    claims = {(o["metadata"]["namespace"], o["metadata"]["name"]): o for p in pairs for o in p.volumes[1:]}
    volumes = {o["metadata"]["name"]: o for p in pairs for o in p.volumes[:1]}
    trim = PodTrimmer(
        view.volume_at(
            lambda ns, name: view.trim_claim(_versioned(claims[ns, name])) if (ns, name) in claims else None,
            lambda _, name: view.trim_volume(_versioned(volumes[name])) if name in volumes else None,
        )
    )
    trimmed = {name: trim(pod) for name, pod in pods.items()}
    trimmed = {name: trim.again(pod) or pod for name, pod in trimmed.items()}
    usage = view.Usage()
    nodes = [view.trim_node(_versioned(p.node)) for p in pairs]
    wanted = []
    for pod in trimmed.values():
        usage.observe(None, pod)
        if not pod["node"]:
            wanted.append(view.single(pod, {}, ("default-scheduler",)))
    snapshot: Snapshot = view.snapshot(nodes, (), usage)
    found = schedule(snapshot, wanted)
    said = {r.gang.rpartition(" ")[2]: r.message for r in found.refusals}
    said |= {a.pod: "" for a in found.assignments}
    return said


def _versioned(obj: Json) -> Json:
    return {**obj, "metadata": {"resourceVersion": "1", **obj["metadata"]}}
