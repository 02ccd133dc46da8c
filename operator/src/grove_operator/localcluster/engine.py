"""What `python3` is inside containers of Dynamo's images on the local cluster. Standard library only.

    python3 -m dynamo.vllm|sglang|trtllm ...    one node: Dynamo's mocker for the same model, mode and role
                                                several nodes, rank 0: waits for all ranks, then the mocker
                                                several nodes, others: joins rank 0 and stays
    python3 -m dynamo.planner                   Dynamo's planner, which finds its libraries where they are installed
    python3 anything else                       Dynamo's own Python, with the same arguments

It replaces itself by what it starts, so that signals and exit codes are the program's own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

ENGINES = ("dynamo.vllm", "dynamo.sglang", "dynamo.trtllm", "dynamo.mocker")
MODE = "GROVE_ENGINE_MODE"
"""Set by the fleet file where a container's command doesn't tell whether it prefills or decodes."""
MODES = ("agg", "prefill", "decode")
MODEL_FLAGS = ("--model", "--model-path")
NAME_FLAGS = ("--served-model-name", "--model-name")
RETRY_S = 0.5
JOIN_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Engine:
    """What an engine's command line says, as far as a mocker can do it."""

    model: str
    mode: str
    nodes: int = 1
    rank: int = 0
    leader: str = ""
    port: int = 29500


def read(arguments: Sequence[str], mode: str = "") -> Engine:
    """The engine behind `-m dynamo.X`; `mode` counts where the arguments name none."""
    if "--is-prefill-worker" in arguments:
        mode = "prefill"
    elif "--is-decode-worker" in arguments:
        mode = "decode"
    said = value_of(arguments, "--disaggregation-mode")
    mode = {"aggregated": "agg", "prefill_and_decode": "agg"}.get(said, said) or mode
    address = value_of(arguments, "--master-addr", "--data-parallel-address")
    port = value_of(arguments, "--master-port", "--data-parallel-rpc-port")
    if joined := value_of(arguments, "--dist-init-addr"):
        address, _, port = joined.rpartition(":")
    return Engine(
        value_of(arguments, *NAME_FLAGS) or value_of(arguments, *MODEL_FLAGS) or "model",
        mode if mode in MODES else "agg",
        int(value_of(arguments, "--nnodes") or 1),
        int(value_of(arguments, "--node-rank") or 0),
        address,
        int(port or 29500),
    )


def value_of(arguments: Sequence[str], *flags: str) -> str:
    """What stands behind the first of the flags, as `--flag value` or `--flag=value`; "" when none is there."""
    for position, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name in flags:
            return value if equals else (arguments[position + 1] if position + 1 < len(arguments) else "")
    return ""


def mocker(engine: Engine, model_dir: Path) -> list[str]:
    """Arguments of the mocker that stands for the engine."""
    return [
        *("-m", "dynamo.mocker", "--model-path", str(model_dir), "--model-name", engine.model),
        *("--block-size", "16", "--max-model-len", "4096", "--num-gpu-blocks-override", "2048"),
        *("--disaggregation-mode", engine.mode),
    ]


def main(argv: Sequence[str]) -> NoReturn:
    """Replaces this process, except for a leader of several nodes, which watches over its mocker."""
    python = sys.executable
    if list(argv[:2]) == ["-m", "dynamo.planner"]:
        libraries = str(Path(python).parents[1] / "planner")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [libraries, os.environ.get("PYTHONPATH")]))
    if len(argv) < 2 or argv[0] != "-m" or argv[1] not in ENGINES[:-1]:
        os.execv(python, [python, *argv])  # noqa: S606
    engine = read(argv[2:], os.environ.get(MODE, ""))
    command = [python, *mocker(engine, Path(python).parents[1] / "image" / "model")]
    if engine.nodes > 1 and engine.rank > 0:
        follow(engine)
    if engine.nodes > 1:
        sys.exit(lead(engine, command))
    print(f"{argv[1]} is played by dynamo.mocker: {engine.model}, {engine.mode}", flush=True)
    os.execv(python, command)  # noqa: S606


def lead(engine: Engine, command: list[str]) -> int:
    """Rank 0: runs the mocker once every other rank has joined; a rank that leaves may come back."""
    joined: set[int] = set()
    news = threading.Condition()
    address = os.environ.get("DYN_TCP_RPC_HOST", "127.0.0.1")
    server = socket.create_server((address, engine.port), reuse_port=True)
    threading.Thread(target=_welcome, args=(server, joined, news), daemon=True).start()
    print(f"rank 0 of {engine.nodes} waits for the others on {address}:{engine.port}", flush=True)
    with news:
        news.wait_for(lambda: len(joined) == engine.nodes - 1)
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, _: child.send_signal(signum))
    return child.wait()


def _welcome(server: socket.socket, joined: set[int], news: threading.Condition) -> None:
    while True:
        connection, _ = server.accept()
        threading.Thread(target=_hold, args=(connection, joined, news), daemon=True).start()


def _hold(connection: socket.socket, joined: set[int], news: threading.Condition) -> None:
    with connection:
        text = connection.makefile().readline().strip()
        if not text.isdigit():
            return
        rank = int(text)
        connection.sendall(b"welcome\n")
        with news:
            joined.add(rank)
            news.notify_all()
        print(f"rank {rank} joined", flush=True)
        with contextlib.suppress(OSError):  # a killed rank may reset its connection
            while connection.recv(64):
                pass
        with news:
            joined.discard(rank)
        print(f"rank {rank} left", flush=True)


def follow(engine: Engine) -> NoReturn:
    """Another rank: stays connected to rank 0, and comes back to it when it went away."""
    while True:
        try:
            with socket.create_connection((engine.leader, engine.port), JOIN_TIMEOUT_S) as connection:
                connection.sendall(f"{engine.rank}\n".encode())
                connection.settimeout(None)
                while line := connection.recv(64):
                    print(
                        f"rank {engine.rank} of {engine.nodes}: {line.decode().strip()} by {engine.leader}", flush=True
                    )
        except OSError as error:
            print(f"rank {engine.rank}: {engine.leader}:{engine.port}: {error}", flush=True)
        time.sleep(RETRY_S)


if __name__ == "__main__":
    main(sys.argv[1:])
