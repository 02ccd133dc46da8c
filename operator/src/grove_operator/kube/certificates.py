"""Keeps the webhook server's certificate in its Secret and our CA in the webhook configurations.

    Secret grove-webhook-server-cert ──> files for the server ──> caBundle of our named webhook configurations

One level-triggered pass does all of it, whenever the Secret or a configuration changes (also when somebody applies a
configuration again and so removes the caBundle), and every 12 hours for the sake of expiry. Several operators may do
so at once: writes carry resourceVersions, and who comes second reads again.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from grove_operator.api.kinds import MUTATING_WEBHOOKS, SECRET, VALIDATING_WEBHOOKS, Json, Kind
from grove_operator.engine.ports import AlreadyExists, Clock, Conflict, KubeApi, NotFound
from grove_operator.kube.certificate_pair import CertificatePair, dns_names, fault_of, issue
from grove_operator.kube.named_watch import NamedWatch

log = logging.getLogger(__name__)

WEBHOOK_SERVICE = "grove-operator"
CHECK_PERIOD_S = 12 * 3600.0
RACES = 5
CERT_FILE, KEY_FILE, CA_FILE = "tls.crt", "tls.key", "ca.crt"
OUR_WEBHOOKS: tuple[tuple[Kind, str], ...] = (
    (MUTATING_WEBHOOKS, "podcliqueset-defaulting-webhook"),
    (VALIDATING_WEBHOOKS, "podcliqueset-validating-webhook"),
    (VALIDATING_WEBHOOKS, "clustertopology-validating-webhook"),
    (VALIDATING_WEBHOOKS, "dynamographdeployment-validating-webhook"),
)
OPTIONAL_WEBHOOKS: tuple[tuple[Kind, str], ...] = (
    (VALIDATING_WEBHOOKS, "authorizer-webhook"),
    (VALIDATING_WEBHOOKS, "operator-deletion-webhook"),
)
"""The authorizer's is installed only where the configuration enables it, the other one not by older installations; an
operator is ready without them."""
SPREAD_S = 2.0
"""Time for every API server to notice a changed caBundle before we show a certificate that needs it."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the server reads its certificate, key and CA."""

    folder: Path

    @property
    def cert(self) -> Path:
        return self.folder / CERT_FILE

    @property
    def key(self) -> Path:
        return self.folder / KEY_FILE

    @property
    def ca(self) -> Path:
        return self.folder / CA_FILE

    def write(self, pair: CertificatePair) -> bool:
        """True when anything changed. Each file is replaced whole."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        changed = False
        for name, content in ((KEY_FILE, pair.key), (CERT_FILE, pair.cert), (CA_FILE, pair.ca)):
            path = self.folder / name
            if path.is_file() and path.read_bytes() == content:
                continue
            fresh = path.with_suffix(".new")
            fresh.touch(mode=0o600)
            fresh.write_bytes(content)
            fresh.replace(path)
            changed = True
        return changed


class CertificateKeeper:
    """`run` until cancelled. `written` is set once the files are there, `ready` once every present configuration has
    our CA as well."""

    def __init__(
        self,
        api: KubeApi,
        clock: Clock,
        namespace: str,
        secret_name: str,
        files: CertificateFiles,
        *,
        names: Sequence[str] = (),
        webhooks: Sequence[tuple[Kind, str]] = (*OUR_WEBHOOKS, *OPTIONAL_WEBHOOKS),
        may_be_absent: Collection[tuple[Kind, str]] = OPTIONAL_WEBHOOKS,
        on_written: Callable[[], None] = lambda: None,
    ) -> None:
        self._api, self._clock = api, clock
        self._namespace, self._secret_name, self._files = namespace, secret_name, files
        self._names = list(names) or dns_names(WEBHOOK_SERVICE, namespace)
        self._webhooks, self._may_be_absent, self._on_written = webhooks, may_be_absent, on_written
        self._pair: CertificatePair | None = None
        secret: tuple[Kind, str | None, str] = (SECRET, namespace, secret_name)
        self._watch = NamedWatch(api, clock, [secret, *((kind, None, name) for kind, name in webhooks)])
        self.written = asyncio.Event()
        self.ready = asyncio.Event()

    async def run(self) -> None:
        await self._watch.run(self._keep, f"certificate of secret {self._secret_name}")

    async def _keep(self) -> float:
        await self.reconcile()
        self.ready.set()
        return CHECK_PERIOD_S

    async def reconcile(self) -> None:
        """One pass. Writes nothing when all is well. The configurations trust a new CA before the server shows it, and
        the former one as long as it is valid: no request meets a certificate that its API server doesn't know."""
        self._pair = await self._settled_pair()
        is_trusted_anew = [await self._inject(kind, name, self._pair.ca) for kind, name in self._webhooks]
        if any(is_trusted_anew) and self.written.is_set():
            await self._clock.sleep(SPREAD_S)
        if self._files.write(self._pair):
            log.info("certificate of secret %s written to %s", self._secret_name, self._files.folder)
            self._on_written()
        self.written.set()

    async def _settled_pair(self) -> CertificatePair:
        """The Secret's pair, made or renewed where needed. Conflict after five lost races."""
        for _ in range(RACES):
            try:
                return await self._pair_of(await self._api.get(SECRET, self._namespace, self._secret_name))
            except NotFound:
                pair = self._pair or issue(self._names, self._clock.now())
                try:
                    await self._api.create(SECRET, self._namespace, self._secret(pair))
                    return pair
                except AlreadyExists:
                    continue
            except Conflict:
                continue
        raise Conflict(f"secret {self._namespace}/{self._secret_name}: others keep changing it; find out who writes it")

    async def _pair_of(self, secret: Json) -> CertificatePair:
        now = self._clock.now()
        stored = _stored_pair(secret)
        fault = fault_of(stored, self._names, now) if stored.cert else "there is none yet"
        if not fault:
            return stored
        log.info("certificate of secret %s is issued anew: %s", self._secret_name, fault)
        pair = issue(self._names, now, stored)
        version = secret["metadata"]["resourceVersion"]
        body: Json = {"metadata": {"resourceVersion": version}, "data": _secret_data(pair)}
        await self._api.patch(SECRET, self._namespace, self._secret_name, body)
        return pair

    def _secret(self, pair: CertificatePair) -> Json:
        meta = {"name": self._secret_name, "namespace": self._namespace}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": meta,
            "type": "kubernetes.io/tls",
            "data": _secret_data(pair),
        }

    async def _inject(self, kind: Kind, name: str, ca: bytes) -> bool:
        """Our CA into every webhook of one configuration; whether it had another. One that isn't installed is none of
        our business."""
        ca_bundle = base64.b64encode(ca).decode()
        for _ in range(RACES):
            try:
                live = await self._api.get(kind, None, name)
                webhooks = live.get("webhooks") or []
                if all(webhook.get("clientConfig", {}).get("caBundle") == ca_bundle for webhook in webhooks):
                    return False
                for webhook in webhooks:
                    webhook["clientConfig"] = {**webhook.get("clientConfig", {}), "caBundle": ca_bundle}
                precondition = {"resourceVersion": live["metadata"]["resourceVersion"]}
                await self._api.patch(kind, None, name, {"metadata": precondition, "webhooks": webhooks})
                log.info("caBundle put into %s %s", kind.kind, name)
                return True
            except NotFound:
                if (kind, name) not in self._may_be_absent:
                    log.warning("%s %s is not installed; its objects are not checked on admission", kind.kind, name)
                return False
            except Conflict:
                continue
        raise Conflict(f"{kind.kind} {name}: others keep changing it; find out who writes its caBundle")


def _stored_pair(secret: Json) -> CertificatePair:
    data = secret.get("data") or {}

    def read(name: str) -> bytes:
        try:
            return base64.b64decode(data.get(name) or "")
        except ValueError:
            return b""

    return CertificatePair(ca=read(CA_FILE), ca_key=read("ca.key"), cert=read(CERT_FILE), key=read(KEY_FILE))


def _secret_data(pair: CertificatePair) -> Json:
    parts = {CA_FILE: pair.ca, "ca.key": pair.ca_key, CERT_FILE: pair.cert, KEY_FILE: pair.key}
    return {name: base64.b64encode(content).decode() for name, content in parts.items()}
