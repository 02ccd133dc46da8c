"""The webhook configurations: names, paths and rules are Grove's, plus one for Dynamo graph deployments, and one that
keeps the operator from being deleted while PodCliqueSets need it."""

from __future__ import annotations

from collections.abc import Mapping

from grove_operator.api import kinds
from grove_operator.api.kinds import Json, Kind

DEFAULTING = "podcliqueset-defaulting-webhook"
VALIDATING = "podcliqueset-validating-webhook"
TOPOLOGY = "clustertopology-validating-webhook"
AUTHORIZER = "authorizer-webhook"
GRAPH = "dynamographdeployment-validating-webhook"
DELETION = "operator-deletion-webhook"

PATH_DEFAULT_PCS = "/webhooks/default-podcliqueset"
PATH_VALIDATE_PCS = "/webhooks/validate-podcliqueset"
PATH_VALIDATE_TOPOLOGY = "/webhooks/validate-clustertopology"
PATH_AUTHORIZE = "/webhooks/authorizer-webhook"
PATH_VALIDATE_GRAPH = "/webhooks/validate-dynamographdeployment"
PATH_OPERATOR_DELETION = "/webhooks/operator-deletion"

MUTATING_NAMES = (DEFAULTING,)
VALIDATING_NAMES = (VALIDATING, TOPOLOGY, GRAPH, DELETION, AUTHORIZER)


def webhook_configurations(
    *,
    namespace: str,
    service: str,
    port: int,
    authorizer: bool,
    labels: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
    ca_bundle: str = "",
) -> list[Json]:
    """All configurations. Without `ca_bundle` (base64 of PEM) the operator fills one in once it has its certificate;
    where certificates are provided by hand it never does, and the caller gives it here or has `annotations` injected.
    """

    def configuration(kind: Kind, name: str, webhook: str, path: str, rules: list[Json], **extra: object) -> Json:
        metadata: Json = {"name": name, "labels": dict(labels)}
        if annotations:
            metadata["annotations"] = dict(annotations)
        client: Json = {"service": {"namespace": namespace, "name": service, "path": path, "port": port}}
        if ca_bundle:
            client["caBundle"] = ca_bundle
        return {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": metadata,
            "webhooks": [
                {
                    "name": webhook,
                    "admissionReviewVersions": ["v1"],
                    "clientConfig": client,
                    "failurePolicy": "Fail",
                    "matchPolicy": "Exact",
                    "sideEffects": "None",
                    "timeoutSeconds": 10,
                    "rules": rules,
                    **extra,
                }
            ],
        }

    pcs = [_written(kinds.POD_CLIQUE_SET)]
    out = [
        configuration(kinds.MUTATING_WEBHOOKS, DEFAULTING, "pcs.defaulting.webhooks.grove.io", PATH_DEFAULT_PCS, pcs),
        configuration(
            kinds.VALIDATING_WEBHOOKS, VALIDATING, "pcs.validating.webhooks.grove.io", PATH_VALIDATE_PCS, pcs
        ),
        configuration(
            kinds.VALIDATING_WEBHOOKS,
            TOPOLOGY,
            "clustertopology.validating.webhooks.grove.io",
            PATH_VALIDATE_TOPOLOGY,
            [_written(kinds.CLUSTER_TOPOLOGY_BINDING)],
        ),
        configuration(
            kinds.VALIDATING_WEBHOOKS,
            GRAPH,
            "dynamographdeployment.validating.webhooks.grove.io",
            PATH_VALIDATE_GRAPH,
            [_written(kinds.DYNAMO_GRAPH_DEPLOYMENT)],
            matchPolicy="Equivalent",  # v1beta1 is judged too, as v1alpha1 with a note of what only v1beta1 can say
        ),
        configuration(
            kinds.VALIDATING_WEBHOOKS,
            DELETION,
            "deletion.operator.webhooks.grove.io",
            PATH_OPERATOR_DELETION,
            _deletion_rules(),
            failurePolicy="Ignore",  # an operator that is down must not stand in the way of its own removal
            matchConditions=[{"name": "the-operator", "expression": _is_the_operator(namespace, service)}],
        ),
    ]
    if authorizer:
        out.append(
            configuration(
                kinds.VALIDATING_WEBHOOKS,
                AUTHORIZER,
                "authorizer.webhooks.grove.io",
                PATH_AUTHORIZE,
                GENERATED,
                objectSelector={"matchLabels": {"app.kubernetes.io/managed-by": "grove-operator"}},
            )
        )
    return out


def _deletion_rules() -> list[Json]:
    namespace = _rule("", ["v1"], ["namespaces"], ["DELETE"])
    return [_rule("apps", ["v1"], ["deployments"], ["DELETE"]), {**namespace, "scope": "Cluster"}]


def _is_the_operator(namespace: str, deployment: str) -> str:
    """CEL over the request: the operator's Deployment, or its namespace."""
    is_deployment = f"request.namespace == '{namespace}' && request.name == '{deployment}'"
    is_namespace = f"request.name == '{namespace}'"
    return f"request.resource.resource == 'namespaces' ? {is_namespace} : {is_deployment}"


def _rule(group: str, versions: list[str], resources: list[str], operations: list[str]) -> Json:
    return {
        "apiGroups": [group],
        "apiVersions": versions,
        "resources": resources,
        "operations": operations,
        "scope": "Namespaced",
    }


def _written(kind: Kind) -> Json:
    rule = _rule(kind.group, [kind.version], [kind.plural], ["CREATE", "UPDATE"])
    return {**rule, "scope": "Namespaced" if kind.namespaced else "Cluster"}


_CHANGED, _WRITTEN = ["UPDATE", "DELETE"], ["CREATE", "UPDATE", "DELETE"]
GENERATED: list[Json] = [
    _rule("", ["v1"], ["secrets", "serviceaccounts", "services"], _CHANGED),
    _rule("", ["v1"], ["pods"], ["UPDATE"]),
    _rule("rbac.authorization.k8s.io", ["v1"], ["roles", "rolebindings"], _CHANGED),
    _rule("autoscaling", ["v1", "v2"], ["horizontalpodautoscalers"], _CHANGED),
    _rule("grove.io", ["v1alpha1"], ["podcliques", "podcliquescalinggroups"], _WRITTEN),
    _rule("scheduler.grove.io", ["v1alpha1"], ["podgangs"], _WRITTEN),
]
"""What the authorizer is asked about: changes of the objects that the operator generates."""


def generated_resources() -> frozenset[tuple[str, str]]:
    """Group and resource of everything in GENERATED."""
    return frozenset((rule["apiGroups"][0], resource) for rule in GENERATED for resource in rule["resources"])
