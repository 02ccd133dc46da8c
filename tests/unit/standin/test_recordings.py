"""The stand-in answers what needs no cluster as the official provider was recorded to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.standin.attached import Connection, attached
from tests.unit.standin.fake_apiserver import fake_apiserver, kubeconfig
from tests.unit.standin.recordings import STEPS, comparable, exchanges

WITHOUT_A_CLUSTER = ("CheckConfig", "DiffConfig", "Configure", "Check", "Diff")


@pytest.fixture(scope="module")
def provider() -> Iterator[Connection]:
    with fake_apiserver() as fake, attached() as standin:
        yield standin.configured(kubeconfig(fake.url))


def test_there_are_recordings_of_every_step() -> None:
    assert len(STEPS) == 9


@pytest.mark.parametrize("step", STEPS)
def test_answers_equal_the_recorded_ones(provider: Connection, step: str) -> None:
    for exchange in exchanges(step):
        if exchange.method not in WITHOUT_A_CLUSTER or exchange.response is None:
            continue
        if exchange.method == "Configure":
            continue  # the recorded one took KUBECONFIG from its environment; see test_provider
        answer = provider.call(exchange.method, exchange.request)
        assert comparable(answer) == comparable(exchange.response), f"{exchange.method} {exchange.name}"
