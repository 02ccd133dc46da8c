"""When an object counts as ready where no `pulumi.com/waitFor` says so, kind by kind. Pure.

Modelled: Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, Pod, Service, Namespace, ResourceQuota. As in the
official provider there is no waiting for CRDs, custom resources and plain data (ConfigMap, RBAC, ...). Kinds whose
waiting isn't modelled raise, unless `pulumi.com/skipAwait` or `waitFor` says what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from standin_provider.errors import ProviderError, Unmodelled
from standin_provider.objects import group_of
from standin_provider.waitfor import generation_of
from standin_provider.wire import Json

Check = Callable[[Json], str]
"""Live object -> what is still missing ("" when ready). Raises ProviderError where it can't become ready any more."""

_NOT_MODELLED = {
    ("", "PersistentVolumeClaim"),
    ("", "PersistentVolume"),
    ("", "ReplicationController"),
    ("networking.k8s.io", "Ingress"),
    ("batch", "CronJob"),
}


def readiness_of(obj: Json) -> Check | None:
    """None: this kind is ready as soon as it exists. Raises Unmodelled."""
    key = (group_of(str(obj.get("apiVersion", ""))), str(obj.get("kind", "")))
    if key in _NOT_MODELLED:
        raise Unmodelled(f'waiting for a {key[1]}; or annotate it with pulumi.com/skipAwait: "true"')
    if key == ("", "Secret") and obj.get("type") == "kubernetes.io/service-account-token":
        raise Unmodelled("waiting for the token of a service account Secret")
    if key == ("", "Service") and not _service_waits(obj):
        return None
    return _CHECKS.get(key)


def needs_endpoints(obj: Json) -> bool:
    """A Service that is ready only when a pod stands behind it."""
    return obj.get("kind") == "Service" and group_of(str(obj.get("apiVersion", ""))) == "" and _service_waits(obj)


def conditions_text(live: Json) -> str:
    """The object's conditions in one line: `Available=False (MinimumReplicasUnavailable: ...)`."""
    parts = []
    for condition in (live.get("status") or {}).get("conditions") or []:
        because = ": ".join(str(condition[k]) for k in ("reason", "message") if condition.get(k))
        parts.append(f"{condition.get('type')}={condition.get('status')}" + (f" ({because})" if because else ""))
    return ", ".join(parts)


def _status(live: Json) -> dict[str, Any]:
    return live.get("status") or {}


def _stale(live: Json) -> str:
    observed = int(_status(live).get("observedGeneration") or 0)
    return "" if observed >= generation_of(live) else "its controller has not seen the latest spec yet"


def _condition(live: Json, kind: str) -> Json:
    return next((c for c in _status(live).get("conditions") or [] if c.get("type") == kind), {})


def _deployment(live: Json) -> str:
    if stale := _stale(live):
        return stale
    wanted, status = int(live["spec"].get("replicas", 1)), _status(live)
    progressing = _condition(live, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        raise ProviderError(f"its rollout exceeded its progress deadline: {progressing.get('message', '')}")
    updated, available = int(status.get("updatedReplicas") or 0), int(status.get("availableReplicas") or 0)
    if updated < wanted:
        return f"{updated} of {wanted} replicas updated"
    if int(status.get("replicas") or 0) > updated:
        return f"{int(status['replicas']) - updated} old replicas still there"
    return "" if available >= wanted else f"{available} of {wanted} replicas available"


def _stateful_set(live: Json) -> str:
    if stale := _stale(live):
        return stale
    wanted, status = int(live["spec"].get("replicas", 1)), _status(live)
    on_delete = (live["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
    if wanted and not on_delete and status.get("currentRevision") != status.get("updateRevision"):
        return f"{int(status.get('updatedReplicas') or 0)} of {wanted} replicas updated"
    ready = int(status.get("readyReplicas") or 0)
    return "" if ready >= wanted else f"{ready} of {wanted} replicas ready"


def _daemon_set(live: Json) -> str:
    if stale := _stale(live):
        return stale
    status = _status(live)
    wanted, ready = int(status.get("desiredNumberScheduled") or 0), int(status.get("numberReady") or 0)
    updated = int(status.get("updatedNumberScheduled") or 0)
    if updated < wanted:
        return f"{updated} of {wanted} pods updated"
    return "" if ready >= wanted else f"{ready} of {wanted} pods ready"


def _replica_set(live: Json) -> str:
    if stale := _stale(live):
        return stale
    wanted, available = int(live["spec"].get("replicas", 1)), int(_status(live).get("availableReplicas") or 0)
    return "" if available >= wanted else f"{available} of {wanted} replicas available"


def _job(live: Json) -> str:
    if (failed := _condition(live, "Failed")).get("status") == "True":
        raise ProviderError(f"the job failed: {failed.get('reason', '')}: {failed.get('message', '')}")
    if live["spec"].get("suspend"):
        return ""
    return "" if _condition(live, "Complete").get("status") == "True" else "the job has not completed"


def _pod(live: Json) -> str:
    phase = _status(live).get("phase", "Pending")
    if phase == "Failed":
        raise ProviderError(
            f"the pod failed: {_status(live).get('message') or _status(live).get('reason') or 'no reason given'}"
        )
    if phase == "Succeeded" or _condition(live, "Ready").get("status") == "True":
        return ""
    return f"phase {phase}, not Ready"


def _service_waits(obj: Json) -> bool:
    spec = obj.get("spec") or {}
    return spec.get("type") != "ExternalName" and bool(spec.get("selector")) and spec.get("clusterIP") != "None"


def _service(live: Json) -> str:
    wants_address = (live.get("spec") or {}).get("type") == "LoadBalancer"
    has_address = bool((_status(live).get("loadBalancer") or {}).get("ingress"))
    return "no load balancer address yet" if wants_address and not has_address else ""


def _namespace(live: Json) -> str:
    phase = _status(live).get("phase")
    return "" if phase in (None, "Active") else f"phase {phase}"


def _resource_quota(live: Json) -> str:
    """Ready when the quota controller has taken over the limits as they are written, amounts compared as text."""
    wanted, counted = (live.get("spec") or {}).get("hard") or {}, _status(live).get("hard") or {}
    missing = sorted(name for name in wanted.keys() | counted.keys() if wanted.get(name) != counted.get(name))
    return f"its controller does not count {', '.join(missing)} yet" if missing else ""


_CHECKS: dict[tuple[str, str], Check] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "ReplicaSet"): _replica_set,
    ("batch", "Job"): _job,
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("", "Namespace"): _namespace,
    ("", "ResourceQuota"): _resource_quota,
}
