"""The webhook configurations: names, paths and rules are Grove's, plus one for Dynamo graph deployments."""

from __future__ import annotations

from grove_operator.api import kinds
from grove_operator.api.kinds import Json, Kind

DEFAULTING = "podcliqueset-defaulting-webhook"
VALIDATING = "podcliqueset-validating-webhook"
TOPOLOGY = "clustertopology-validating-webhook"
AUTHORIZER = "authorizer-webhook"
GRAPH = "dynamographdeployment-validating-webhook"

PATH_DEFAULT_PCS = "/webhooks/default-podcliqueset"
PATH_VALIDATE_PCS = "/webhooks/validate-podcliqueset"
PATH_VALIDATE_TOPOLOGY = "/webhooks/validate-clustertopology"
PATH_AUTHORIZE = "/webhooks/authorizer-webhook"
PATH_VALIDATE_GRAPH = "/webhooks/validate-dynamographdeployment"

MUTATING_NAMES = (DEFAULTING,)
VALIDATING_NAMES = (VALIDATING, TOPOLOGY, GRAPH, AUTHORIZER)


def webhook_configurations(
    *, namespace: str, service: str, port: int, authorizer: bool, labels: dict[str, str]
) -> list[Json]:
    """All configurations, without `caBundle`: the operator fills it in once it has its certificate."""

    def configuration(kind: Kind, name: str, webhook: str, path: str, rules: list[Json], **extra: object) -> Json:
        return {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": name, "labels": dict(labels)},
            "webhooks": [
                {
                    "name": webhook,
                    "admissionReviewVersions": ["v1"],
                    "clientConfig": {"service": {"namespace": namespace, "name": service, "path": path, "port": port}},
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
        ),
    ]
    if authorizer:
        out.append(
            configuration(
                kinds.VALIDATING_WEBHOOKS,
                AUTHORIZER,
                "authorizer.webhooks.grove.io",
                PATH_AUTHORIZE,
                _generated_objects(),
                objectSelector={"matchLabels": {"app.kubernetes.io/managed-by": "grove-operator"}},
            )
        )
    return out


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


def _generated_objects() -> list[Json]:
    changed, written = ["UPDATE", "DELETE"], ["CREATE", "UPDATE", "DELETE"]
    return [
        _rule("", ["v1"], ["secrets", "serviceaccounts", "services"], changed),
        _rule("", ["v1"], ["pods"], ["UPDATE"]),
        _rule("rbac.authorization.k8s.io", ["v1"], ["roles", "rolebindings"], changed),
        _rule("autoscaling", ["v1", "v2"], ["horizontalpodautoscalers"], changed),
        _rule("grove.io", ["v1alpha1"], ["podcliques", "podcliquescalinggroups"], written),
        _rule("scheduler.grove.io", ["v1alpha1"], ["podgangs"], written),
    ]
