"""The gang scheduler's process: probes, Lease, then `GangScheduler`."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping

from grove_operator.api.constants import SCHEDULER_NAME
from grove_operator.engine.binder import GangScheduler
from grove_operator.engine.coverage import TopologyCoverage
from grove_operator.kube import process
from grove_operator.kube.health import Health, ProbeThread, listen_address
from grove_operator.kube.metrics import Metrics, probe_sites
from grove_operator.kube.process import Process
from grove_operator.kube.recorder import recorder_from_environment

PROGRAM = "grove-scheduler"


def main() -> None:
    """Console script `grove-scheduler`; see `process` for arguments and exit codes."""
    process.end(process.run(PROGRAM, schedule))


async def schedule(this: Process) -> None:
    """Runs until told to stop; raises what ended it otherwise."""
    settings, leadership = this.config.gang_scheduler, this.config.leader_election
    recorder = recorder_from_environment(this.clock)
    scheduler = GangScheduler(
        this.api,
        this.clock,
        binds_in_flight=settings.binds_in_flight,
        scheduler_names=(SCHEDULER_NAME, *(n for n in settings.scheduler_names if n != SCHEDULER_NAME)),
        recorder=recorder,
        aside=asyncio.to_thread,
    )
    election = this.election(leadership.scheduler_resource_name) if leadership.enabled else None
    health = Health(liveness={"engine": this.heartbeat.fault}, watch_ages_s=this.request_log.watch_ages_s)
    metrics = Metrics(
        this.request_log,
        "scheduler",
        is_leader=lambda: election is None or election.is_leader,
        engine=lambda: getattr(scheduler, "metrics", {}),
    )
    address = listen_address(settings.bind_address)
    probes = ProbeThread(
        probe_sites((address, settings.health_port), (address, settings.metrics_port), health, metrics)
    )
    probes.start()

    def labels() -> list[Mapping[str, str]]:
        return [node["node"].labels for node in scheduler.nodes.items()]

    async def place() -> None:
        coverage = TopologyCoverage(this.api, this.clock, labels, scheduler.synced)
        scheduler.on_labels = coverage.nodes_changed
        this.supervisor.start("the scheduler", scheduler.run())
        this.supervisor.start("the coverage of topologies", coverage.run())
        await scheduler.synced.wait()
        spare_the_collector()
        await this.supervisor.until_stopped()

    try:
        await process.lead(this, election, place)
    finally:
        probes.stop()
        if recorder is not None:
            recorder.close()


def spare_the_collector() -> None:
    """Nodes, pods and shapes live long: a full collection over them costs 50 ms amid decisions of one."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


if __name__ == "__main__":
    main()
