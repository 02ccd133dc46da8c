"""Inputs of a resource -> a Kubernetes object, and a live object -> the outputs that Pulumi keeps."""

from __future__ import annotations

import base64
import copy
import re
from decimal import Decimal
from typing import Any

from standin_provider.errors import Unmodelled
from standin_provider.wire import UNKNOWNS, Json, Path, Tree

CLIENT_MANAGER = "pulumi-kubernetes"
AUTONAMED = "pulumi.com/autonamed"
_OWN_KEYS = ("__fieldManager", "__initialApiVersion", "__inputs")
_POD_SPECS: dict[str, Path] = {
    "Pod": ("spec",),
    "Deployment": ("spec", "template", "spec"),
    "StatefulSet": ("spec", "template", "spec"),
    "DaemonSet": ("spec", "template", "spec"),
    "ReplicaSet": ("spec", "template", "spec"),
    "Job": ("spec", "template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?")


def group_of(api_version: str) -> str:
    return api_version.partition("/")[0] if "/" in api_version else ""


def is_built_in(api_version: str) -> bool:
    """Served by kube-apiserver itself, with Go types behind it. CRDs under *.k8s.io are counted as built in too."""
    group = group_of(api_version)
    return "." not in group or group.endswith(".k8s.io")


def is_crd(obj: Json) -> bool:
    return bool(
        obj.get("kind") == "CustomResourceDefinition" and group_of(obj.get("apiVersion", "")) == "apiextensions.k8s.io"
    )


def check_kind(token: str) -> None:
    """Raises Unmodelled for resource types that aren't one Kubernetes object: charts, YAML bundles, patches, lists."""
    _, _, rest = token.partition(":")
    module, _, kind = rest.rpartition(":")
    if module.partition("/")[0].partition(":")[0] in ("helm.sh", "yaml", "kustomize"):
        raise Unmodelled(f"resources of type {token}")
    group = module.partition("/")[0]
    built_in = "." not in group or group.endswith(".k8s.io")
    if built_in and kind.endswith(("Patch", "List")):
        raise Unmodelled(f"resources of type {token}")


def normalise(tree: Tree) -> Tree:
    """Known kinds in the form of their Go types: Secret.stringData becomes data, quantities become canonical.

    Values that aren't known yet stay as they are.
    """
    obj = copy.deepcopy(tree.value)
    secrets = set(tree.secrets)
    if not is_built_in(obj.get("apiVersion", "")):
        return tree
    if obj.get("kind") == "Secret" and "stringData" in obj:
        _string_data_to_data(obj, secrets, tree.unknowns)
    if (path := _POD_SPECS.get(obj.get("kind", ""))) is not None:
        _canonical_resources(_get(obj, path))
    return Tree(obj, frozenset(secrets), tree.unknowns)


def _string_data_to_data(obj: Json, secrets: set[Path], unknowns: frozenset[Path]) -> None:
    if any(path[0] == "stringData" for path in unknowns) or not isinstance(obj["stringData"], dict):
        return
    encoded = {key: base64.b64encode(str(text).encode()).decode() for key, text in obj.pop("stringData").items()}
    obj["data"] = {**obj.get("data", {}), **encoded}
    for path in [p for p in secrets if p[0] == "stringData"]:
        secrets.discard(path)
        secrets.add(("data", *path[1:]))


def _canonical_resources(pod_spec: Any) -> None:
    if not isinstance(pod_spec, dict):
        return
    for group in ("containers", "initContainers", "ephemeralContainers"):
        for container in pod_spec.get(group) or []:
            resources = container.get("resources") if isinstance(container, dict) else None
            for part in ("limits", "requests"):
                amounts = resources.get(part) if isinstance(resources, dict) else None
                if isinstance(amounts, dict):
                    amounts.update({name: canonical_quantity(amount) for name, amount in amounts.items()})


def canonical_quantity(amount: Any) -> Any:
    """`1000m` -> `1`, `1024Mi` -> `1Gi`, `0.5` -> `500m`; what isn't a quantity stays as it is."""
    match = _QUANTITY.fullmatch(str(amount)) if isinstance(amount, str | int | float) else None
    if match is None or isinstance(amount, bool) or amount in UNKNOWNS:
        return amount
    digits, suffix = Decimal(match[1]), match[2] or ""
    if suffix in _BINARY:
        number = digits * _BINARY[suffix]
        if number == number.to_integral_value():
            whole = int(number)
            fitting = [s for s in _BINARY if whole and whole % _BINARY[s] == 0]
            return f"{whole // _BINARY[fitting[-1]]}{fitting[-1]}" if fitting else str(whole)
    exponent = int(suffix[1:]) if suffix[:1] in ("e", "E") and len(suffix) > 1 else _DECIMAL.get(suffix, 0)
    number = digits.scaleb(exponent)
    if number == 0:
        return "0"
    for suffix, power in reversed(_DECIMAL.items()):
        scaled = number.scaleb(-power)
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}{suffix}"
    return str(amount)


def to_api(value: Any) -> Any:
    """`x_kubernetes_...` keys of CRD schemas back to `x-kubernetes-...` (the SDKs can't have dashes in names)."""
    return _rename(value, "x_kubernetes_", lambda key: key.replace("_", "-"))


def from_api(value: Any) -> Any:
    return _rename(value, "x-kubernetes-", lambda key: key.replace("-", "_"))


def _rename(value: Any, prefix: str, change: Any) -> Any:
    if isinstance(value, dict):
        return {(change(k) if k.startswith(prefix) else k): _rename(v, prefix, change) for k, v in value.items()}
    if isinstance(value, list):
        return [_rename(item, prefix, change) for item in value]
    return value


def to_object(inputs: Json) -> Json:
    obj: Json = to_api(inputs) if is_crd(inputs) else copy.deepcopy(inputs)
    return obj


def live_of(outputs: Json) -> Json:
    """The object as it was last seen: the outputs without the provider's own keys."""
    live = {key: value for key, value in outputs.items() if key not in _OWN_KEYS}
    return to_object(live)


def checkpoint(inputs: Tree, live: Json, *, field_manager: str, initial_api_version: str) -> tuple[Json, set[Path]]:
    """The outputs to keep in Pulumi's state, and the secret paths in them.

    Secretness goes from the inputs to the same place in the live object; below a list the whole list is secret, since
    the server may reorder or add elements. `data` of a Secret is always secret.
    """
    shape = from_api if is_crd(inputs.value) else copy.deepcopy
    outputs: Json = {
        **shape(live),
        "__fieldManager": field_manager,
        "__initialApiVersion": initial_api_version,
        "__inputs": shape(inputs.value),
    }
    secrets: set[Path] = {("__inputs", *path) for path in inputs.secrets}
    secrets |= {_above_lists(path) for path in inputs.secrets}
    if live.get("kind") == "Secret" and live.get("apiVersion") == "v1":
        secrets |= {("data",), ("stringData",), ("__inputs", "data"), ("__inputs", "stringData")}
    return outputs, secrets


def _above_lists(path: Path) -> Path:
    return next((path[:i] for i, part in enumerate(path) if isinstance(part, int)), path)


def identity(obj: Json) -> str:
    """Pulumi's id of an object: `namespace/name`, or `name` where there is no namespace."""
    metadata = obj.get("metadata") or {}
    namespace, name = metadata.get("namespace", ""), metadata.get("name", "")
    return f"{namespace}/{name}" if namespace else str(name)


def describe(obj: Json) -> str:
    return f"{obj.get('kind', 'object')} {identity(obj) or '(unnamed)'}"


def _get(value: Any, path: Path) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value
