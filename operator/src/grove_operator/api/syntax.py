"""Syntax of Kubernetes names, labels and environment variables, each as a sentence when it is broken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from grove_operator.api.faults import Fault, path

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?\Z")
_COUNT = re.compile(r"[1-9][0-9]{0,3}\Z")
_ENV_NAME = re.compile(r"[ -<>-~]+\Z")


def is_dns_label(text: str) -> bool:
    """Lower-case letters, digits and inner hyphens, at most 63."""
    return len(text) <= 63 and bool(_LABEL.match(text))


def is_dns_subdomain(text: str) -> bool:
    """DNS labels joined by dots, at most 253 characters in all."""
    return len(text) <= 253 and bool(_SUBDOMAIN.match(text))


def is_label_key(text: str) -> bool:
    """`[prefix/]name`: a DNS subdomain, and at most 63 letters, digits, - _ . between two letters or digits."""
    prefix, slash, name = text.rpartition("/")
    return (not slash or is_dns_subdomain(prefix)) and len(name) <= 63 and bool(_QUALIFIED.match(name))


def positive_count(text: str) -> int:
    """A number from 1 to 9999 in plain digits; 0 for everything else."""
    return int(text) if _COUNT.match(text) else 0


def name_fault(field: str, name: str) -> Fault | None:
    """Names become parts of pod and Service names, so each has to be a DNS label (dots break hostnames later)."""
    if is_dns_label(name):
        return None
    return Fault(
        field,
        "Invalid",
        f"{name!r} is not a DNS label",
        "use at most 63 lower-case letters, digits and hyphens, with a letter or digit at both ends",
    )


def text(metadata: Mapping[str, Any], key: str) -> str:
    """A text of the metadata; "" when it is absent or no text, which `metadata_faults` tells."""
    value = metadata.get(key)
    return value if isinstance(value, str) else ""


def metadata_faults(metadata: Mapping[str, Any], *, allow_dots: bool = False) -> Iterator[Fault]:
    """Name (or generateName), labels and annotations of the object itself; `allow_dots` for names no pod inherits."""
    for key in ("name", "generateName", "namespace"):
        if metadata.get(key) is not None and not isinstance(metadata[key], str):
            yield Fault(f"metadata.{key}", "Invalid", f"{metadata[key]!r} is not a string", "write it in quotes")
    name = text(metadata, "name")
    if not metadata.get("name") and not metadata.get("generateName"):
        yield Fault("metadata.name", "Required", "is missing", "name the object")
    elif name:
        fault = name_fault("metadata.name", name)
        if fault and not (allow_dots and is_dns_subdomain(name)):
            yield fault
    namespace = metadata.get("namespace")
    if namespace and not (isinstance(namespace, str) and is_dns_label(namespace)):
        yield Fault("metadata.namespace", "Invalid", f"{namespace!r} is not a DNS label", "name an existing namespace")
    for part in ("labels", "annotations"):
        values = metadata.get(part)
        if isinstance(values, Mapping):
            yield from map_faults(path("metadata", part), values, are_labels=part == "labels")
        elif values is not None:
            yield Fault(path("metadata", part), "Invalid", f"{values!r} is not a mapping", "write names with values")


def map_faults(field: str, values: Mapping[str, Any] | None, *, are_labels: bool) -> Iterator[Fault]:
    """Keys are `[prefix/]name`; label values are at most 63 characters of the same alphabet, or empty."""
    for key, value in (values or {}).items():
        if not is_label_key(key):
            yield Fault(
                field, "Invalid", f"{key!r} is not a valid key", "use [domain/]name with letters, digits, - _ ."
            )
        if not isinstance(value, str):
            yield Fault(f"{field}.{key}", "Invalid", f"value {value!r} is not a string", "write it in quotes")
        elif are_labels and value and (len(value) > 63 or not _QUALIFIED.match(value)):
            yield Fault(
                f"{field}.{key}", "Invalid", f"{value!r} is not a label value", "use at most 63 letters, digits, - _ ."
            )


def env_faults(field: str, variables: Sequence[Any] | None, *, counted: bool = True) -> Iterator[Fault]:
    """Names are non-empty printable ASCII without `=`, and each stands once (where that isn't `counted` elsewhere)."""
    seen: set[str] = set()
    for i, variable in enumerate(variables or ()):
        name = variable.get("name") if isinstance(variable, Mapping) else getattr(variable, "name", None)
        where = f"{field}[{i}].name"
        if not isinstance(name, str) or not _ENV_NAME.match(name):
            yield Fault(where, "Invalid", f"{name!r} is not a variable name", "use printable characters without =")
        elif counted and name in seen:
            yield Fault(where, "Duplicate", f"{name!r} is set twice in this container", "keep one of them")
        else:
            seen.add(name)
