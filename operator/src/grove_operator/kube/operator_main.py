"""The operator's process.

    main thread     certificates, Lease, the engine's loop          own threads: kopf (roots, admission), probes

Order: configuration, certificates, probes, kopf, other operators gone, Lease, engine. Every replica answers admission;
the leader reconciles.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import kopf

from grove_operator.api.authorizer import trusted_users
from grove_operator.api.config import OperatorConfiguration
from grove_operator.api.kinds import COMPUTE_DOMAIN, Json
from grove_operator.core.settings import Settings
from grove_operator.dynamo.settings import KAI, DynamoSettings
from grove_operator.engine.operator import Operator
from grove_operator.engine.ports import NotFound
from grove_operator.engine.surroundings import Surroundings
from grove_operator.kube import process
from grove_operator.kube.certificates import WEBHOOK_SERVICE, CertificateFiles, CertificateKeeper
from grove_operator.kube.conversion_duty import ConversionDuty
from grove_operator.kube.gate import Authorizer, DeletionGuard, Gate
from grove_operator.kube.health import Handler, Health, ProbeThread, listen_address
from grove_operator.kube.kopf_thread import AdmissionListener, KopfThread
from grove_operator.kube.live_reads import LiveReads
from grove_operator.kube.metrics import Metrics, probe_sites
from grove_operator.kube.neighbour import DynamoSwitch
from grove_operator.kube.process import EXIT_NVLINK, Process, StartError
from grove_operator.kube.rival import LOOK_S as RIVAL_LOOK_S
from grove_operator.kube.rival import RivalWatch
from grove_operator.kube.roots import RootAudit, RootInbox, live_uids, watch_roots
from grove_operator.kube.selfcheck import SelfCheck
from grove_operator.kube.webhooks import SERVED, serve_admission

PROGRAM = "grove-operator"
SERVICE_ACCOUNT_ENV = "GROVE_OPERATOR_SERVICE_ACCOUNT_NAME"


def main() -> None:
    """Console script `grove-operator`; see `process` for arguments and exit codes."""
    process.end(process.run(PROGRAM, operate))


async def operate(this: Process) -> None:
    """Runs until told to stop; raises what ended it otherwise."""
    await check_nvlink(this)
    with ExitStack() as stack:
        reads = LiveReads(this.connection, PROGRAM)
        gate = Gate(SERVED, authorizer(this, os.environ, reads), DeletionGuard(reads.sets))
        files = await _certificates(this, stack)
        inbox = RootInbox()
        graphs = DynamoSwitch(this.api, this.clock, this.config.dynamo.reconcile)
        registry = kopf.OperatorRegistry()
        watch_roots(registry, inbox)
        serve_admission(registry, reads.topologies, this.config, reads.queue_of, has_graphs=lambda: graphs.is_on)
        reads.close_with(registry)
        webhooks = this.config.server.webhooks
        address = listen_address_of_webhooks(webhooks.bind_address)
        listener = AdmissionListener(address, webhooks.port, files.files, gate)
        kopf_thread = KopfThread(
            registry, this.connection, listener, lambda error: this.supervisor.fail("the kopf thread", error)
        )
        server_name = f"{WEBHOOK_SERVICE}.{this.namespace}.svc"
        self_check = SelfCheck(address, webhooks.port, server_name, files.files.ca, gate.saw)
        health = _health(this, files, kopf_thread, inbox, self_check)
        operator = Operator(
            this.api,
            this.clock,
            watch_roots=False,
            settings=core_settings(this.config, os.environ),
            dynamo=dynamo_settings(this.config),
            has_graphs=lambda: graphs.is_on,
            surroundings=Surroundings(
                this.api,
                this.clock,
                this.namespace,
                this.config.dynamo.mpi_secret,
                has_kai=KAI in this.config.scheduler.names,
            ),
        )
        settings = this.config.leader_election
        election = this.election(settings.resource_name) if settings.enabled else None
        rivals = RivalWatch(this.api, this.clock, election.namespace if election else this.namespace)
        health.readiness["rival"] = rivals.fault
        metrics = Metrics(
            this.request_log,
            "operator",
            is_leader=lambda: election is None or election.is_leader,
            engine=operator.measured,
        )
        probes = ProbeThread(_sites(this, health, metrics))
        probes.start()
        stack.callback(probes.stop)
        await this.supervisor.during(files.written.wait())
        await graphs.look()
        graphs.say()
        conversion = _conversion(this, stack, files, graphs)

        def owner_changed() -> None:
            operator.look_at_graphs_again()
            conversion.keeper.look_again()

        this.supervisor.start("the look for NVIDIA's operator", graphs.run(owner_changed))
        kopf_thread.start()
        stack.callback(kopf_thread.stop)
        this.supervisor.start("the check of admission", self_check.run())

        def lease() -> Json | None:
            return election.lease if election else None

        async def reconcile() -> None:
            await rivals.check(lease())
            this.supervisor.start("the look for other operators", _watch(rivals, lease))
            inbox.attach(asyncio.get_running_loop(), operator.deliver)
            this.supervisor.start("the engine", operator.run())
            conversion.start_moving()
            audit = RootAudit(inbox, this.clock, lambda kind: live_uids(this.api, kind))
            this.supervisor.start("the audit of roots", audit.run())
            await this.supervisor.until_stopped()

        await this.supervisor.during(rivals.until_alone())
        conversion.start()
        await process.lead(this, election, reconcile)


async def _watch(rivals: RivalWatch, lease: Callable[[], Json | None]) -> None:
    """Until one is found."""
    while True:
        await asyncio.sleep(RIVAL_LOOK_S)
        await rivals.check(lease())


def core_settings(config: OperatorConfiguration, environment: Mapping[str, str]) -> Settings:
    """What the configuration and the Deployment's environment decide about pods. An image without a tag gets ours."""
    settings = Settings(
        scheduler_name=config.scheduler.default_profile_name,
        topology_enabled=config.topology_aware_scheduling.enabled,
        nvlink_enabled=config.network.auto_mnnvl_enabled,
        backends=config.scheduler.names,
    )
    image = environment.get("GROVE_INIT_CONTAINER_IMAGE", "")
    if not image:
        return settings
    is_tagged = ":" in image.rsplit("/", 1)[-1]
    return replace(settings, init_image=image if is_tagged else f"{image}:{process.version_text()}")


