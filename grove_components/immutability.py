"""What a live PodCliqueSet can't change (grove-behaviour 2.5), as one value: a new value means a new object.

on_immutable_change="fail"      admission refuses the change, at preview already, and names the field
on_immutable_change="replace"   the object is deleted and made anew: every pod of it restarts
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from grove_operator.api.constants import STARTUP_ANY_ORDER
from grove_operator.api.defaults import schema_defaults
from grove_operator.api.kinds import Json
from grove_operator.api.podcliqueset import PodCliqueSet

OnImmutableChange = Literal["fail", "replace"]


def fingerprint(pod_clique_set: Json) -> str:
    """A hash over the immutable fields with the schema's defaults filled in, so that writing one out changes nothing.

    A clique's absent `minAvailable` stays absent: admission takes it from the replicas at creation, and a later change
    of the replicas is no change of shape.

    `pod_clique_set` is plain: Outputs are replaced by placeholders beforehand; no immutable field may hold one.
    """
    canonical = json.dumps(immutable_part(pod_clique_set), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def immutable_part(pod_clique_set: Json) -> Json:
    """The immutable fields alone. The order of cliques counts only where it is the order in which they start."""
    template = schema_defaults(PodCliqueSet, pod_clique_set)["spec"]["template"]
    startup = template.get("cliqueStartupType", STARTUP_ANY_ORDER)
    names = [clique["name"] for clique in template["cliques"]]
    return {
        "startup": startup,
        "order": names if startup != STARTUP_ANY_ORDER else sorted(names),
        "cliques": {clique["name"]: _clique(clique) for clique in template["cliques"]},
        "groups": {group["name"]: _group(group) for group in template.get("podCliqueScalingGroups") or []},
        "topology": _topology(template),
        "claims": template.get("resourceClaimTemplates") or [],
        "sharing": template.get("resourceSharing") or [],
    }


def _clique(clique: Json) -> Json:
    spec = clique["spec"]
    return {
        "roleName": spec.get("roleName"),
        "minAvailable": spec.get("minAvailable"),
        "startsAfter": spec.get("startsAfter") or [],
        "schedulerName": (spec.get("podSpec") or {}).get("schedulerName") or "",
        "sharing": clique.get("resourceSharing") or [],
        "topology": _topology(clique),
    }


def _group(group: Json) -> Json:
    return {
        "cliqueNames": group.get("cliqueNames"),
        "minAvailable": group.get("minAvailable"),
        "sharing": group.get("resourceSharing") or [],
        "topology": _topology(group),
    }


def _topology(part: Json) -> Any:
    """`packDomain` and `pack.required` say the same thing; rewriting one as the other is allowed."""
    constraint = part.get("topologyConstraint")
    if not constraint:
        return None
    pack = constraint.get("pack") or {}
    required = pack.get("required") or constraint.get("packDomain")
    return {"name": constraint.get("topologyName"), "required": required, "preferred": pack.get("preferred")}
