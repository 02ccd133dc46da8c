"""Certificates of the webhooks against a real API server: renewed by the operator, or provided by hand, or expired."""

from __future__ import annotations

import asyncio
import base64
import signal
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from grove_operator.api.install import webhook_configurations
from grove_operator.api.kinds import BY_KIND, POD_CLIQUE_SET, SECRET, Json
from grove_operator.engine.ports import ApiError
from grove_operator.kube.certificate_pair import CertificatePair, dns_names, issue
from grove_operator.kube.certificates import CertificateFiles
from grove_operator.kube.client import HttpKubeApi
from tests.support.installation import Installation, eventually, installed
from tests.unit.api.manifests import clique, pcs

pytestmark = pytest.mark.needs_tools
NAMESPACE, SECRET_NAME = "grove-system", "grove-webhook-server-cert"
NAMES = dns_names("grove-operator", NAMESPACE)


def days_ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def old_authority() -> CertificatePair:
    """A CA with 250 days left: too few to sign another year."""
    return issue(NAMES, days_ago(3400))


def served(installation: Installation) -> x509.Certificate:
    """What the operator shows to a new connection."""
    pem = ssl.get_server_certificate(("127.0.0.1", installation.options.webhook_port))
    return x509.load_pem_x509_certificate(pem.encode())


def secret_data(pair: CertificatePair) -> Json:
    parts = {"ca.crt": pair.ca, "ca.key": pair.ca_key, "tls.crt": pair.cert, "tls.key": pair.key}
    return {name: base64.b64encode(content).decode() for name, content in parts.items()}


async def configurations(api: HttpKubeApi, installation: Installation) -> list[Json]:
    wanted = webhook_configurations(installation.options)
    return [await api.get(BY_KIND[m["kind"]], None, m["metadata"]["name"]) for m in wanted]


def bundles(live: list[Json]) -> set[str]:
    return {webhook["clientConfig"].get("caBundle", "") for manifest in live for webhook in manifest["webhooks"]}


class Traffic:
    """Somebody who writes all the time, over connections that are new each time as well as old ones."""

    def __init__(self) -> None:
        self.asked, self.failures = 0, list[str]()

    async def run(self, api: HttpKubeApi) -> None:
        while True:
            name = f"traffic-{self.asked}"
            self.asked += 1
            try:
                await api.create(POD_CLIQUE_SET, "default", pcs(clique("a"), name=name))
                await api.delete(POD_CLIQUE_SET, "default", name)
            except ApiError as error:
                self.failures.append(str(error))
            await asyncio.sleep(0.02)


@asynccontextmanager
async def traffic(api: HttpKubeApi) -> AsyncIterator[Traffic]:
    flow = Traffic()
    task = asyncio.ensure_future(flow.run(api))
    try:
        yield flow
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(scope="module")
def by_operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("auto")) as made:
        yield made


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    root = tmp_path_factory.mktemp("manual")
    folder = root / "mounted"
    webhooks = {"certProvisionMode": "manual", "serverCertDir": str(folder)}
    CertificateFiles(folder).write(AUTHORITY)
    ca = base64.b64encode(AUTHORITY.ca).decode()
    with installed(root, {"server": {"webhooks": webhooks}}, webhook_ca_bundle=ca) as made:
        yield made


AUTHORITY = issue(NAMES, days_ago(1000))
"""Of the manual mode: signs whatever its tests mount."""


