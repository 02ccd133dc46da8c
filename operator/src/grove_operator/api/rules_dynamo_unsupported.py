"""What this operator can't do for a graph: said at admission, with the way out, instead of being left undone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from grove_operator.api.dynamographdeployment import DynamoGraphDeployment
from grove_operator.api.dynamoservice import DynamoService
from grove_operator.api.faults import Fault

ENABLE_GROVE = "nvidia.com/enable-grove"
ELSEWHERE = "remove it, or run this graph with NVIDIA's own operator"


def unsupported_faults(graph: DynamoGraphDeployment) -> Iterator[Fault]:
    """Of the graph as v1alpha1 says it."""
    annotations = graph.metadata.get("annotations")
    said = annotations.get(ENABLE_GROVE) if isinstance(annotations, Mapping) else None
    if isinstance(said, str) and said.lower() == "false":
        fact = "asks for Deployments instead of Grove (the DynamoComponentDeployment path), which is left out here"
        yield Fault(f"metadata.annotations.{ENABLE_GROVE}", "NotSupported", fact, ELSEWHERE)
    experimental = graph.spec.experimental
    if experimental and experimental.component_groups:
        yield Fault("spec.experimental.componentGroups", "NotSupported", "is left out here", ELSEWHERE)
    if experimental and experimental.kv_transfer_policy:
        fact = "needs node labels copied onto pods, which is left out here"
        yield Fault("spec.experimental.kvTransferPolicy", "NotSupported", fact, ELSEWHERE)
    for key, service in (graph.spec.services or {}).items():
        yield from _of_service(f"spec.services.{key}", service)


def _of_service(field: str, service: DynamoService) -> Iterator[Fault]:
    parts = {
        "gpuMemoryService": service.gpu_memory_service,
        "failover": service.failover,
        "checkpoint": service.checkpoint,
    }
    for name, part in parts.items():
        if part and part.enabled:
            yield Fault(f"{field}.{name}", "NotSupported", "is left out here", ELSEWHERE)
    if service.ingress and service.ingress.enabled and service.ingress.use_virtual_service:
        fact = "asks for an Istio VirtualService, which is left out here"
        remedy = "use an ingress class, or write the VirtualService yourself"
        yield Fault(f"{field}.ingress.useVirtualService", "NotSupported", fact, remedy)
