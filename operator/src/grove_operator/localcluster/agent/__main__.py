"""`python -m grove_operator.localcluster.agent`: plays a fleet until SIGTERM or SIGINT, then ends its processes.

It prints `ready` and writes `<state dir>/agent.json` when nodes and load are in place. Exit codes: 0 stopped, 1 failed,
2 wrong usage.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

from grove_operator.engine.ports import ApiError
from grove_operator.kube.client import HttpKubeApi
from grove_operator.kube.clock import RealClock
from grove_operator.kube.connection import ConnectionConfigError
from grove_operator.localcluster.agent.endpoint import Endpoint, bind_port, certificate
from grove_operator.localcluster.agent.hosts import HostsFiles
from grove_operator.localcluster.agent.nodes import Nodes
from grove_operator.localcluster.agent.player import Player
from grove_operator.localcluster.agent.podmetrics import PodMetrics, register_metrics
from grove_operator.localcluster.agent.processes import Processes
from grove_operator.localcluster.agent.realpod import Host
from grove_operator.localcluster.agent.usage import Usage
from grove_operator.localcluster.fleet import Fleet, FleetError, default_fleet_path, load_fleet

log = logging.getLogger("grove.node-agent")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="grove_operator.localcluster.agent", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--fleet", type=Path, default=default_fleet_path())
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--apiserver", default="", help="URL that real containers use; default: the kubeconfig's")
    return parser.parse_args(argv)


async def play(kubeconfig: Path, fleet: Fleet, state_dir: Path, apiserver: str) -> None:
    """Runs until cancelled; raises ApiError when the API server refuses the nodes."""
    state_dir.mkdir(parents=True, exist_ok=True)
    processes = Processes(state_dir)
    for label in await processes.end_orphans():
        log.warning("ended %s, which an earlier agent left behind", label)
    if refused := await asyncio.to_thread(processes.probe_mounts, state_dir):
        log.warning("unshare -rm is refused (%s): containers get no mounts, known paths are remapped instead", refused)
    clock = RealClock()
    async with HttpKubeApi.from_kubeconfig(kubeconfig, field_manager="grove-node-agent") as api:
        url = urlsplit(apiserver or api.connection.server)
        service = {
            "KUBERNETES_SERVICE_HOST": url.hostname or "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(url.port or 443),
            "KUBERNETES_SERVICE_PORT_HTTPS": str(url.port or 443),
        }
        ca = api.connection.ca or b""
        host = Host(api, clock, fleet, processes, state_dir, ca, service, HostsFiles(state_dir / "hosts"))
        listener = bind_port(state_dir)
        nodes = Nodes(api, clock, fleet, listener.getsockname()[1])
        player = Player(host, nodes.get, str(state_dir.resolve()))
        metrics = PodMetrics(Usage(player.running, clock), clock)
        endpoint = Endpoint(player.logs_of, player.address_of, *metrics.routes())
        tls, certificate_pem = certificate(state_dir)
        await endpoint.start(listener, tls)
        try:
            await register_metrics(api, clock, listener.getsockname()[1], certificate_pem)
            await nodes.register()
            async with asyncio.TaskGroup() as group:
                group.create_task(nodes.live.run())
                await nodes.live.synced.wait()
                group.create_task(nodes.heartbeat())
                group.create_task(player.run())
                await nodes.create_load()
                _announce(state_dir, listener.getsockname()[1], len(nodes.live))
        finally:
            await endpoint.stop()


def _announce(state_dir: Path, port: int, nodes: int) -> None:
    facts = {"pid": os.getpid(), "kubeletPort": port, "nodes": nodes}
    fresh = state_dir / "agent.json.new"
    fresh.write_text(json.dumps(facts))
    fresh.replace(state_dir / "agent.json")
    print("ready", json.dumps(facts), flush=True)


async def _until_signalled(arguments: argparse.Namespace, fleet: Fleet) -> None:
    work = asyncio.create_task(play(arguments.kubeconfig, fleet, arguments.state_dir, arguments.apiserver))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work
    (arguments.state_dir / "agent.json").unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_until_signalled(arguments, load_fleet(arguments.fleet)))
    except* (FleetError, ConnectionConfigError, ApiError, OSError) as group:
        for error in _leaves(group):
            print(f"node agent: {error}", file=sys.stderr)
        sys.exit(1)
    return 0


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


if __name__ == "__main__":
    sys.exit(main())
