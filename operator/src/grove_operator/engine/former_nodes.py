"""Where the pods of each PodClique were bound last, by pod index: their successors go back there.

A PodClique that is made anew under its name finds the nodes of the pods it had before, also while those still run.
What a successor is told stands on the successor (`grove.io/former-node`), so that a restart forgets nothing of it; this
memory is filled again by the list of pods.
"""

from __future__ import annotations

from collections.abc import Mapping

from grove_operator.api.constants import ANNOTATION_FORMER_NODE, LABEL_POD_CLIQUE, PART_OF
from grove_operator.api.kinds import Json
from grove_operator.core.objects import is_terminating, label
from grove_operator.core.podstate import is_finished, pod_index


class FormerNodes:
    """Filled by `see` with every news of a pod; `forget` when its PodCliqueSet is gone."""

    def __init__(self) -> None:
        self._of_set: dict[tuple[str, str], dict[str, dict[int, str]]] = {}

    def of(self, namespace: str, pcs: str, clique: str) -> Mapping[int, str]:
        return self._of_set.get((namespace, pcs), {}).get(clique, {})

    def see(self, pod: Json) -> None:
        """A node that the pod ended on (evicted, refused, out of luck) is no place to go back to."""
        index, meta = pod_index(pod), pod["metadata"]
        node = pod["spec"].get("nodeName")
        known = node or (meta.get("annotations") or {}).get(ANNOTATION_FORMER_NODE)
        if index is None or not known:
            return
        cliques = self._of_set.setdefault((meta["namespace"], label(pod, PART_OF)), {})
        nodes = cliques.setdefault(label(pod, LABEL_POD_CLIQUE), {})
        if is_finished(pod):
            if nodes.get(index) == node:
                del nodes[index]
        elif (node and not is_terminating(pod)) or index not in nodes:
            nodes[index] = known

    def forget(self, namespace: str, pcs: str) -> None:
        self._of_set.pop((namespace, pcs), None)
