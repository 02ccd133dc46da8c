"""The stack that made the platform, as a workloads stack sees it."""

from __future__ import annotations

from typing import Any

import pulumi

from grove_components.checks import InvalidInputError
from grove_components.config import StackConfig
from grove_components.stack_checks import workload_faults


class Platform:
    """Outputs of `grove:platformStack`. Workloads hang on `checked`: none is made that the platform can't place.

    A platform that was never brought up has no outputs: the engine then says so, naming the stack.
    """

    def __init__(self, config: StackConfig) -> None:
        self._config = config
        self._reference = pulumi.StackReference(str(config.platform_stack))
        self._topologies = self._reference.require_output("topologies")

    def checked(self, namespace: str) -> pulumi.Output[str]:
        """`namespace` again, after the stack's workloads were judged by the platform's topologies.

        Fails the program with InvalidInputError when one of them names a level that no topology has.
        """

        def judge(topologies: Any) -> str:
            levels = {
                name: [(level["domain"], level["key"]) for level in levels] for name, levels in topologies.items()
            }
            if faults := workload_faults(self._config, levels):
                raise InvalidInputError(f"{self._config.stack_file} on {self._config.platform_stack}", faults)
            return namespace

        return self._topologies.apply(judge)
