"""What a graph finds around it, made by others: registries' secrets, SSH keys for MPI, queues. Pure.

Everything here is optional: a view that knows nothing asks for nothing and refuses nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from grove_operator.api.kinds import Json

DOCKER_CONFIG = "kubernetes.io/dockerconfigjson"
DOCKER_HUB = "docker.io"
_HUBS = ("index.docker.io", "registry-1.docker.io", DOCKER_HUB)


@dataclass(frozen=True)
class Around:
    """Of one namespace. `pull_secrets`: names of Secrets by registry host. `mpi_keys`: the operator's own Secret of SSH
    keys, to be copied; `has_mpi_keys`: whether the namespace has one already. `queues`: KAI's, None where nobody can
    tell."""

    pull_secrets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    mpi_keys: Json | None = None
    has_mpi_keys: bool = True
    queues: frozenset[str] | None = None


def registry_of(image: str) -> str:
    """Host (and port) of the registry that an image comes from: a first part with a dot or colon, else Docker's."""
    first, slash, _ = image.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return _known(first) if is_host else DOCKER_HUB


def registries_of(secret: Json) -> tuple[str, ...]:
    """Hosts that a Secret of type dockerconfigjson has a password for; none when it can't be read."""
    try:
        content = json.loads(base64.b64decode((secret.get("data") or {}).get(".dockerconfigjson") or ""))
        hosts = content.get("auths") or {}
        return tuple(sorted({_known(_host(str(address))) for address in hosts}))
    except (ValueError, AttributeError, binascii.Error):
        return ()


def pull_secrets(around: Around, images: Iterable[str]) -> list[str]:
    """Names of the Secrets that may be needed to pull these images, sorted."""
    return sorted({name for image in images for name in around.pull_secrets.get(registry_of(image), ())})


def _host(address: str) -> str:
    """`https://host:port/v1/` and `host/path` are `host:port` and `host`."""
    return address.split("://", 1)[-1].split("/", 1)[0]


def _known(host: str) -> str:
    return DOCKER_HUB if host in _HUBS else host
