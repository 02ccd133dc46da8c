"""A pytest plugin: does this workload fit on that cluster, by the production scheduler?

    # conftest.py
    pytest_plugins = ["grove_operator.testing"]

    # test_placement.py
    def test_web_fits_on_staging(fits):
        assert fits("web.yaml", "staging-snapshot.yaml")

Workload and cluster are a path (file or directory), a manifest, or a list of manifests or paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from grove_operator.api.kinds import Json
from grove_operator.engine.whatif.documents import parse, render
from grove_operator.engine.whatif.simulation import Simulation, simulate
from grove_operator.kube.manifest_files import read

Manifests = str | Path | Mapping[str, Any] | Iterable["str | Path | Mapping[str, Any]"]


@dataclass(frozen=True)
class Fit:
    """True when every gang is placed. Its text, which a failing `assert fits(...)` shows, says what isn't and why."""

    simulation: Simulation

    def __bool__(self) -> bool:
        return self.simulation.is_all_placed

    @property
    def nodes(self) -> dict[str, str | None]:
        """Node by pod name, `<podclique>-<index>` for pods of the workload; None for a pod without a place."""
        return {pod.name: pod.node for verdict in self.simulation.verdicts for pod in verdict.pods if verdict.is_placed}

    @property
    def why(self) -> list[str]:
        """Every reason why a gang is not placed."""
        unplaced = (v for v in self.simulation.verdicts if not v.is_placed)
        return [f"{v.namespace}/{v.gang}: {reason['message']}" for v in unplaced for reason in v.reasons]

    def to_json(self) -> Json:
        """As `grove simulate -o json` prints it."""
        return self.simulation.to_json()

    def __repr__(self) -> str:
        return "it fits" if self else "\n".join(["it does not fit:", *self.why])


class Fits(Protocol):
    """The fixture's type."""

    def __call__(self, podcliqueset: Manifests, cluster: Manifests) -> Fit: ...


def fit(podcliqueset: Manifests, cluster: Manifests) -> Fit:
    """`podcliqueset` may hold anything that `grove simulate -f` takes, `cluster` what `--cluster` takes.

    Raises InputError (a ValueError) for manifests that admission would refuse.
    """
    return Fit(simulate(_objects(podcliqueset), _objects(cluster)))


@pytest.fixture
def fits() -> Fits:
    """Call it with a workload and a cluster; assert what it returns."""
    return fit


def _objects(given: Manifests) -> list[Json]:
    return list(_flat(given))


def _flat(given: Manifests) -> Iterator[Json]:
    if isinstance(given, str | Path):
        yield from read([given])
    elif isinstance(given, Mapping):
        yield from parse(render(dict(given), ".json"), "manifest")
    else:
        for one in given:
            yield from _flat(one)
