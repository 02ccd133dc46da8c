"""Ports for what a test starts: never those of another test process of the same run.

To look whether a port is free is not enough. Operators share theirs (SO_REUSEPORT), listen on addresses of their own
(127.0.4.1), and do so seconds after the port was chosen: two test processes would find the same one free.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
from contextlib import ExitStack

EACH = 1250
FIRST, PROCESSES = 10_000, 4
"""Below the ports that local clusters choose from for themselves (15000 and up), and those of outgoing connections."""
_NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
_OWN = range(FIRST + EACH * _NUMBER, FIRST + EACH * (_NUMBER + 1))
_turns = itertools.cycle(random.sample(_OWN, EACH))


def free_ports(count: int) -> list[int]:
    """So many ports that nobody listens on at any address; one comes again after all others."""
    found: list[int] = []
    with ExitStack() as held:
        for port in itertools.islice(_turns, EACH):
            claim = held.enter_context(socket.socket())
            try:
                claim.bind(("0.0.0.0", port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise AssertionError(f"no {count} free ports between {_OWN.start} and {_OWN.stop}")
