"""Names of pods and Services as files: real containers find them through their own /etc/hosts.

There is no DNS and no kube-proxy on the local cluster. Namespaces without a real container have no names at all: there
may be thousands of pods in them, and nobody who asks. A pod with hostname and subdomain is known by its address, a
Service by the address of its first ready pod (so its port must be its target port). One file for each namespace, in
which names of the same namespace may be short; it is rewritten in place, since containers have it mounted.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from grove_operator.api.kinds import Json

DOMAIN = "svc.cluster.local"
HEAD = "# Written by the node agent.\n127.0.0.1 localhost\n::1 localhost\n"
Entry = tuple[str, str, str]
"""Namespace, name inside it, address."""


def entries(pods: Iterable[Json], services: Iterable[Json], namespaces: Collection[str]) -> list[Entry]:
    """Everything in these namespaces that has a name and an address, sorted."""
    here = [pod for pod in pods if pod["metadata"]["namespace"] in namespaces]
    placed = [pod for pod in here if (pod.get("status") or {}).get("podIP")]
    found: list[Entry] = []
    for pod in placed:
        spec = pod["spec"]
        if spec.get("hostname") and spec.get("subdomain"):
            found.append(
                (pod["metadata"]["namespace"], f"{spec['hostname']}.{spec['subdomain']}", pod["status"]["podIP"])
            )
    for service in services:
        meta, selector = service["metadata"], service["spec"].get("selector")
        if meta["namespace"] not in namespaces:
            continue
        chosen = [p for p in placed if selector and _is_ready(p) and _matches(p, meta["namespace"], selector)]
        if chosen:
            first = min(chosen, key=lambda p: str(p["metadata"]["name"]))
            found.append((meta["namespace"], meta["name"], first["status"]["podIP"]))
    return sorted(found)


def hosts_file(namespace: str, known: Iterable[Entry]) -> str:
    """What a pod of the namespace reads."""
    return HEAD + "".join(f"{address} {' '.join(_names(namespace, where, name))}\n" for where, name, address in known)


def _names(reader: str, where: str, name: str) -> Iterator[str]:
    yield f"{name}.{where}.{DOMAIN}"
    yield f"{name}.{where}.svc"
    yield f"{name}.{where}"
    if where == reader:
        yield name


class HostsFiles:
    """The files of all namespaces in which a real container runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._content: dict[str, str] = {}
        self._known: list[Entry] = []

    @property
    def namespaces(self) -> Collection[str]:
        """Those in which a real container runs, or ran."""
        return self._content.keys()

    def path(self, namespace: str) -> Path:
        """The namespace's file; made on first use."""
        path = self._folder / namespace
        if namespace not in self._content:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write(namespace)
        return path

    def update(self, known: list[Entry]) -> None:
        if known != self._known:
            self._known = known
            for namespace in list(self._content):
                self._write(namespace)

    def _write(self, namespace: str) -> None:
        """In place and in one write, longer than before or cut afterwards: a reader finds whole lines."""
        content = hosts_file(namespace, self._known)
        self._content[namespace] = content
        handle = os.open(self._folder / namespace, os.O_CREAT | os.O_WRONLY, 0o644)
        try:
            os.pwrite(handle, content.encode(), 0)
            os.ftruncate(handle, len(content.encode()))
        finally:
            os.close(handle)


def _is_ready(pod: Json) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _matches(pod: Json, namespace: str, selector: Json) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return pod["metadata"]["namespace"] == namespace and all(labels.get(k) == v for k, v in selector.items())
