"""Watches what graphs depend on and nobody here owns: registries' secrets, SSH keys for MPI, KAI's queues.

Of a registry's secret only its name and hosts are kept. A change makes every graph be looked at again.
"""

from __future__ import annotations

from collections.abc import Callable

from grove_operator.api.kinds import SECRET, Json, Kind
from grove_operator.dynamo.around import DOCKER_CONFIG, Around, registries_of
from grove_operator.engine.informer import Informer
from grove_operator.engine.ports import Clock, KubeApi
from grove_operator.engine.trimmed import trimmed

KAI_QUEUE = Kind("scheduling.run.ai", "v2", "Queue", "queues", namespaced=False)


class Surroundings:
    """`informers` run beside the operator's own; `on_change` is called after each piece of news."""

    def __init__(self, api: KubeApi, clock: Clock, namespace: str, mpi_secret: str, *, has_kai: bool = False) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._namespace, self._mpi_secret = namespace, mpi_secret

        def informer(kind: Kind, fields: str = "", trim: Callable[[Json], Json] = trimmed) -> Informer:
            return Informer(
                api, clock, kind, lambda old, new: self.on_change(), field_selector=fields, trim=trim, is_optional=True
            )

        self._registries = informer(SECRET, f"type={DOCKER_CONFIG}", _hosts_only)
        self._keys = informer(SECRET, f"metadata.name={mpi_secret}")
        self._queues = informer(KAI_QUEUE) if has_kai else None
        self.informers = [i for i in (self._registries, self._keys, self._queues) if i is not None]

    def of(self, namespace: str) -> Around:
        """What a graph of that namespace finds."""
        secrets: dict[str, list[str]] = {}
        for secret in self._registries.items():
            if secret["metadata"]["namespace"] == namespace:
                for host in secret["registries"]:
                    secrets.setdefault(host, []).append(secret["metadata"]["name"])
        return Around(
            secrets,
            self._keys.get(self._namespace, self._mpi_secret),
            self._keys.get(namespace, self._mpi_secret) is not None,
            self._known_queues(),
        )

    def _known_queues(self) -> frozenset[str] | None:
        if self._queues is None or not self._queues.is_served:
            return None
        return frozenset(queue["metadata"]["name"] for queue in self._queues.items())


def _hosts_only(secret: Json) -> Json:
    kept = {name: secret["metadata"].get(name) for name in ("name", "namespace", "uid", "resourceVersion")}
    return {"metadata": kept, "registries": registries_of(secret)}