def dynamo_settings(config: OperatorConfiguration) -> DynamoSettings:
    """What the configuration decides about Dynamo graphs."""
    said = config.dynamo
    return DynamoSettings(
        nats=said.nats,
        etcd=said.etcd,
        model_express=said.model_express,
        prometheus=said.prometheus,
        discovery=said.discovery,
        termination_delay=said.termination_delay,
        scheduler=config.scheduler.default_profile_name,
        ingress_class=said.ingress_class,
        ingress_suffix=said.ingress_suffix,
        mpi_secret=said.mpi_secret,
    )


async def check_nvlink(this: Process) -> None:
    """Raises StartError (exit code 7) where NVLink domains are switched on and the cluster has no such kind."""
    if not this.config.network.auto_mnnvl_enabled:
        return
    try:
        await this.api.list(COMPUTE_DOMAIN)
    except NotFound:
        text = (
            f"network.autoMNNVLEnabled is true but the cluster does not serve {COMPUTE_DOMAIN.plural} of "
            f"{COMPUTE_DOMAIN.api_version}; install NVIDIA's DRA driver or switch it off"
        )
        raise StartError(text, EXIT_NVLINK) from None


def listen_address_of_webhooks(configured: str) -> str:
    """All interfaces unless configured: Services of type ExternalName reach a pod by its host's loopback address."""
    return configured or "0.0.0.0"  # noqa: S104 - as every pod does


class Certificates:
    """The files to serve with, and two events: when they are there, and when the API server trusts them."""

    def __init__(self, files: CertificateFiles, written: asyncio.Event, trusted: asyncio.Event) -> None:
        self.files, self.written, self.trusted = files, written, trusted


async def _certificates(this: Process, stack: ExitStack) -> Certificates:
    webhooks = this.config.server.webhooks
    if webhooks.cert_provision_mode == "manual":
        files = CertificateFiles(Path(webhooks.server_cert_dir))
        for path in (files.cert, files.key, files.ca):
            if not path.is_file():
                raise StartError(
                    f"certProvisionMode is manual but {path} is missing; "
                    "mount a Secret with tls.crt, tls.key and ca.crt there"
                )
        present = asyncio.Event()
        present.set()
        return Certificates(files, present, present)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="grove-webhook-")))
    files = CertificateFiles(folder)
    keeper = CertificateKeeper(this.api, this.clock, this.namespace, webhooks.secret_name, files)
    this.supervisor.start("the certificate keeper", keeper.run())
    return Certificates(files, keeper.written, keeper.ready)


def _conversion(this: Process, stack: ExitStack, certificates: Certificates, graphs: DynamoSwitch) -> ConversionDuty:
    is_manual = this.config.server.webhooks.cert_provision_mode == "manual"
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="grove-conversion-")))
    port = this.config.dynamo.conversion_port
    return ConversionDuty(this, port, folder, certificates.files if is_manual else None, lambda: graphs.is_on)


def authorizer(this: Process, environment: Mapping[str, str], reads: LiveReads) -> Authorizer:
    """Who may change generated objects. Raises StartError where it would lock this very operator out."""
    settings = this.config.authorizer
    account = environment.get(SERVICE_ACCOUNT_ENV, "")
    namespace = environment.get("POD_NAMESPACE") or this.connection.namespace
    if settings.enabled and not (account and namespace):
        missing = f"${SERVICE_ACCOUNT_ENV}" if not account else "$POD_NAMESPACE or the service account's namespace file"
        raise StartError(
            f"authorizer.enabled needs to know under which user this operator writes, but {missing} is not set; "
            "set it as the installed Deployment does, or disable the authorizer"
        )

    trusted = trusted_users(namespace, account, settings.exempt_service_account_user_names)
    return Authorizer(reads.owner_of, trusted, is_enabled=settings.enabled)


def _health(
    this: Process, certificates: Certificates, kopf_thread: KopfThread, inbox: RootInbox, self_check: SelfCheck
) -> Health:
    def claim(holds: bool, otherwise: str) -> str:
        return "" if holds else otherwise

    return Health(
        liveness={
            "engine": this.heartbeat.fault,
            "kopf": kopf_thread.heartbeat.fault,
        },
        readiness={
            "certificates": lambda: claim(certificates.trusted.is_set(), "not yet trusted by the API server"),
            "admission": self_check.fault,
        },
        watch_ages_s=lambda: {**this.request_log.watch_ages_s(), "roots": inbox.age_s()},
    )


def _sites(this: Process, health: Health, metrics: Metrics) -> dict[tuple[str, int], dict[str, Handler]]:
    server = this.config.server
    return probe_sites(
        (listen_address(server.health_probes.bind_address), server.health_probes.port),
        (listen_address(server.metrics.bind_address), server.metrics.port),
        health,
        metrics,
    )


if __name__ == "__main__":
    main()
