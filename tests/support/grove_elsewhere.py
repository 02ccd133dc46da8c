"""A workload as Grove's own operator leaves it: every object, by the rules of its behaviour, with nothing of ours.

Shares no code with what it is used against. Pods are as an API server keeps them: defaults, token volume, tolerations,
and what a sidecar injector adds. Hashes are of its alphabet and length, over a dump that nobody else can compute.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Put = Callable[[Json], Awaitable[Json]]
"""Stores an object, status included, and answers with what the server keeps."""
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
LONG_AGO = "2026-01-01T08:00:00Z"
INFO = [
    {"name": "sa-token-secret-vol", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True},
    {"name": "pod-info-vol", "mountPath": "/var/grove/pod-info", "readOnly": True},
]


def defaulted(pcs: Json) -> Json:
    """As the webhook of either operator leaves it."""
    for entry in pcs["spec"]["template"]["cliques"]:
        entry["spec"].setdefault("replicas", 1)
        entry["spec"].setdefault("minAvailable", entry["spec"]["replicas"])
        entry["spec"]["podSpec"].setdefault("restartPolicy", "Always")
        entry["spec"]["podSpec"].setdefault("terminationGracePeriodSeconds", 30)
    return pcs


def opaque(value: Any) -> str:
    """FNV-1a over a dump, in decimal digits, encoded as Kubernetes does: no vowels, no dash."""
    number = 0xCBF29CE484222325
    for byte in ("(struct)" + json.dumps(value)).encode():
        number = ((number ^ byte) * 0x100000001B3) % 2**64
    return "".join(ALPHABET[ord(digit) % len(ALPHABET)] for digit in str(number))


@dataclass
class Elsewhere:
    """`put` stores one object. `sidecar`: an injector works in the namespace."""

    put: Put
    sidecar: bool = True
    pods: list[Json] = field(default_factory=list)

    async def leave(self, pcs: Json) -> Json:
        """Everything of `pcs`, which becomes the set itself; returns the live one."""
        hashes = {c["name"]: opaque(_template(pcs, c)) for c in _cliques(pcs)}
        generation = opaque([_template(pcs, c) for c in _cliques(pcs)])
        replicas = pcs["spec"]["replicas"]
        pcs["metadata"]["finalizers"] = ["grove.io/podcliqueset.grove.io"]
        pcs["status"] = {
            "observedGeneration": 1, "replicas": replicas, "availableReplicas": replicas, "updatedReplicas": replicas,
            "currentGenerationHash": generation, "hpaPodSelector": _selector(pcs),
        }  # fmt: skip
        live = await self.put(pcs)
        for obj in _shared(live):
            await self.put(obj)
        for i in range(replicas):
            await self._replica(live, i, hashes, generation)
        return live

    async def _replica(self, pcs: Json, i: int, hashes: dict[str, str], generation: str) -> None:
        name = pcs["metadata"]["name"]
        labels = {"grove.io/podcliqueset-replica-index": str(i)}
        selector = {"app.kubernetes.io/managed-by": "grove-operator", "app.kubernetes.io/part-of": name, **labels}
        spec: Json = {"clusterIP": "None", "selector": selector, "publishNotReadyAddresses": True}
        await self.put(_child("v1", "Service", pcs, f"{name}-{i}", "pcs-headless-service", labels, spec=spec))
        members: dict[str, list[Json]] = {f"{name}-{i}": []}
        standalone = [c for c in _cliques(pcs) if c["name"] not in _grouped(pcs)]
        for clique in standalone:
            labels = {
                "grove.io/podcliqueset-replica-index": str(i), "grove.io/podgang": f"{name}-{i}",
                "grove.io/pod-template-hash": hashes[clique["name"]],
            }  # fmt: skip
            made = _clique(pcs, pcs, clique, f"{name}-{i}-{clique['name']}", "pcs-podclique", labels, generation)
            after = _after(pcs, i, clique, None, 0)
            members[f"{name}-{i}"].append(await self._with_pods(pcs, i, made, after))
        for group in pcs["spec"]["template"].get("podCliqueScalingGroups") or ():
            await self._group(pcs, i, group, hashes, generation, members)
        for gang, cliques in members.items():
            await self.put(_gang(pcs, gang, cliques, self.pods))

    async def _group(
        self, pcs: Json, i: int, group: Json, hashes: dict[str, str], generation: str, members: dict[str, list[Json]]
    ) -> None:
        base, minimum = f"{pcs['metadata']['name']}-{i}", group.get("minAvailable", 1)
        labels = {"grove.io/podcliqueset-replica-index": str(i)}
        replicas, name = group.get("replicas", 1), f"{base}-{group['name']}"
        spec: Json = {"replicas": replicas, "minAvailable": minimum, "cliqueNames": group["cliqueNames"]}
        made = _child("grove.io/v1alpha1", "PodCliqueScalingGroup", pcs, name, "pcs-podcliquescalinggroup", labels,
                      spec=spec)  # fmt: skip
        made["metadata"]["finalizers"] = ["grove.io/podcliquescalinggroup.grove.io"]
        made["status"] = {
            "observedGeneration": 1, "replicas": replicas, "availableReplicas": replicas, "updatedReplicas": replicas,
            "scheduledReplicas": replicas, "currentPodCliqueSetGenerationHash": generation,
            "conditions": [_condition("MinAvailableBreached", "False",
                                      "SufficientAvailablePodCliqueScalingGroupReplicas")],
        }  # fmt: skip
        live = await self.put(made)
        count = sum(c["spec"]["replicas"] for c in _cliques(pcs) if c["name"] in group["cliqueNames"])
        for j in range(replicas):
            gang = base if j < minimum else f"{name}-{j - minimum}"
            for clique in (c for c in _cliques(pcs) if c["name"] in group["cliqueNames"]):
                said = {
                    "grove.io/podcliqueset-replica-index": str(i), "grove.io/podgang": gang,
                    "grove.io/pod-template-hash": hashes[clique["name"]], "grove.io/podcliquescalinggroup": name,
                    "grove.io/podcliquescalinggroup-replica-index": str(j),
                }  # fmt: skip
                said |= {"grove.io/base-podgang": base} if j >= minimum else {}
                fqn = f"{name}-{j}-{clique['name']}"
                one = _clique(pcs, live, clique, fqn, "pcsg-podclique", said, generation)
                for container in one["spec"]["podSpec"]["containers"]:
                    container["env"] = [*_member_env(count), *container.get("env", [])]
                members.setdefault(gang, []).append(
                    await self._with_pods(pcs, i, one, _after(pcs, i, clique, group, j))
                )

    async def _with_pods(self, pcs: Json, i: int, clique: Json, after: list[str]) -> Json:
        if after:
            clique["spec"]["startsAfter"] = [name.partition(":")[0] for name in after]
        live = await self.put(clique)
        for n in range(clique["spec"]["replicas"]):
            self.pods.append(await self.put(_pod(pcs, i, live, n, after, self.sidecar)))
        return live


def _cliques(pcs: Json) -> list[Json]:
    found: list[Json] = pcs["spec"]["template"]["cliques"]
    return found


def _grouped(pcs: Json) -> set[str]:
    return {n for g in pcs["spec"]["template"].get("podCliqueScalingGroups") or () for n in g["cliqueNames"]}


def _template(pcs: Json, clique: Json) -> Json:
    spec = {**clique["spec"]["podSpec"], "priorityClassName": pcs["spec"]["template"].get("priorityClassName", "")}
    return {"labels": clique.get("labels"), "annotations": clique.get("annotations"), "spec": spec}


def _selector(pcs: Json) -> str:
    return f"app.kubernetes.io/managed-by=grove-operator,app.kubernetes.io/part-of={pcs['metadata']['name']}"


def _condition(kind: str, status: str, reason: str) -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": LONG_AGO}


def _child(version: str, kind: str, owner: Json, name: str, component: str, labels: Json, **content: Any) -> Json:
    pcs = (owner["metadata"].get("labels") or {}).get("app.kubernetes.io/part-of", "")
    said = {
        "app.kubernetes.io/managed-by": "grove-operator", "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": pcs or owner["metadata"]["name"],
        "app.kubernetes.io/name": name.replace(":", "-"),
    }  # fmt: skip
    reference = {
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip
    meta = {"name": name, "namespace": owner["metadata"]["namespace"], "labels": {**labels, **said}}
    return {"apiVersion": version, "kind": kind, "metadata": {**meta, "ownerReferences": [reference]}, **content}


def _shared(pcs: Json) -> Iterator[Json]:
    name, namespace = pcs["metadata"]["name"], pcs["metadata"]["namespace"]
    rbac, role = "rbac.authorization.k8s.io/v1", f"grove.io:pcs:{name}"
    account = _child("v1", "ServiceAccount", pcs, name, "pod-service-account", {}, automountServiceAccountToken=True)
    yield account
    rules = [{"apiGroups": [""], "resources": ["pods", "pods/status"], "verbs": ["get", "list", "watch"]}]
    yield _child(rbac, "Role", pcs, role, "pod-role", {}, rules=rules)
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role}
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]
    yield _child(rbac, "RoleBinding", pcs, role, "pod-role-binding", {}, roleRef=reference, subjects=subjects)
    for secret in (f"{name}-ic-sat", f"{name}-initc-sa-token-secret"):
        token = _child("v1", "Secret", pcs, secret, "pod-sa-token-secret", {},
                       type="kubernetes.io/service-account-token")  # fmt: skip
        token["metadata"]["annotations"] = {"kubernetes.io/service-account.name": name}
        yield token


def _clique(pcs: Json, owner: Json, clique: Json, name: str, component: str, labels: Json, generation: str) -> Json:
    spec = json.loads(json.dumps(clique["spec"]))
    for container in spec["podSpec"]["containers"]:
        container.setdefault("resources", {})  # as Go writes what has no omitempty
    labels = {**(clique.get("labels") or {}), **labels}
    made = _child("grove.io/v1alpha1", "PodClique", owner, name, component, labels, spec=spec)
    made["metadata"]["labels"]["app.kubernetes.io/part-of"] = pcs["metadata"]["name"]
    made["metadata"]["finalizers"] = ["grove.io/podclique.grove.io"]
    if clique.get("annotations"):
        made["metadata"]["annotations"] = dict(clique["annotations"])
    spec.pop("startsAfter", None)
    replicas = spec["replicas"]
    made["status"] = {
        "observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas,
        "scheduledReplicas": replicas, "currentPodTemplateHash": labels["grove.io/pod-template-hash"],
        "currentPodCliqueSetGenerationHash": generation, "hpaPodSelector": _selector(pcs) if owner is pcs else "",
        "conditions": [
            _condition("PodCliqueScheduled", "True", "SufficientScheduledPods"),
            _condition("MinAvailableBreached", "False", "SufficientReadyPods"),
        ],
    }  # fmt: skip
    return made


def _member_env(pods: int) -> list[Json]:
    def of_label(name: str, key: str) -> Json:
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{key}']"}}}

    return [
        of_label("GROVE_PCSG_NAME", "grove.io/podcliquescalinggroup"),
        {"name": "GROVE_PCSG_TEMPLATE_NUM_PODS", "value": str(pods)},
        of_label("GROVE_PCSG_INDEX", "grove.io/podcliquescalinggroup-replica-index"),
    ]


def _after(pcs: Json, i: int, clique: Json, group: Json | None, j: int) -> list[str]:
    """name:minAvailable of the PodCliques before it."""
    template = pcs["spec"]["template"]
    order = template.get("cliqueStartupType", "CliqueStartupTypeAnyOrder")
    by_name = {c["name"]: c for c in _cliques(pcs)}
    if order == "CliqueStartupTypeInOrder":
        position = _cliques(pcs).index(clique)
        parents = [_cliques(pcs)[position - 1]["name"]] if position else []
    else:
        parents = list(clique["spec"].get("startsAfter") or ()) if order.endswith("Explicit") else []
    base, found = f"{pcs['metadata']['name']}-{i}", []
    for parent in parents:
        of = next((g for g in template.get("podCliqueScalingGroups") or () if parent in g["cliqueNames"]), None)
        minimum = by_name[parent]["spec"]["minAvailable"]
        if group is not None and j >= group.get("minAvailable", 1):
            found += [f"{base}-{group['name']}-{j}-{parent}:{minimum}"] if of is group else []
        elif of is None:
            found.append(f"{base}-{parent}:{minimum}")
        else:
            found += [f"{base}-{of['name']}-{r}-{parent}:{minimum}" for r in range(of.get("minAvailable", 1))]
    return found


def _pod(pcs: Json, i: int, clique: Json, n: int, after: list[str], sidecar: bool) -> Json:
    name, meta = pcs["metadata"]["name"], clique["metadata"]
    suffix = opaque([n, meta["name"]])[-5:]
    labels = {**meta["labels"], "grove.io/podclique": meta["name"], "grove.io/podclique-pod-index": str(n)}
    made = _child("v1", "Pod", clique, f"{meta['name']}-{suffix}", labels["app.kubernetes.io/component"], labels)
    made["metadata"]["generateName"] = f"{meta['name']}-"
    made["metadata"]["labels"] = labels
    spec = json.loads(json.dumps(clique["spec"]["podSpec"]))
    token = {"name": "kube-api-access-x2k4p", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
             "readOnly": True}  # fmt: skip
    address = f"{name}-{i}.{meta['namespace']}.svc.cluster.local"
    general: list[Json] = [
        {"name": "GROVE_PCS_NAME", "value": name}, {"name": "GROVE_PCS_INDEX", "value": str(i)},
        {"name": "GROVE_PCLQ_NAME", "value": meta["name"]}, {"name": "GROVE_HEADLESS_SERVICE", "value": address},
    ]  # fmt: skip
    for container in spec["containers"]:
        container["env"] = [*general, *container.get("env", [])]
        container |= {"imagePullPolicy": "Always", "terminationMessagePath": "/dev/termination-log",
                      "terminationMessagePolicy": "File", "resources": {}}  # fmt: skip
        container["volumeMounts"] = [*container.get("volumeMounts", []), token]
    if sidecar:
        spec["containers"].append({"name": "mesh-proxy", "image": "mesh", "volumeMounts": [token]})
    empty: Json = {"emptyDir": {}}
    spec["volumes"] = [*spec.get("volumes", []), {"name": "kube-api-access-x2k4p", **empty}]
    if after:
        args = [f"--podcliques={one}" for one in after]
        spec["initContainers"] = [{"name": "grove-initc", "image": "grove-initc:v0.1.0-dev", "args": args,
                                   "volumeMounts": INFO}]  # fmt: skip
        secret: Json = {"name": "sa-token-secret-vol", "secret": {"secretName": f"{name}-ic-sat", "defaultMode": 420}}
        spec["volumes"] += [secret, {"name": "pod-info-vol", **empty}]
    spec |= {
        "hostname": f"{meta['name']}-{n}", "subdomain": f"{name}-{i}", "nodeName": "node-1", "priority": 0,
        "dnsPolicy": "ClusterFirst", "enableServiceLinks": True, "preemptionPolicy": "PreemptLowerPriority",
        "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                         "tolerationSeconds": 300}],
    }  # fmt: skip
    spec.setdefault("schedulerName", "default-scheduler")
    ready = [{"type": kind, "status": "True", "lastTransitionTime": LONG_AGO}
             for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")]  # fmt: skip
    containers = [{"name": c["name"], "image": c["image"], "imageID": "x", "ready": True, "started": True,
                   "restartCount": 0, "state": {"running": {"startedAt": LONG_AGO}}}
                  for c in spec["containers"]]  # fmt: skip
    made["spec"] = spec
    made["status"] = {"phase": "Running", "conditions": ready, "containerStatuses": containers}
    return made


def _gang(pcs: Json, name: str, cliques: list[Json], pods: list[Json]) -> Json:
    def group(clique: Json) -> Json:
        mine = sorted(p["metadata"]["name"] for p in pods
                      if p["metadata"]["labels"]["grove.io/podclique"] == clique["metadata"]["name"])  # fmt: skip
        references = [{"namespace": pcs["metadata"]["namespace"], "name": pod} for pod in mine]
        least = clique["spec"]["minAvailable"]
        return {"name": clique["metadata"]["name"], "minReplicas": least, "podReferences": references}

    made = _child("scheduler.grove.io/v1alpha1", "PodGang", pcs, name, "podgang",
                  {"grove.io/scheduler-name": "default-scheduler"},
                  spec={"podgroups": [group(clique) for clique in cliques]})  # fmt: skip
    made["status"] = {"phase": "Pending", "conditions": [_condition("Initialized", "True", "PodGangPodsCreated")]}
    return made
