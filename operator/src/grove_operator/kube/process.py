"""What the operator's and the scheduler's processes share: command line, configuration, signals, exit codes.

    grove-operator --config FILE [--kubeconfig FILE]      grove-operator --version

Exit codes: 0 ended as told, 1 wrong command line, 2 wrong configuration, 4 could not start (no connection, a port
taken), 6 failed while running (a task or thread died, the Lease was lost): the Deployment starts it again.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from grove_operator import __version__
from grove_operator.api.config import ConfigError, OperatorConfiguration, load_config
from grove_operator.api.duration import duration_s
from grove_operator.kube.client import HttpKubeApi
from grove_operator.kube.clock import RealClock
from grove_operator.kube.connection import Connection, ConnectionConfigError, connect, own_namespace
from grove_operator.kube.health import Heartbeat, ListenError
from grove_operator.kube.lease import LeadershipLost, LeaseElection, LeaseTiming
from grove_operator.kube.logs import configure_logging
from grove_operator.kube.request_log import RequestLog
from grove_operator.kube.supervisor import Died, Stopped, Supervisor

log = logging.getLogger(__name__)

EXIT_OK, EXIT_USAGE, EXIT_CONFIG, EXIT_START, EXIT_RUNTIME, EXIT_NVLINK = 0, 1, 2, 4, 6, 7
RELEASE_TIMEOUT_S = 2.0


class StartError(Exception):
    """The process can't begin its work; `code` is its exit code."""

    def __init__(self, message: str, code: int = EXIT_START) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Process:
    """What `work` gets: the configuration, one API client and the supervisor of the main loop."""

    config: OperatorConfiguration
    connection: Connection
    api: HttpKubeApi
    clock: RealClock
    supervisor: Supervisor
    heartbeat: Heartbeat
    request_log: RequestLog
    namespace: str
    identity: str

    def election(self, lease_name: str) -> LeaseElection:
        """A candidate for the Lease, with the configuration's durations. Raises StartError when they make no sense."""
        settings = self.config.leader_election
        try:
            timing = LeaseTiming(
                duration_s(settings.lease_duration),
                duration_s(settings.renew_deadline),
                duration_s(settings.retry_period),
            )
        except ValueError as error:
            raise StartError(str(error)) from error
        namespace = settings.resource_namespace or self.namespace
        return LeaseElection(self.api, self.clock, namespace, lease_name, self.identity, timing)


Work = Callable[[Process], Awaitable[None]]


def run(program: str, work: Work, argv: Sequence[str] | None = None) -> int:
    """Parse, load, run `work` until SIGTERM or SIGINT; the exit code."""
    options = _parse(program, argv)
    if options.version:
        print(f"{program} {version_text()}")
        return EXIT_OK
    try:
        config = load_config(Path(options.config).read_text())
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        print(f"{program}: configuration {options.config}: {error}", file=sys.stderr)
        return EXIT_CONFIG
    configure_logging(config.log_level, config.log_format)
    try:
        connection = connect(options.kubeconfig)
    except ConnectionConfigError as error:
        log.error("%s", error)
        return EXIT_START
    return asyncio.run(_run(program, work, config, connection))


def end(code: int) -> NoReturn:
    """End the process now. Threads that hang in a dead connection must not keep it alive."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _run(program: str, work: Work, config: OperatorConfiguration, connection: Connection) -> int:
    supervisor = Supervisor()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, _on_signal, supervisor, signum)
    request_log = RequestLog()
    try:
        api = HttpKubeApi(connection, field_manager=program, log=request_log)
    except ConnectionConfigError as error:
        log.error("%s", error)
        return EXIT_START
    process = Process(
        config=config,
        connection=connection,
        api=api,
        clock=RealClock(),
        supervisor=supervisor,
        heartbeat=Heartbeat(),
        request_log=request_log,
        namespace=own_namespace(connection),
        identity=f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4()}",
    )
    supervisor.start("heartbeat", process.heartbeat.run())
    log.info("%s %s starts as %s, API server %s", program, version_text(), process.identity, connection.server)
    try:
        await work(process)
    except Stopped:
        pass
    except StartError as error:
        log.error("%s", error)
        return error.code
    except ListenError as error:
        log.error("%s", error)
        return EXIT_START
    except Died as error:
        is_expected = isinstance(error.__cause__, LeadershipLost)
        log.error("%s; the process ends", error, exc_info=None if is_expected else error)
        return EXIT_RUNTIME
    except Exception:
        log.exception("%s failed; the process ends", program)
        return EXIT_RUNTIME
    finally:
        await supervisor.close()
        await api.close()
    log.info("%s has ended", program)
    return EXIT_OK


async def lead(process: Process, election: LeaseElection | None, serve: Callable[[], Awaitable[None]]) -> None:
    """Wait for the Lease (if any), run `serve` under it, and give it back in any case."""
    supervisor = process.supervisor
    if election is None:
        await serve()
        return
    try:
        await supervisor.during(election.acquire())
        supervisor.start("leader election", election.hold())
        await serve()
    finally:
        await supervisor.close()  # nothing writes any more when the Lease goes
        with suppress(TimeoutError):
            await asyncio.wait_for(election.release(), RELEASE_TIMEOUT_S)


def _on_signal(supervisor: Supervisor, signum: signal.Signals) -> None:
    log.info("received %s, stopping", signal.Signals(signum).name)
    supervisor.stop()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: {message}\n")


def _parse(program: str, argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog=program)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", metavar="FILE", help="OperatorConfiguration file (YAML)")
    what.add_argument("--version", "-v", action="store_true", help="print the version and end")
    parser.add_argument("--kubeconfig", metavar="FILE", help="instead of $KUBECONFIG or the pod's service account")
    return parser.parse_args(argv)


def version_text() -> str:
    """The package's version."""
    return __version__
