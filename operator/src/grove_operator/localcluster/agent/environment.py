"""A container's environment and argument vector, from its spec, the objects it refers to, and its image entry. Pure."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import grove_operator
from grove_operator.api.kinds import Json
from grove_operator.localcluster.agent.admission import amounts, quantity
from grove_operator.localcluster.agent.status import HOST_IP
from grove_operator.localcluster.dynamo_runtime import runtime_dir
from grove_operator.localcluster.fleet import Image

Lookup = Callable[[str, str], dict[str, str] | None]
"""(Secret | ConfigMap, name) -> its decoded data, or None when it doesn't exist."""

SOURCE = str(Path(grove_operator.__file__).resolve().parents[1])
_REFERENCE = re.compile(r"\$(\$|\((\w[\w.-]*)\))")
_FIELD_KEY = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")


class ConfigError(Exception):
    """The container can't be made from its spec; the message is the kubelet's for CreateContainerConfigError."""


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Kubernetes' `$(NAME)`; `$$` is a dollar, an unknown name stays as it is."""

    def one(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else variables.get(match[2], match[0])

    return _REFERENCE.sub(one, text)


def field_value(pod: Json, ip: str, path: str) -> str:
    """The downward API's fieldRef; `metadata.labels` as a whole only in volumes."""
    meta, spec = pod["metadata"], pod["spec"]
    keyed = _FIELD_KEY.match(path)
    if keyed:
        return str((meta.get(keyed[1]) or {}).get(keyed[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        pairs = sorted((meta.get(path.removeprefix("metadata.")) or {}).items())
        return "\n".join(f'{key}="{value}"' for key, value in pairs)
    known = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta.get("namespace", ""),
        "metadata.uid": meta["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.podIP": ip,
        "status.podIPs": ip,
        "status.hostIP": HOST_IP,
        "status.hostIPs": HOST_IP,
    }
    if path not in known:
        raise ConfigError(f"fieldRef {path} is not supported by the node agent")
    return str(known[path])


def resource_value(pod: Json, container: Json, node: Json, ref: Json) -> str:
    """The downward API's resourceFieldRef, rounded up to the divisor; a missing limit is the node's allocatable."""
    by_name = {c["name"]: c for c in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]}
    owner = by_name.get(ref.get("containerName") or "", container)
    section, _, name = ref["resource"].partition(".")
    resources = owner.get("resources") or {}
    have = amounts(resources.get(section)).get(name)
    if have is None and section == "limits":
        have = amounts((node.get("status") or {}).get("allocatable")).get(name)
    divisor = quantity(str(ref.get("divisor") or "1")) or quantity("1")
    return str(math.ceil((have or quantity("0")) / divisor))


def container_environment(pod: Json, container: Json, node: Json, ip: str, lookup: Lookup) -> dict[str, str]:
    """envFrom, then env in order with `$(NAME)` expanded; ConfigError when a required reference is absent."""
    variables: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
            if field in source:
                data = _data(lookup, kind, source[field])
                variables |= {source.get("prefix", "") + key: value for key, value in data.items()}
    for variable in container.get("env") or []:
        value = _value(pod, container, node, ip, variable, lookup)
        if value is not None:
            variables[variable["name"]] = value if "valueFrom" in variable else expand(value, variables)
    return variables


def _value(pod: Json, container: Json, node: Json, ip: str, variable: Json, lookup: Lookup) -> str | None:
    source = variable.get("valueFrom")
    if not source:
        return str(variable.get("value", ""))
    if "fieldRef" in source:
        return field_value(pod, ip, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        return resource_value(pod, container, node, source["resourceFieldRef"])
    for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        if field in source:
            ref = source[field]
            value = _data(lookup, kind, ref).get(ref["key"])
            if value is None and not ref.get("optional"):
                raise ConfigError(f'couldn\'t find key {ref["key"]} in {kind.lower()} "{ref["name"]}"')
            return value
    raise ConfigError(f"env {variable['name']}: valueFrom {', '.join(source)} is not supported by the node agent")


def _data(lookup: Lookup, kind: str, ref: Json) -> dict[str, str]:
    data = lookup(kind, ref["name"])
    if data is None and not ref.get("optional"):
        raise ConfigError(f'{kind.lower()} "{ref["name"]}" not found')
    return data or {}


def argv_of(container: Json) -> list[str]:
    """Command and arguments as written: what the `argv` of an image entry is matched against."""
    return [*(container.get("command") or []), *(container.get("args") or [])]


def command_line(container: Json, image: Image, variables: Mapping[str, str], ip: str) -> list[str]:
    """The image entry's `run`: `${ARGS}` are the arguments without the program's name, `${ARGV}` all words."""
    words = [expand(word, variables) for word in argv_of(container)]
    arguments = words[1 if container.get("command") else 0 :]
    line: list[str] = []
    for element in image.run:
        if element in ("${ARGS}", "${ARGV}"):
            line += arguments if element == "${ARGS}" else words
        else:
            line.append(substitute(element, ip))
    return line


def substitute(text: str, ip: str) -> str:
    """`${PYTHON}`, `${SOURCE}`, `${DYNAMO}`, `${POD_IP}` of a fleet file."""
    known = {"PYTHON": sys.executable, "SOURCE": SOURCE, "DYNAMO": str(runtime_dir()), "POD_IP": ip}
    for name, value in known.items():
        text = text.replace(f"${{{name}}}", value)
    return text


def base_environment(image: Image, ip: str, host_environment: Mapping[str, str]) -> dict[str, str]:
    """What an image would bring along: a path, a home, the checkout's package, and the entry's own `env`."""
    inherited = {k: v for k in ("PATH", "HOME", "LANG", "TZ", "TMPDIR") if (v := host_environment.get(k))}
    ours = {"PYTHONPATH": SOURCE, "PYTHONUNBUFFERED": "1"}
    return inherited | ours | {key: substitute(value, ip) for key, value in image.env.items()}
