"""What happened in a rehearsal, line by line; the same seed gives the same bytes.

{"t": 12.4, "who": "operator", "did": "delete", "what": "Pod ml/web-0-a-x7k2p"}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from grove_operator.api.kinds import Json


class Trace:
    """`text()` is the whole of it as JSON lines, `digest()` tells two apart."""

    def __init__(self) -> None:
        self.entries: list[Json] = []

    def note(self, t: float, who: str, did: str, what: str) -> None:
        self.entries.append({"t": round(t, 3), "who": who, "did": did, "what": what})

    def change(self, t: float, who: str, old: Json | None, new: Json | None) -> None:
        obj = new or old or {}
        if obj["kind"] == "Event":
            return
        meta = obj["metadata"]
        where = f"{meta['namespace']}/" if meta.get("namespace") else ""
        self.note(t, who, _verb(old, new), f"{obj['kind']} {where}{meta['name']}{_about(old, new)}")

    def text(self) -> str:
        return "".join(json.dumps(entry, separators=(", ", ": ")) + "\n" for entry in self.entries)

    def digest(self) -> str:
        return hashlib.sha256(self.text().encode()).hexdigest()[:16]


def _verb(old: Json | None, new: Json | None) -> str:
    if old is None:
        return "create"
    if new is None:
        return "remove"
    if "deletionTimestamp" in new["metadata"] and "deletionTimestamp" not in old["metadata"]:
        return "delete"
    return "status" if old.get("status") != new.get("status") else "change"


def _about(old: Json | None, new: Json | None) -> str:
    """The node of a binding, the new size of a scaling, counters that moved, the condition that turned."""
    if old is None or new is None:
        return ""
    said = []
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if after.get("nodeName") != before.get("nodeName"):
        said.append(f"-> {after.get('nodeName')}")
    if after.get("replicas") != before.get("replicas"):
        said.append(f"replicas {before.get('replicas')} -> {after.get('replicas')}")
    counted, counts = old.get("status") or {}, new.get("status") or {}
    for name in ("readyReplicas", "availableReplicas", "updatedReplicas"):
        if name in counts and counts[name] != counted.get(name, 0):
            said.append(f"{name} {counts[name]}")
    was = {c["type"]: c["status"] for c in (old.get("status") or {}).get("conditions") or ()}
    for condition in (new.get("status") or {}).get("conditions") or ():
        if was.get(condition["type"]) != condition["status"]:
            said.append(f"{condition['type']}={condition['status']}")
    return f" ({', '.join(said)})" if said else ""


def render(entries: Iterable[Json], *, writes: bool = True) -> str:
    """A timeline to read: time, who, what; what users and fate did stands out on the left.

    `writes` False leaves out what operator, scheduler and nodes did.
    """
    lines = []
    for entry in entries:
        is_write = entry["who"] in ("operator", "scheduler", "nodes")
        if is_write and not writes:
            continue
        mark = "   " if is_write else ">> "
        lines.append(f"{entry['t']:9.3f} s {mark}{entry['who']:<10}{entry['did']:<14} {entry['what']}")
    return "\n".join(lines)
