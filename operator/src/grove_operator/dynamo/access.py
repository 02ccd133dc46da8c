"""Accounts of a graph's pods and what they may do (dynamo reference 2.4, steps 2 and 3).

<graph>-k8s-service-discovery    of every pod: find each other through the Kubernetes API
planner-serviceaccount           of planners: read graphs, scale them through their adapters
epp-serviceaccount               of endpoint pickers: read pods and their inference pool

The last two are one for each namespace, whichever graph came first.
"""

from __future__ import annotations

from grove_operator.api.constants import MANAGED_BY, MANAGED_BY_VALUE
from grove_operator.api.kinds import ROLE, ROLE_BINDING, SERVICE_ACCOUNT, Json, Kind
from grove_operator.dynamo.graph import ETCD, Graph
from grove_operator.dynamo.owned import ours, owned
from grove_operator.dynamo.podspec import ACCOUNTS

READ = ["get", "list", "watch"]
DISCOVERY_RULES = [
    {"apiGroups": [""], "resources": ["endpoints", "pods"], "verbs": READ},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ},
    {
        "apiGroups": ["nvidia.com"],
        "resources": ["dynamoworkermetadatas"],
        "verbs": ["create", "get", "list", "watch", "update", "patch", "delete"],
    },
]
PLANNER_RULES = [
    {"apiGroups": ["nvidia.com"], "resources": ["dynamographdeployments"], "verbs": [*READ, "update", "patch"]},
    {"apiGroups": ["nvidia.com"], "resources": ["dynamographdeploymentscalingadapters"], "verbs": READ},
    {
        "apiGroups": ["nvidia.com"],
        "resources": ["dynamographdeploymentscalingadapters/scale"],
        "verbs": ["get", "update", "patch"],
    },
    *DISCOVERY_RULES,
]
PICKER_RULES = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": READ},
    {
        "apiGroups": ["inference.networking.k8s.io", "inference.networking.x-k8s.io"],
        "resources": ["inferencepools", "inferencemodels", "inferenceobjectives"],
        "verbs": READ,
    },
    *DISCOVERY_RULES,
]


def discovery_access(graph: Graph) -> list[Json]:
    """The pods' account with the right to find each other; nothing where etcd does that."""
    if graph.discovery == ETCD:
        return []
    account, labels = graph.discovery_account, ours(graph)
    ref, subjects = _binding(f"{account}-role", account, graph.namespace)
    return [
        owned(graph, SERVICE_ACCOUNT, account, labels),
        owned(graph, ROLE, f"{account}-role", labels, rules=DISCOVERY_RULES),
        owned(graph, ROLE_BINDING, f"{account}-binding", labels, roleRef=ref, subjects=subjects),
    ]


def shared_access(graph: Graph) -> list[Json]:
    """Accounts that all graphs of the namespace share: without owner, made once and never taken away."""
    rules = {"planner": PLANNER_RULES, "epp": PICKER_RULES}
    types = {component.component_type for component in graph.components}
    return [obj for kind in sorted(types & ACCOUNTS.keys()) for obj in _shared(graph, ACCOUNTS[kind], rules[kind])]


def _shared(graph: Graph, account: str, rules: list[Json]) -> list[Json]:
    ref, subjects = _binding(f"{account}-role", account, graph.namespace)
    return [
        _unowned(graph, SERVICE_ACCOUNT, account),
        {**_unowned(graph, ROLE, f"{account}-role"), "rules": rules},
        {**_unowned(graph, ROLE_BINDING, f"{account}-binding"), "roleRef": ref, "subjects": subjects},
    ]


def _unowned(graph: Graph, kind: Kind, name: str) -> Json:
    metadata: Json = {"name": name, "namespace": graph.namespace, "labels": {MANAGED_BY: MANAGED_BY_VALUE}}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def _binding(role: str, account: str, namespace: str) -> tuple[Json, list[Json]]:
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role}
    return ref, [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]
