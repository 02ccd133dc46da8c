"""Trees on a terminal, or whole lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from grove_operator.views.placement import TreeNode

PIPE_WIDTH = 2000
COLOURS = {"good": "green", "waiting": "yellow", "bad": "red", "plain": ""}


def draw(trees: Iterable[TreeNode]) -> None:
    """One after the other to standard output; lines are wrapped only on a terminal."""
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    for tree in trees:
        console.print(_drawn(tree))


def _drawn(node: TreeNode) -> Tree:
    line = Text.assemble((node.kind, "dim"))
    if node.name:
        line.append(" ").append(node.name, style="bold")
    line.append("  ").append("  ".join(node.facts), style=COLOURS[node.health])
    tree = Tree(line)
    for child in node.children:
        tree.add(_drawn(child))
    return tree
