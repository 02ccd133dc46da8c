"""`python -m standin_provider [--port 0] [--journal DIR] [--until-stdin-closes]`: serve until told to stop.

The first line on stdout is the port, as with every Pulumi plugin. SIGTERM and SIGINT end it in an orderly way; end of
stdin (with the flag) means that whoever started it died.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from concurrent import futures
from pathlib import Path

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from standin_provider import NOTICE, VERSION
from standin_provider.provider import StandinProvider

_THREADS = 128  # a resource that is waited for holds one


def serve(port: int = 0, journal: Path | None = None) -> tuple[grpc.Server, int, StandinProvider]:
    """A running server on loopback and its port. Raises RuntimeError if the port is taken."""
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="standin"),
        options=[
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ],
    )
    provider = StandinProvider(journal)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, bound, provider


def main() -> int:
    parser = argparse.ArgumentParser(prog="standin_provider", description=f"{NOTICE} ({VERSION})")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--journal", type=Path, help="folder that remembers unfinished creates between runs")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when stdin ends")
    options = parser.parse_args()
    stop, orderly = threading.Event(), threading.Event()

    def on_signal(*_: object) -> None:
        orderly.set()
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN if options.until_stdin_closes else on_signal)
    print(f"{NOTICE} ({VERSION})", file=sys.stderr, flush=True)
    try:
        server, port, provider = serve(options.port, options.journal)
    except RuntimeError as error:
        print(f"standin_provider: port {options.port} can't be used: {error}", file=sys.stderr)
        return 1
    print(port, flush=True)
    if options.until_stdin_closes:
        threading.Thread(target=_stop_at_end_of_stdin, args=(stop,), daemon=True).start()
    stop.wait()
    server.stop(grace=2).wait()
    if orderly.is_set():
        provider.journal.close()
    provider.close()
    return 0


def _stop_at_end_of_stdin(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
