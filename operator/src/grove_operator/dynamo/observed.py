"""What a graph's reconciliation looks at: one plain input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from grove_operator.api.kinds import Json
from grove_operator.dynamo.around import Around
from grove_operator.dynamo.graph import Component, Graph
from grove_operator.dynamo.settings import DynamoSettings


@dataclass(frozen=True)
class GraphView:
    """`children`: by name, the PodCliques and scaling groups that scale a component. `members`: by component, all of
    its PodCliques. `adapters`: by name, those that the graph owns. `gangs`: its PodGangs. `troubles`: why a write
    failed.
    """

    dgd: Json
    settings: DynamoSettings = field(default_factory=DynamoSettings)
    pcs: Json | None = None
    children: Mapping[str, Json] = field(default_factory=dict)
    members: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    adapters: Mapping[str, Json] = field(default_factory=dict)
    gangs: Sequence[Json] = ()
    troubles: Sequence[str] = ()
    around: Around = field(default_factory=Around)

    @cached_property
    def graph(self) -> Graph:
        return Graph(self.dgd, self.settings, self.around)

    def child(self, component: Component) -> Json | None:
        """The live object that scales the component."""
        return self.children.get(self.graph.child_name(component))
