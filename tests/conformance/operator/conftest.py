"""One cluster of killable processes for all tests here that need one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.killable import QUICK_LEASE, Killable, killable_cluster


@pytest.fixture(scope="session")
def killable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killable]:
    with killable_cluster(tmp_path_factory.mktemp("killable"), QUICK_LEASE) as cluster:
        yield cluster


@pytest.fixture
def running(killable: Killable) -> Killable:
    """With one operator and one scheduler, whatever the test before did to them."""
    asyncio.run(killable.ensure_running())
    return killable
