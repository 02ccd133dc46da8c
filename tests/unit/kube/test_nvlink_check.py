"""NVLink domains switched on where the cluster does not know them: the operator says so and ends with code 7."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from grove_operator.api.config import parse_config
from grove_operator.api.kinds import COMPUTE_DOMAIN
from grove_operator.kube.operator_main import check_nvlink
from grove_operator.kube.process import StartError
from grove_operator.sim.apiserver import SimApi
from grove_operator.sim.clock import SimClock


def started(*, enabled: bool, served: bool) -> Any:
    api = SimApi(SimClock())
    api.serve(COMPUTE_DOMAIN, is_served=served)
    return SimpleNamespace(api=api, config=parse_config({"network": {"autoMNNVLEnabled": enabled}}))


async def test_the_operator_does_not_start_with_domains_that_the_cluster_cannot_hold() -> None:
    with pytest.raises(StartError, match="does not serve computedomains") as refused:
        await check_nvlink(started(enabled=True, served=False))
    assert refused.value.code == 7


async def test_it_starts_where_they_are_served_or_not_wanted() -> None:
    await check_nvlink(started(enabled=True, served=True))
    await check_nvlink(started(enabled=False, served=False))
