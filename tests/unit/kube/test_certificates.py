"""Certificates: what is issued, when it is renewed, and that the API server's configurations keep trusting it."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from grove_operator.api import webhooks
from grove_operator.api.kinds import BY_KIND, SECRET, Json
from grove_operator.kube.certificate_pair import CertificatePair, dns_names, fault_of, issue
from grove_operator.kube.certificates import OUR_WEBHOOKS, CertificateFiles, CertificateKeeper
from grove_operator.sim.apiserver import SimApi
from grove_operator.sim.clock import START, SimClock

NAMESPACE, SECRET_NAME = "grove-system", "grove-webhook-server-cert"
NAMES = dns_names("grove-operator", NAMESPACE)
DAY = timedelta(days=1)


def configurations() -> list[Json]:
    return webhooks.webhook_configurations(
        namespace=NAMESPACE, service="grove-operator", port=9443, authorizer=False, labels={}
    )


def empty_secret() -> Json:
    meta = {"name": SECRET_NAME, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque"}


def shakes_hands(pair: CertificatePair, ca: bytes, name: str, folder: Path) -> bool:
    """A whole TLS handshake in memory, with host name and CA checked as the API server does."""
    files = CertificateFiles(folder)
    files.write(pair)
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_context.load_cert_chain(files.cert, files.key)
    client_context = ssl.create_default_context(cadata=ca.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return client.version() is not None


def test_a_fresh_pair_is_good_and_covers_all_names_of_the_service(tmp_path: Path) -> None:
    from grove_operator.kube.clock import RealClock

    pair = issue(NAMES, RealClock().now())
    assert fault_of(pair, NAMES, RealClock().now()) == ""
    for name in NAMES:
        assert shakes_hands(pair, pair.ca, name, tmp_path / name)
    assert not shakes_hands(pair, pair.ca, "another-service", tmp_path / "other")
    other = issue(NAMES, RealClock().now())
    assert not shakes_hands(pair, other.ca, NAMES[0], tmp_path / "stranger")


def test_lifetimes_and_names_are_groves() -> None:
    pair = issue(NAMES, START)
    ca, cert = x509.load_pem_x509_certificate(pair.ca), x509.load_pem_x509_certificate(pair.cert)
    assert ca.subject.rfc4514_string() == "CN=Grove-CA,O=Grove"
    assert ca.not_valid_after_utc == START + 3650 * DAY
    assert cert.not_valid_after_utc == START + 365 * DAY


def test_a_pair_is_renewed_ninety_days_ahead_by_the_same_ca() -> None:
    pair = issue(NAMES, START)
    assert fault_of(pair, NAMES, START + 274 * DAY) == ""
    later = START + 276 * DAY
    assert "expires" in fault_of(pair, NAMES, later)
    renewed = issue(NAMES, later, pair)
    assert renewed.ca == pair.ca
    assert fault_of(renewed, NAMES, later) == ""


def test_a_new_ca_leaves_the_old_one_trusted_until_it_expires() -> None:
    pair = issue(NAMES, START)
    nearly_over = START + 3500 * DAY
    renewed = issue(NAMES, nearly_over, pair)
    assert len(x509.load_pem_x509_certificates(renewed.ca)) == 2
    assert pair.ca in renewed.ca
    much_later = START + 3651 * DAY
    assert len(x509.load_pem_x509_certificates(issue(NAMES, much_later, renewed).ca)) == 1


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (lambda p, q: CertificatePair(p.ca, p.ca_key, p.cert, q.key), "another certificate"),
        (lambda p, q: CertificatePair(q.ca, q.ca_key, p.cert, p.key), "CA is missing"),
        (lambda p, q: CertificatePair(p.ca, p.ca_key, b"junk", p.key), "can't be read"),
    ],
)
def test_a_pair_that_does_not_fit_together_is_found_out(broken: object, why: str) -> None:
    assert callable(broken)
    assert why in fault_of(broken(issue(NAMES, START), issue(NAMES, START)), NAMES, START)
    assert "does not cover" in fault_of(issue(NAMES[:2], START), NAMES, START)


class Keeping:
    def __init__(self, folder: Path) -> None:
        self.clock = SimClock()
        self.api = SimApi(self.clock)
        self.folder = folder
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, user: str = "operator") -> CertificateKeeper:
        files = CertificateFiles(self.folder / user)
        keeper = CertificateKeeper(self.api.as_user(user), self.clock, NAMESPACE, SECRET_NAME, files)
        self.tasks.append(asyncio.ensure_future(keeper.run()))
        return keeper

    def bundles(self) -> set[str | None]:
        return {
            webhook["clientConfig"].get("caBundle")
            for kind, name in OUR_WEBHOOKS
            for webhook in (self.api.find(kind, "", name) or {"webhooks": []})["webhooks"]
        }

    def stored_ca(self) -> str:
        secret = self.api.find(SECRET, NAMESPACE, SECRET_NAME)
        assert secret
        return str(secret["data"]["ca.crt"])


@pytest.fixture
async def keeping(tmp_path: Path) -> AsyncIterator[Keeping]:
    keeping = Keeping(tmp_path)
    yield keeping
    for task in keeping.tasks:
        task.cancel()
    await asyncio.gather(*keeping.tasks, return_exceptions=True)


async def test_the_empty_secret_is_filled_and_every_configuration_trusts_it(keeping: Keeping) -> None:
    keeping.api.seed(empty_secret(), *configurations())
    keeper = keeping.start()
    await keeping.clock.advance(1)
    assert keeper.ready.is_set()
    assert keeping.bundles() == {keeping.stored_ca()}
    written = (keeping.folder / "operator" / "tls.crt").read_bytes()
    secret = keeping.api.find(SECRET, NAMESPACE, SECRET_NAME)
    assert secret
    assert base64.b64decode(secret["data"]["tls.crt"]) == written


async def test_nothing_is_written_at_rest(keeping: Keeping) -> None:
    keeping.api.seed(empty_secret(), *configurations())
    keeping.start()
    await keeping.clock.advance(1)
    before = len(keeping.api.writes)
    await keeping.clock.advance(48 * 3600)
    keeping.start("second")
    await keeping.clock.advance(48 * 3600)
    assert len(keeping.api.writes) == before


async def test_a_configuration_applied_again_gets_its_ca_back(keeping: Keeping) -> None:
    keeping.api.seed(empty_secret(), *configurations())
    keeping.start()
    await keeping.clock.advance(1)
    again = configurations()[1]
    kind = BY_KIND[again["kind"]]
    await keeping.api.patch(kind, None, again["metadata"]["name"], {"webhooks": again["webhooks"]})
    assert None in keeping.bundles()
    await keeping.clock.advance(1)
    assert keeping.bundles() == {keeping.stored_ca()}


async def test_configurations_that_come_later_are_found(keeping: Keeping) -> None:
    keeping.start()
    await keeping.clock.advance(1)
    assert keeping.bundles() == set()
    for manifest in configurations():
        await keeping.api.create(BY_KIND[manifest["kind"]], None, manifest)
    await keeping.clock.advance(1)
    assert keeping.bundles() == {keeping.stored_ca()}


async def test_two_operators_settle_on_one_certificate(keeping: Keeping) -> None:
    keeping.api.seed(empty_secret(), *configurations())
    keeping.start("one")
    keeping.start("two")
    await keeping.clock.advance(5)
    assert (keeping.folder / "one" / "tls.crt").read_bytes() == (keeping.folder / "two" / "tls.crt").read_bytes()
    assert keeping.bundles() == {keeping.stored_ca()}


async def test_a_deleted_secret_comes_back_as_it_was(keeping: Keeping) -> None:
    keeping.api.seed(empty_secret(), *configurations())
    keeping.start()
    await keeping.clock.advance(1)
    before = keeping.stored_ca()
    await keeping.api.delete(SECRET, NAMESPACE, SECRET_NAME)
    await keeping.clock.advance(2)
    assert keeping.stored_ca() == before


async def test_the_certificate_is_renewed_in_time_while_the_operator_runs(keeping: Keeping) -> None:
    keeping.api.seed(empty_secret(), *configurations())
    keeping.start()
    await keeping.clock.advance(1)
    first = (keeping.folder / "operator" / "tls.crt").read_bytes()
    await keeping.clock.advance(280 * 86400)
    renewed = (keeping.folder / "operator" / "tls.crt").read_bytes()
    assert renewed != first
    assert x509.load_pem_x509_certificate(renewed).not_valid_after_utc > keeping.clock.now() + 90 * DAY


async def test_a_new_ca_is_trusted_before_the_server_shows_its_certificate(keeping: Keeping) -> None:
    keeping.api.seed(empty_secret(), *configurations())
    keeping.start()
    await keeping.clock.advance(1)
    written, former = keeping.folder / "operator" / "tls.crt", keeping.stored_ca()
    first = written.read_bytes()
    other = issue(NAMES, START - 3640 * DAY)
    data = {name: base64.b64encode(part).decode() for name, part in (("ca.crt", other.ca), ("ca.key", other.ca_key))}
    await keeping.api.patch(SECRET, NAMESPACE, SECRET_NAME, {"data": {**data, "tls.crt": "", "tls.key": ""}})
    await keeping.clock.advance(1)
    assert keeping.bundles() == {keeping.stored_ca()} != {former}
    assert written.read_bytes() == first
    await keeping.clock.advance(3)
    assert written.read_bytes() != first


async def test_the_authorizers_configuration_gets_the_ca_too_where_it_is_installed(keeping: Keeping) -> None:
    guarded = webhooks.webhook_configurations(
        namespace=NAMESPACE, service="grove-operator", port=9443, authorizer=True, labels={}
    )
    keeping.api.seed(empty_secret(), *guarded)
    keeping.start()
    await keeping.clock.advance(1)
    live = keeping.api.find(BY_KIND["ValidatingWebhookConfiguration"], "", "authorizer-webhook")
    assert live
    assert live["webhooks"][0]["clientConfig"]["caBundle"] == keeping.stored_ca()
