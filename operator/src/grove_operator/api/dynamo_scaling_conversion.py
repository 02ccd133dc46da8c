"""DynamoGraphDeploymentScalingAdapter v1alpha1 <-> v1beta1: a service is a component there. Pure.

What v1alpha1 has no words for, a group of components, travels in an annotation.
"""

from __future__ import annotations

import json

from grove_operator.api.dynamo_conversion import BETA, SAID_IN, without_nulls
from grove_operator.api.kinds import Json

NOTE = SAID_IN[BETA]


def adapter_as_version(obj: Json, api_version: str) -> Json:
    """The object in the wanted version."""
    if obj.get("apiVersion") == api_version:
        return obj
    out: Json = without_nulls(obj)
    out["apiVersion"] = api_version
    ref = out["spec"]["dgdRef"]
    annotations = dict(out["metadata"].get("annotations") or {})
    if api_version == BETA:
        group = json.loads(annotations.pop(NOTE, "null"))
        service = ref.pop("serviceName", None)
        ref |= {"componentGroupName": group} if isinstance(group, str) else {"componentName": service}
    else:
        group = ref.pop("componentGroupName", None)
        ref["serviceName"] = ref.pop("componentName", None) or group
        if group is not None:
            annotations[NOTE] = json.dumps(group)
    out["metadata"].pop("annotations", None)
    if annotations:
        out["metadata"]["annotations"] = annotations
    return out
