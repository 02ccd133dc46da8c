"""NUMA zones of nodes, from NodeResourceTopology objects where the cluster serves them.

    a node's report ──> free per zone                       Node.zones
    pods that ran when it came ──> what it knew of          Node.zoned       the others count against every zone

A pod that wasn't seen Running yet may be missing in the report: then it is counted, until the next one.
"""

from __future__ import annotations

from dataclasses import replace

from grove_operator.api.kinds import Json
from grove_operator.engine.scheduling_view import Usage
from grove_operator.scheduler.model import Amounts, Node
from grove_operator.scheduler.quantity import amount


def trim_report(report: Json) -> Json:
    """A node's report with what is `available` in each zone of type Node, under `zones`."""
    meta = report["metadata"]
    zones = tuple(
        tuple(sorted((r["name"], amount(r["name"], r["available"])) for r in zone.get("resources") or ()))
        for zone in sorted(report.get("zones") or (), key=lambda z: str(z["name"]))
        if zone.get("type") == "Node"
    )
    return {"metadata": {"name": meta["name"], "resourceVersion": meta["resourceVersion"]}, "zones": zones}


class Zones:
    """The last report of each node."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[tuple[Amounts, ...], Amounts]] = {}

    def report(self, old: Json | None, new: Json | None, usage: Usage) -> str:
        """Follow one event; the node it is about."""
        name: str = (new or old or {})["metadata"]["name"]
        if new is None:
            self._last.pop(name, None)
        else:
            self._last[name] = (new["zones"], usage.running_on(name))
        return name

    def on(self, node: Node) -> Node:
        """The node with its zones."""
        if node.name not in self._last:
            return node
        zones, zoned = self._last[node.name]
        return replace(node, zones=zones, zoned=zoned)
