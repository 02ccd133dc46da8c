"""Waits until every `--podcliques=NAME:COUNT` has COUNT Ready pods in this pod's gang, then exits with 0.

Exit code 1: wrong arguments, or something the pod should have been given is missing. There is no time limit. An API
server that does not answer is waited for.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType

from grove_operator.initc.parents import ArgumentError, Parents, parents_of
from grove_operator.initc.podwatch import GangPods, SetupError, WatchError

RETRY_MIN_S, RETRY_MAX_S = 0.5, 10.0


def main(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    try:
        needed = parents_of(argv)
        if not needed:
            say("there is nothing to wait for")
            return 0
        pods = GangPods.of(environment)
    except (ArgumentError, SetupError) as error:
        say(str(error))
        return 1
    wait(pods, Parents(needed))
    say("all predecessors are ready")
    return 0


def wait(pods: GangPods, parents: Parents) -> None:
    """Returns when no parent misses a Ready pod."""
    retry_s, said = RETRY_MIN_S, ""
    while True:
        try:
            items, position = pods.list()
            parents.replace(items)
            retry_s = RETRY_MIN_S
            said = tell(parents, pods.gang, said)
            if not parents.missing():
                return
            for event, pod in pods.watch(position):
                parents.observe(pod, is_gone=event == "DELETED")
                said = tell(parents, pods.gang, said)
                if not parents.missing():
                    return
        except WatchError as error:
            say(f"{error}; again in {retry_s:g} s")
            time.sleep(retry_s)
            retry_s = min(2 * retry_s, RETRY_MAX_S)


def tell(parents: Parents, gang: str, said: str) -> str:
    """Says what is missing if that is news; returns what was said last."""
    missing = [f"{name} {ready}/{needed}" for name, (ready, needed) in sorted(parents.missing().items())]
    text = f"podgang {gang}: waiting for ready pods of {', '.join(missing)}" if missing else said
    if text != said:
        say(text)
    return text


def say(text: str) -> None:
    print(f"grove-initc: {text}", flush=True)


def _stop(number: int, _: FrameType | None) -> None:
    say(f"stopped by signal {number}")
    os._exit(1)


if __name__ == "__main__":
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, _stop)
    sys.exit(main(sys.argv[1:], os.environ))
