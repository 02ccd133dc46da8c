"""Beside NVIDIA's own Dynamo operator ours leaves graphs alone, and says so."""

from __future__ import annotations

import logging

import pytest

from grove_operator.api.kinds import CRD, DYNAMO_GRAPH_DEPLOYMENT, POD_CLIQUE_SET, Json
from grove_operator.engine.operator import Operator
from grove_operator.kube.neighbour import LOOK_S, THEIRS, DynamoSwitch
from grove_operator.sim.apiserver import SimApi
from grove_operator.sim.clock import SimClock
from tests.sim.world import load, world

NVIDIAS: Json = {"metadata": {"name": THEIRS}, "spec": {}}


async def test_it_works_until_nvidias_crd_is_there_and_again_when_it_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = SimClock()
    api = SimApi(clock)
    switch = DynamoSwitch(api, clock, "auto")
    assert not switch.is_on
    assert await switch.look()
    assert switch.is_on
    await api.create(CRD, None, NVIDIAS)
    assert await switch.look()
    assert not switch.is_on
    assert not await switch.look()
    switch.say()
    assert "NVIDIA's operator owns nvidia.com" in caplog.text
    await api.delete(CRD, None, THEIRS)
    assert await switch.look()
    assert switch.is_on


@pytest.mark.parametrize(("mode", "is_on"), [("always", True), ("never", False)])
async def test_the_configuration_has_the_last_word(mode: str, is_on: bool) -> None:
    clock = SimClock()
    api = SimApi(clock)
    await api.create(CRD, None, NVIDIAS)
    switch = DynamoSwitch(api, clock, mode)  # type: ignore[arg-type]
    assert not await switch.look()
    assert switch.is_on is is_on


async def test_a_graph_is_reconciled_once_the_switch_goes_on() -> None:
    async with world() as w:
        await w.stop_operator()
        is_on = False
        w.operator = Operator(w.api.as_user("operator"), w.clock, has_graphs=lambda: is_on)
        w.start_given_operator()
        await w.apply(load("quickstart.yaml"))
        await w.rest(2 * LOOK_S)
        assert w.names(POD_CLIQUE_SET) == []
        assert "status" not in (await w.api.get(DYNAMO_GRAPH_DEPLOYMENT, "vllm-v1-disagg-router", "dynamo-grove"))
        is_on = True
        w.operator.look_at_graphs_again()
        await w.rest()
        assert w.names(POD_CLIQUE_SET) == ["dynamo-grove"]
