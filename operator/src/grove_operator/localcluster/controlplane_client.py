"""The few questions that the local cluster asks its API server itself, without any client library."""

from __future__ import annotations

import http.client
import json
import ssl
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

_PAGE = 500


def ready_nodes(server: str, ca: Path, token: str) -> int:
    """How many nodes have the condition Ready=True; 0 if the server doesn't answer."""
    count, more = 0, ""
    try:
        while True:
            page = _get(server, ca, token, f"/api/v1/nodes?limit={_PAGE}&continue={quote(more)}")
            count += sum(_is_ready(node) for node in page.get("items", ()))
            more = page.get("metadata", {}).get("continue", "")
            if not more:
                return count
    except (OSError, http.client.HTTPException, ValueError):
        return 0


def _is_ready(node: dict[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions", ())
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _get(server: str, ca: Path, token: str, path: str) -> dict[str, Any]:
    address = urlsplit(server)
    context = ssl.create_default_context(cafile=str(ca))
    connection = http.client.HTTPSConnection(address.hostname or "", address.port, timeout=10, context=context)
    with closing(connection):
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}", "Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
    if answer.status != http.client.OK:
        raise ValueError(f"GET {path}: {answer.status}")
    decoded: dict[str, Any] = json.loads(body)
    return decoded
