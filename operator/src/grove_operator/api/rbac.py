"""What the operator and the scheduler may do, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from grove_operator.api.constants import OPERATOR_LEASE, OPERATOR_NAME, SCHEDULER_LEASE
from grove_operator.api.kinds import Json

READ = ("get", "list", "watch")
INFERENCE = ("inferencepools", "inferencemodels", "inferenceobjectives")
CONVERTED_CRDS = ("dynamographdeployments.nvidia.com", "dynamographdeploymentscalingadapters.nvidia.com")
"""Those of two versions, whose conversion the operator keeps."""
KEEP = (*READ, "create", "patch", "delete")  # every change is a merge patch, never an update


def rule(group: str, resources: Sequence[str], verbs: Sequence[str], names: Sequence[str] = ()) -> Json:
    """One RBAC rule; `names` restricts it to single objects."""
    out: Json = {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
    return {**out, "resourceNames": list(names)} if names else out


def operator_rules(
    mutating_webhooks: Sequence[str], validating_webhooks: Sequence[str], schedulers: Sequence[str] = ()
) -> list[Json]:
    """Cluster-wide rules of the operator. `schedulers` are the enabled ones; some have objects of their own to read.

    The Roles it makes (for waiting pods, Dynamo's discovery, planners, endpoint pickers) grant rights that it has to
    hold itself.
    """
    grove = ("podcliquesets", "podcliques", "podcliquescalinggroups")
    theirs = [rule("scheduling.volcano.sh", ("queues",), ("get",))] if "volcano" in schedulers else []
    if "kai-scheduler" in schedulers:
        theirs += [rule("scheduling.run.ai", ("podgroups",), KEEP), rule("kai.scheduler", ("topologies",), KEEP)]
        theirs.append(rule("scheduling.run.ai", ("queues",), READ))
    return [
        *theirs,
        rule("grove.io", grove, KEEP),
        rule("grove.io", [f"{name}/status" for name in grove], ("get", "patch")),
        rule("grove.io", [f"{name}/finalizers" for name in grove], ("update",)),
        rule("grove.io", ("podgangsets",), READ),
        rule("grove.io", ("podgangsets/status",), ("get", "patch")),
        rule("grove.io", ("clustertopologybindings",), READ),
        rule("grove.io", ("clustertopologybindings/status",), ("get", "patch")),
        rule("grove.io", ("clustertopologybindings/finalizers",), ("update",)),
        rule("resource.k8s.io", ("resourceclaims",), KEEP),
        rule("resource.k8s.io", ("resourceclaimtemplates",), READ),
        rule("resource.nvidia.com", ("computedomains",), KEEP),
        rule("scheduler.grove.io", ("podgangs",), KEEP),
        rule("scheduler.grove.io", ("podgangs/status",), ("get", "patch")),
        rule("scheduler.grove.io", ("podgangs/finalizers",), ("update",)),
        rule("nvidia.com", ("dynamographdeployments",), (*READ, "patch", "update")),
        rule("nvidia.com", ("dynamographdeployments/status",), ("get", "patch")),
        rule("nvidia.com", ("dynamographdeployments/finalizers",), ("update",)),
        rule("nvidia.com", ("dynamographdeploymentscalingadapters",), (*KEEP, "update")),
        rule("nvidia.com", ("dynamographdeploymentscalingadapters/status",), ("get", "patch")),
        rule("nvidia.com", ("dynamographdeploymentscalingadapters/scale",), ("get", "update", "patch")),
        rule("nvidia.com", ("dynamoworkermetadatas",), (*KEEP, "update")),
        rule("inference.networking.k8s.io", INFERENCE, READ),
        rule("inference.networking.x-k8s.io", INFERENCE, READ),
        rule("inference.networking.k8s.io", ("inferencepools",), ("create", "patch", "delete")),
        rule("networking.k8s.io", ("ingresses",), KEEP),
        rule("", ("pods", "services", "serviceaccounts", "secrets", "configmaps", "persistentvolumeclaims"), KEEP),
        rule("", ("pods/status",), READ),
        rule("", ("endpoints",), READ),
        rule("discovery.k8s.io", ("endpointslices",), READ),
        rule("", ("events",), ("create", "patch")),
        rule("", ("namespaces",), READ),
        rule("rbac.authorization.k8s.io", ("roles", "rolebindings"), KEEP),
        rule("autoscaling", ("horizontalpodautoscalers",), KEEP),
        rule("coordination.k8s.io", ("leases",), ("list",), (OPERATOR_LEASE,)),  # of other operators, by field selector
        rule("apps", ("controllerrevisions",), KEEP),
        rule("apps", ("deployments",), ("list",), (OPERATOR_NAME,)),
        rule("apiextensions.k8s.io", ("customresourcedefinitions",), READ),
        rule("apiextensions.k8s.io", ("customresourcedefinitions",), ("patch",), CONVERTED_CRDS),
        rule("apiextensions.k8s.io", ("customresourcedefinitions/status",), ("patch",), CONVERTED_CRDS),
        rule(
            "admissionregistration.k8s.io",
            ("mutatingwebhookconfigurations",),
            (*READ, "patch"),  # lists and watches are limited to the names by field selector
            mutating_webhooks,
        ),
        rule(
            "admissionregistration.k8s.io",
            ("validatingwebhookconfigurations",),
            (*READ, "patch"),  # lists and watches are limited to the names by field selector
            validating_webhooks,
        ),
    ]


def scheduler_rules() -> list[Json]:
    """Cluster-wide rules of the gang scheduler: read what it places, bind, take back, and say why not."""
    return [
        rule("", ("nodes",), READ),
        rule("", ("pods",), (*READ, "delete")),  # a gang that stays partly bound is taken back
        rule("", ("persistentvolumes", "persistentvolumeclaims"), READ),  # where bound volumes can be used
        rule("topology.node.k8s.io", ("noderesourcetopologies",), READ),  # NUMA zones
        rule("", ("pods/binding",), ("create",)),
        rule("", ("pods/status",), ("patch",)),
        rule("", ("events",), ("create", "patch")),
        rule("scheduler.grove.io", ("podgangs",), READ),
        rule("scheduler.grove.io", ("podgangs/status",), ("get", "patch")),
        rule("grove.io", ("clustertopologybindings",), READ),
        rule("grove.io", ("clustertopologybindings/status",), ("get", "patch")),  # which nodes it covers
    ]


def lease_rules(lease: str) -> list[Json]:
    """Rules in the operator's own namespace for one leader-election Lease (create cannot be limited by name)."""
    return [
        rule("coordination.k8s.io", ("leases",), ("create",)),
        rule("coordination.k8s.io", ("leases",), ("get", "list", "watch", "update", "patch"), (lease,)),
    ]


OPERATOR_LEASE_RULES = lease_rules(OPERATOR_LEASE)
SCHEDULER_LEASE_RULES = lease_rules(SCHEDULER_LEASE)
