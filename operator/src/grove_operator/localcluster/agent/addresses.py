"""Hands out pod addresses in 127.0.0.0/8, one per pod, so that several pods' processes can share a port on one host."""

from __future__ import annotations

import ipaddress
import zlib

NETWORK = ipaddress.ip_network("127.0.0.0/8")
PODS_PER_CLUSTER = 2**18


class Addresses:
    """A cluster's range starts at a place derived from `seed`, so that two clusters on one host rarely meet."""

    def __init__(self, seed: str) -> None:
        slots = 2**24 // PODS_PER_CLUSTER
        slot = 1 + zlib.crc32(seed.encode()) % (slots - 1)
        self._first = int(NETWORK.network_address) + slot * PODS_PER_CLUSTER
        self._next = 0
        self._by_uid: dict[str, str] = {}
        self._taken: set[str] = set()

    def claim(self, uid: str, wanted: str = "") -> str:
        """The pod's address: the one it has, the one it had before (`wanted`), or the next free one."""
        if uid in self._by_uid:
            return self._by_uid[uid]
        address = wanted if wanted.startswith("127.") and wanted not in self._taken else self._fresh()
        self._by_uid[uid] = address
        self._taken.add(address)
        return address

    def _fresh(self) -> str:
        for _ in range(PODS_PER_CLUSTER):
            self._next = (self._next + 1) % PODS_PER_CLUSTER
            address = ipaddress.ip_address(self._first + self._next)
            if str(address) not in self._taken and int(address) & 0xFF not in (0, 0xFF):
                return str(address)
        raise RuntimeError(f"all {PODS_PER_CLUSTER} pod addresses are taken; delete some pods")

    def release(self, uid: str) -> None:
        self._taken.discard(self._by_uid.pop(uid, ""))
