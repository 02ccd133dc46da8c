"""Every generated object's name, in one place (grove-behaviour 3.1). `i`, `j`, `n` are 0-based indices.

    PodCliqueSet web ── web-0-frontend                    standalone PodClique, PCS replica 0
                     ── web-0-decode                      PodCliqueScalingGroup
                     ── web-0-decode-1-leader             member PodClique of scaling-group replica 1
                     ── web-0 / web-0-decode-0            base PodGang / first scaled PodGang

Names identify, labels explain: nothing here, and nothing elsewhere, parses a name.
"""

from __future__ import annotations

import base64
import hashlib


def replica(pcs: str, i: int) -> str:
    """Base PodGang and headless Service of PodCliqueSet replica `i`."""
    return f"{pcs}-{i}"


base_pod_gang = replica
headless_service = replica


def pod_clique(pcs: str, i: int, clique: str) -> str:
    """A standalone PodClique."""
    return f"{pcs}-{i}-{clique}"


def scaling_group(pcs: str, i: int, group: str) -> str:
    return f"{pcs}-{i}-{group}"


def member_pod_clique(pcs: str, i: int, group: str, j: int, clique: str) -> str:
    """A PodClique of scaling-group replica `j`."""
    return f"{pcs}-{i}-{group}-{j}-{clique}"


def group_replica(group_fqn: str, j: int) -> str:
    """Topology group config of scaling-group replica `j` inside the base PodGang."""
    return f"{group_fqn}-{j}"


def scaled_pod_gang(pcs: str, i: int, group: str, j: int, min_available: int) -> str:
    """PodGang of an extra scaling-group replica; counted from 0, so replica `min_available` gets `-0`."""
    if j < min_available:
        raise ValueError(f"scaling group replica {j} is below minAvailable {min_available}: it is in the base PodGang")
    return f"{pcs}-{i}-{group}-{j - min_available}"


def service_account(pcs: str) -> str:
    return pcs


def role(pcs: str) -> str:
    """Role and RoleBinding of the pods that wait for their predecessors."""
    return f"grove.io:pcs:{pcs}"


def token_secret(pcs: str) -> str:
    return f"{pcs}-ic-sat"


def former_token_secret(pcs: str) -> str:
    """As early releases of Grove called it; pods that they made still mount it."""
    return f"{pcs}-initc-sa-token-secret"


def resource_claim(owner: str, entry: str, index: int | None = None) -> str:
    """A claim that `owner` (set, group or PodClique) shares by its entry: one for all, or one for each replica."""
    return f"{owner}-{'all' if index is None else index}-{entry}"


def compute_domain(pcs: str, i: int, mnnvl_group: str) -> str:
    """The NVLink domain of a group of cliques, and the claim template that it publishes."""
    return f"{pcs}-{i}-{mnnvl_group}"


def headless_address(pcs: str, i: int, namespace: str) -> str:
    return f"{pcs}-{i}.{namespace}.svc.cluster.local"


def pod_hostname(clique_fqn: str, n: int) -> str:
    return f"{clique_fqn}-{n}"


def pod(clique_fqn: str, clique_uid: str, n: int, previous_uid: str) -> str:
    """Grove's shape `<podclique>-<5 characters>`, deterministic so that a create from a stale view is harmless.

    The five characters are base32 of a hash over the PodClique's UID, the pod index and the UID of the newest
    previous pod at that index ('' for the first).
    """
    digest = hashlib.sha256(f"{clique_uid}/{n}/{previous_uid}".encode()).digest()
    return f"{clique_fqn}-{base64.b32encode(digest)[:5].decode().lower()}"
