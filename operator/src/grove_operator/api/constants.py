"""Grove's labels, annotations, conditions and other literals (grove-behaviour reference, sections 0.3, 1 and 3)."""

from __future__ import annotations

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY_VALUE = "grove-operator"
PART_OF = "app.kubernetes.io/part-of"
APP_NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"

LABEL_POD_CLIQUE = "grove.io/podclique"
LABEL_POD_GANG = "grove.io/podgang"
LABEL_BASE_POD_GANG = "grove.io/base-podgang"
LABEL_PCS_REPLICA_INDEX = "grove.io/podcliqueset-replica-index"
LABEL_SCALING_GROUP = "grove.io/podcliquescalinggroup"
LABEL_SCALING_GROUP_REPLICA_INDEX = "grove.io/podcliquescalinggroup-replica-index"
LABEL_POD_INDEX = "grove.io/podclique-pod-index"
LABEL_POD_TEMPLATE_HASH = "grove.io/pod-template-hash"
LABEL_SCHEDULER_NAME = "grove.io/scheduler-name"

ANNOTATION_TOPOLOGY_NAME = "grove.io/topology-name"
ANNOTATION_DISABLE_PROTECTION = "grove.io/disable-managed-resource-protection"
ANNOTATION_RECONCILE_TRIGGER = "grove.io/reconcile-trigger"
ANNOTATION_MNNVL_GROUP = "grove.io/mnnvl-group"
GROVE_PREFIX = "grove.io/"

SCHEDULING_GATE = "grove.io/podgang-pending-creation"
INIT_CONTAINER = "grove-initc"

COMPONENT_HEADLESS_SERVICE = "pcs-headless-service"
COMPONENT_POD_ROLE = "pod-role"
COMPONENT_POD_ROLE_BINDING = "pod-role-binding"
COMPONENT_POD_SERVICE_ACCOUNT = "pod-service-account"
COMPONENT_SA_TOKEN_SECRET = "pod-sa-token-secret"  # noqa: S105 - a label value
COMPONENT_SCALING_GROUP = "pcs-podcliquescalinggroup"
COMPONENT_HPA = "pcs-hpa"
COMPONENT_POD_GANG = "podgang"
COMPONENT_PCS_POD_CLIQUE = "pcs-podclique"
COMPONENT_SCALING_GROUP_POD_CLIQUE = "pcsg-podclique"

CONDITION_POD_CLIQUE_SCHEDULED = "PodCliqueScheduled"
CONDITION_MIN_AVAILABLE_BREACHED = "MinAvailableBreached"
CONDITION_TOPOLOGY_LEVELS_UNAVAILABLE = "TopologyLevelsUnavailable"
CONDITION_GANG_TERMINATION = "GangTerminationInProgress"
CONDITION_PODGANG_INITIALIZED = "Initialized"
CONDITION_PODGANG_SCHEDULED = "Scheduled"
CONDITION_PODGANG_READY = "Ready"
CONDITION_PODGANG_UNHEALTHY = "Unhealthy"

STARTUP_ANY_ORDER = "CliqueStartupTypeAnyOrder"
STARTUP_IN_ORDER = "CliqueStartupTypeInOrder"
STARTUP_EXPLICIT = "CliqueStartupTypeExplicit"

ENV_PCS_NAME = "GROVE_PCS_NAME"
ENV_PCS_INDEX = "GROVE_PCS_INDEX"
ENV_PCLQ_NAME = "GROVE_PCLQ_NAME"
ENV_HEADLESS_SERVICE = "GROVE_HEADLESS_SERVICE"
ENV_PCLQ_POD_INDEX = "GROVE_PCLQ_POD_INDEX"
ENV_PCSG_NAME = "GROVE_PCSG_NAME"
ENV_PCSG_INDEX = "GROVE_PCSG_INDEX"
ENV_PCSG_TEMPLATE_NUM_PODS = "GROVE_PCSG_TEMPLATE_NUM_PODS"

SCHEDULER_NAME = "grove-scheduler"
"""`spec.schedulerName` of the pods that our gang scheduler binds; the default backend."""
OPERATOR_NAMESPACE = "grove-system"
OPERATOR_NAME = "grove-operator"
OPERATOR_LEASE = "grove-operator-leader-election"
SCHEDULER_LEASE = "grove-scheduler-leader-election"
DEFAULT_TOPOLOGY = "default"

NAME_BUDGET = 45
"""Longest sum of PodCliqueSet, scaling-group and clique name lengths: leaves room for indices in 63 characters."""
DEFAULT_TERMINATION_DELAY = "4h"

DGD_LABEL = "nvidia.com/dynamo-graph-deployment-name"
