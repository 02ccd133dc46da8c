"""The cluster as the search sees it: the node table, and one search per topology, made when first asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from grove_operator.scheduler.capacity import Capacity
from grove_operator.scheduler.model import Gang, Node, Policy, Snapshot, Topology
from grove_operator.scheduler.nodes import NodeTable
from grove_operator.scheduler.scopes import ScopeError
from grove_operator.scheduler.search import Search
from grove_operator.scheduler.topology import HOSTNAME, TopologyIndex, path

DEFAULT = "default"


class Cluster:
    def __init__(self, snapshot: Snapshot, policy: Policy) -> None:
        self.policy = policy
        self._searches: dict[tuple[str, tuple[str, ...], str], Search] = {}
        self._plain: dict[frozenset[str], tuple[str, ...]] = {}
        self.set_topologies(snapshot.topologies)
        self.replace(snapshot.nodes)

    def set_topologies(self, topologies: Iterable[Topology]) -> None:
        self.topologies = {t.name: t for t in sorted(topologies, key=lambda t: t.name)}

    def replace(self, nodes: Iterable[Node]) -> None:
        """Other nodes than before: everything is counted anew."""
        self.table = NodeTable(nodes)
        self._searches.clear()
        self._plain.clear()

    def update(self, node: Node) -> bool:
        """A known node as it is now; True when pods may fit there that didn't before."""
        before = self.table.nodes[self.table.row[node.name]]
        is_better = self.table.update(node)
        if before.labels != node.labels:
            self._plain.clear()
            for asked, search in list(self._searches.items()):
                if path(before, search.index.keys) != path(node, search.index.keys):
                    del self._searches[asked]
            return True
        return is_better

    def search(self, gang: Gang, base: Gang | None) -> Search:
        """The search along the gang's topology. Raises ScopeError when there is no such topology."""
        asked = self._topology(gang, base)
        found = self._searches.get(asked)
        if found is None:
            index = TopologyIndex(self.table.nodes, *asked)
            found = self._searches[asked] = Search(Capacity(self.table, index), self.policy)
        return found

    def _topology(self, gang: Gang, base: Gang | None) -> tuple[str, tuple[str, ...], str]:
        """The annotated topology, else `default`, else the only one, else the label keys that the gang itself names."""
        name = gang.topology or (base.topology if base else None)
        if name and name not in self.topologies:
            known = ", ".join(self.topologies) or "none"
            raise ScopeError(
                "UnknownTopology",
                f"podgang {gang.name}",
                f"podgang {gang.name}: there is no ClusterTopologyBinding {name} (there are: {known}); create it",
            )
        chosen: Topology | None = self.topologies.get(name or DEFAULT)
        if chosen is None and len(self.topologies) == 1:
            chosen = next(iter(self.topologies.values()))
        if chosen is not None:
            return chosen.name, chosen.keys, chosen.zone
        return "(node labels)", self._plain_keys([gang, base] if base else [gang]), ""

    def _plain_keys(self, gangs: Sequence[Gang]) -> tuple[str, ...]:
        """Keys named by the gangs that some node carries, those with fewer values first: they are the broader ones."""
        constraints = [
            constraint
            for gang in gangs
            for constraint in (
                gang.constraint,
                *(c.constraint for c in gang.groups),
                *(g.constraint for g in gang.podgroups),
            )
        ]
        keys = frozenset(k for c in constraints for k in (c.required, c.preferred) if k and k != HOSTNAME)
        found = self._plain.get(keys)
        if found is None:
            values = {k: {n.labels[k] for n in self.table.nodes if k in n.labels} for k in keys}
            found = tuple(sorted((k for k in keys if values[k]), key=lambda k: (len(values[k]), k)))
            self._plain[keys] = found
        return found
