"""Puts our CRDs on a cluster: server-side apply with force, as they are too large for kubectl's annotation.

Never deletes one: with a CRD go all objects of its kind. What the operator decides about versions is left as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Literal

from grove_operator.api.crds import as_served
from grove_operator.api.kinds import CRD, Json
from grove_operator.engine.ports import NotFound
from grove_operator.kube.client import HttpKubeApi

FIELD_MANAGER = "grove-crd-installer"
APPLY_PATCH = "application/apply-patch+yaml"
Change = Literal["created", "updated", "unchanged"]


async def install(api: HttpKubeApi, crds: Iterable[Json]) -> AsyncIterator[tuple[str, Change]]:
    """Each CRD's name and what became of it, in the order given. Raises ApiError at the first that is refused."""
    for crd in crds:
        name = crd["metadata"]["name"]
        live = await _live(api, name)
        applied = await api.raw(
            "PATCH",
            CRD.path(None, name),
            body=as_served(crd, live) if live else crd,
            params={"fieldManager": FIELD_MANAGER, "force": "true"},
            content_type=APPLY_PATCH,
        )
        after = applied["metadata"]["resourceVersion"]
        before = live["metadata"]["resourceVersion"] if live else ""
        yield name, "created" if live is None else "unchanged" if after == before else "updated"


async def _live(api: HttpKubeApi, name: str) -> Json | None:
    try:
        return await api.get(CRD, None, name)
    except NotFound:
        return None