async def test_a_certificate_and_its_ca_are_renewed_under_way_and_no_request_fails(by_operator: Installation) -> None:
    authority = old_authority()
    good, nearly_over = (issue(NAMES, days_ago(days), authority) for days in (120, 300))
    async with HttpKubeApi.from_kubeconfig(by_operator.plane.kubeconfig) as api:
        await api.patch(SECRET, NAMESPACE, SECRET_NAME, {"data": secret_data(good)})
        await by_operator.serve()
        first = served(by_operator)
        assert first == x509.load_pem_x509_certificate(good.cert)
        assert bundles(await configurations(api, by_operator)) == {base64.b64encode(authority.ca).decode()}
        async with traffic(api) as flow:
            await api.patch(SECRET, NAMESPACE, SECRET_NAME, {"data": secret_data(nearly_over)})

            async def is_renewed() -> bool:
                return served(by_operator) != first

            await eventually(is_renewed, "a new certificate is shown")
            before = flow.asked

            async def went_on() -> bool:
                return flow.asked > before + 20

            await eventually(went_on, "requests after it")
        assert flow.failures == []
        (bundle,) = bundles(await configurations(api, by_operator))
    renewed = served(by_operator)
    assert renewed.not_valid_after_utc > datetime.now(UTC) + timedelta(days=360)
    authorities = x509.load_pem_x509_certificates(base64.b64decode(bundle))
    assert [ca == x509.load_pem_x509_certificate(authority.ca) for ca in authorities] == [False, True]
    renewed.verify_directly_issued_by(authorities[0])
    assert by_operator.processes[0].poll() is None
    assert len(by_operator.processes) == 1


async def test_an_expired_certificate_in_the_secret_is_replaced_before_anything_is_served(
    by_operator: Installation,
) -> None:
    for process in by_operator.processes:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 20)
    expired = issue(NAMES, days_ago(400), old_authority())
    async with HttpKubeApi.from_kubeconfig(by_operator.plane.kubeconfig) as api:
        await api.patch(SECRET, NAMESPACE, SECRET_NAME, {"data": secret_data(expired)})
        await by_operator.serve("operator-1")
        await api.create(POD_CLIQUE_SET, "default", pcs(clique("a"), name="after-expiry"))
    assert served(by_operator).not_valid_after_utc > datetime.now(UTC)
    assert "issued anew: it expires on" in by_operator.said("operator-1")


async def test_an_expired_certificate_by_hand_is_told_and_its_replacement_heals_without_a_restart(
    by_hand: Installation,
) -> None:
    folder = Path(by_hand.plane.root / "mounted")
    files = CertificateFiles(folder)
    files.write(issue(NAMES, days_ago(400), AUTHORITY))
    process = by_hand.start("operator-0")

    async def says_expired() -> bool:
        assert process.poll() is None, by_hand.said("operator-0")
        status, text = await by_hand.probe("/readyz")
        return status == 503 and "certificate has expired" in text

    async with HttpKubeApi.from_kubeconfig(by_hand.plane.kubeconfig) as api:
        before = await configurations(api, by_hand)
        await eventually(says_expired, "/readyz says that the certificate has expired")
        assert (await by_hand.probe("/healthz"))[0] == 200, "a restart would not help"
        with pytest.raises(ApiError, match="x509: certificate has expired"):
            await api.create(POD_CLIQUE_SET, "default", pcs(clique("a"), name="expired"))

        files.write(issue(NAMES, days_ago(30), AUTHORITY))

        async def is_ready() -> bool:
            return (await by_hand.probe("/readyz"))[0] == 200

        await eventually(is_ready, "ready with the new certificate")
        await api.create(POD_CLIQUE_SET, "default", pcs(clique("a"), name="healed"))
        assert process.poll() is None

        first = served(by_hand)
        async with traffic(api) as flow:
            files.write(issue(NAMES, days_ago(1), AUTHORITY))

            async def is_renewed() -> bool:
                return served(by_hand) != first and flow.asked > 40

            await eventually(is_renewed, "the mounted certificate is taken up")
        assert flow.failures == []
        assert await configurations(api, by_hand) == before, "in manual mode the operator leaves them alone"
        assert bundles(before) == {base64.b64encode(AUTHORITY.ca).decode()}
    with pytest.raises(ApiError):
        async with HttpKubeApi.from_kubeconfig(by_hand.plane.kubeconfig) as api:
            await api.get(SECRET, NAMESPACE, SECRET_NAME)


async def test_without_the_mounted_files_the_operator_says_what_to_mount(by_hand: Installation) -> None:
    for process in by_hand.processes:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 20)
    (by_hand.plane.root / "mounted" / "ca.crt").unlink()
    process = by_hand.start("operator-1")
    assert await asyncio.to_thread(process.wait, 30) == 4
    assert "ca.crt is missing; mount a Secret with tls.crt, tls.key and ca.crt there" in by_hand.said("operator-1")
