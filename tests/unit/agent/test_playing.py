"""Small parts of the agent: addresses, the queue, log tails, probe timing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from grove_operator.localcluster.agent.addresses import Addresses
from grove_operator.localcluster.agent.endpoint import tail_offset
from grove_operator.localcluster.agent.probes import Timing, port_of
from grove_operator.localcluster.agent.queue import KeyQueue


def test_every_pod_has_its_own_loopback_address() -> None:
    addresses = Addresses("a cluster")
    given = {addresses.claim(str(uid)) for uid in range(2000)}
    assert len(given) == 2000
    assert all(address.startswith("127.") and not address.startswith("127.0.") for address in given)


def test_a_pod_keeps_its_address_and_a_restarted_agent_honours_it() -> None:
    addresses = Addresses("a cluster")
    assert addresses.claim("u") == addresses.claim("u")
    assert addresses.claim("v", "127.9.9.9") == "127.9.9.9"
    assert addresses.claim("w", "127.9.9.9") != "127.9.9.9"
    addresses.release("v")
    assert addresses.claim("x", "127.9.9.9") == "127.9.9.9"


async def test_a_key_added_while_it_is_held_comes_once_more_when_done() -> None:
    queue: KeyQueue[str] = KeyQueue()
    queue.add("k")
    queue.add("k")
    assert await queue.get() == "k"
    queue.add("k")
    queue.add("k")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 0.01)
    queue.done("k")
    assert await queue.get() == "k"


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        ("a\nb\nc\n", 1, "c\n"),
        ("a\nb\nc\n", 2, "b\nc\n"),
        ("a\nb\nc", 1, "c"),
        ("a\nb\nc\n", 9, "a\nb\nc\n"),
        ("a\nb\n", 0, ""),
        ("", 3, ""),
        ("x" * 70_000 + "\n" + "y" * 70_000 + "\n", 1, "y" * 70_000 + "\n"),
    ],
)
def test_the_tail_of_a_log_begins_at_a_line(tmp_path: Path, content: str, lines: int, expected: str) -> None:
    log = tmp_path / "log"
    log.write_text(content)
    assert log.read_bytes()[tail_offset(log, lines) :].decode() == expected


def test_probes_default_as_in_kubernetes_and_know_named_ports() -> None:
    assert Timing.of({}) == Timing(0, 10, 1, 1, 3)
    container = {"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}
    assert port_of(container, "http") == 8080
    assert port_of(container, "9090") == 9090
    with pytest.raises(ValueError, match="no port named grpc"):
        port_of(container, "grpc")
