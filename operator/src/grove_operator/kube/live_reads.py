"""What admission reads from the API server while it judges: always live, over connections that are kept.

It runs in kopf's event loop, which the engine's client does not belong to. A client of its own for each request would
pay a TLS handshake each time: at 50 requests a second that alone fills a core.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import kopf

from grove_operator.api.kinds import CLUSTER_TOPOLOGY_BINDING, POD_CLIQUE_SET, VOLCANO_QUEUE, Json, Kind
from grove_operator.engine.ports import NotFound
from grove_operator.kube.client import HttpKubeApi
from grove_operator.kube.connection import Connection
from grove_operator.kube.roots import METADATA_ONLY


class LiveReads:
    """All methods raise what the client raises: a judgement without its facts is none, and the request is refused."""

    def __init__(self, connection: Connection, program: str) -> None:
        self._connection, self._program = connection, program
        self._api: HttpKubeApi | None = None

    async def topologies(self) -> Mapping[str, Json]:
        """ClusterTopologyBindings by name."""
        listing = await self._client().list(CLUSTER_TOPOLOGY_BINDING)
        return {item["metadata"]["name"]: item for item in listing.items}

    async def queue_of(self, name: str) -> Json | None:
        """A Volcano queue."""
        return await self._found(VOLCANO_QUEUE, None, name)

    async def owner_of(self, namespace: str, name: str) -> Json | None:
        """A PodCliqueSet."""
        return await self._found(POD_CLIQUE_SET, namespace, name)

    async def sets(self) -> list[str]:
        """All PodCliqueSets as `namespace/name`."""
        page = await self._client().raw("GET", POD_CLIQUE_SET.path(), accept=METADATA_ONLY)
        return [f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in page.get("items") or ()]

    def close_with(self, registry: kopf.OperatorRegistry) -> None:
        """In kopf's loop, when kopf ends."""

        @kopf.on.cleanup(registry=registry, id="close-live-reads")
        async def close(**_: Any) -> None:
            if self._api is not None:
                await self._api.close()

    async def _found(self, kind: Kind, namespace: str | None, name: str) -> Json | None:
        try:
            return await self._client().get(kind, namespace, name)
        except NotFound:
            return None

    def _client(self) -> HttpKubeApi:
        if self._api is None:  # made here, because it belongs to the loop that asks
            self._api = HttpKubeApi(self._connection, field_manager=self._program)
        return self._api
