"""Pod specs in one form, so that two spellings of the same are equal: for comparing what different programs wrote.

    absent            null, {}, [] and "", what the API server fills in, false and 0 where the API's types omit them
    a quantity        its value: 1000m, 1 and "1" are one
    left out          variables that an operator puts in (GROVE_...), scheduling gates

Only PodCliques are compared so; their pod specs, unlike pods', go through no admission of pods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grove_operator.api.kinds import Json
from grove_operator.api.quantity import parse

QUANTITIES = frozenset({"limits", "requests", "overhead"})
"""Mappings whose values are quantities."""
SINGLE_QUANTITIES = frozenset({"sizeLimit", "divisor"})
LEFT_OUT_WHEN_FALSE = frozenset({"hostNetwork", "hostPID", "hostIPC", "stdin", "stdinOnce", "tty", "readOnly"})
LEFT_OUT_WHEN_ZERO = frozenset(
    {"hostPort", "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"}
)
"""Numbers and flags that the API's types omit at their zero value; others tell zero from absent."""
DEFAULTS: Mapping[str, tuple[Any, ...]] = {
    "apiVersion": ("v1",),
    "defaultMode": (420,),
    "dnsPolicy": ("ClusterFirst",),
    "enableServiceLinks": (True,),
    "failureThreshold": (3,),
    "periodSeconds": (10,),
    "protocol": ("TCP",),
    "restartPolicy": ("Always",),
    "scheme": ("HTTP",),
    "successThreshold": (1,),
    "terminationGracePeriodSeconds": (30,),
    "terminationMessagePath": ("/dev/termination-log",),
    "terminationMessagePolicy": ("File",),
    "timeoutSeconds": (1,),
}
"""By field name, whatever the object: what it means to say nothing."""
INJECTED = "GROVE_"


def canonical_pod_spec(pod_spec: Json) -> Any:
    """Equal for pod specs that mean the same."""
    return _canonical({k: v for k, v in pod_spec.items() if k != "schedulingGates"})


def _canonical(value: Any, field: str = "") -> Any:
    if isinstance(value, Mapping):
        if field in QUANTITIES:
            return {name: quantity(amount) for name, amount in value.items()}
        entries = ((name, _canonical(below, name)) for name, below in value.items())
        return {name: below for name, below in entries if not _says_nothing(name, below)}
    if isinstance(value, (list, tuple)):
        if field == "env":
            value = [v for v in value if not str(v.get("name", "")).startswith(INJECTED)]
        return [_canonical(below) for below in value]
    return quantity(value) if field in SINGLE_QUANTITIES else value


def _says_nothing(field: str, value: Any) -> bool:
    if value is None or value in ({}, [], ""):
        return True
    if value is False:
        return field in LEFT_OUT_WHEN_FALSE
    if value == 0 and (field in LEFT_OUT_WHEN_ZERO or field == "divisor"):
        return True
    return any(value == default and type(value) is type(default) for default in DEFAULTS.get(field, ()))


def quantity(text: Any) -> Any:
    """The value of a Kubernetes quantity; what isn't one stays as it is."""
    try:
        return parse(text)
    except ValueError:
        return str(text)
