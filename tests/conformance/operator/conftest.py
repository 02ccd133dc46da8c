"""One cluster of killable processes for all tests of this folder that need one, gone when the folder is left."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from tests.support.killable import QUICK_LEASE, Killable, killable_cluster

CLUSTER = pytest.StashKey[Killable]()


@pytest.fixture(scope="module")
def killable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Killable:
    folder = request.node.getparent(pytest.Dir)
    if CLUSTER not in folder.stash:
        stack = ExitStack()
        stack.callback(lambda: folder.stash.__delitem__(CLUSTER))  # the folder may be entered again
        folder.addfinalizer(stack.close)
        folder.stash[CLUSTER] = stack.enter_context(killable_cluster(tmp_path_factory.mktemp("killable"), QUICK_LEASE))
    return folder.stash[CLUSTER]


@pytest.fixture
def running(killable: Killable) -> Killable:
    """With one operator and one scheduler, whatever the test before did to them."""
    asyncio.run(killable.ensure_running())
    return killable
