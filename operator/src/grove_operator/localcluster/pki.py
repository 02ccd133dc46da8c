"""Keys, certificates, tokens and kubeconfigs of a local cluster, made once and kept in its `pki/` folder.

One CA signs one serving certificate, which every component that serves uses (all of them listen on loopback). Clients
prove who they are by bearer tokens, listed in `tokens.csv` for the API server.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from grove_operator.localcluster.state import write_file

USERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    # file stem: (user name, groups). The node agent plays every kubelet at once, which no kubelet's own rights allow.
    "admin": ("grove-admin", ("system:masters",)),
    "kube-controller-manager": ("system:kube-controller-manager", ()),
    "kube-scheduler": ("system:kube-scheduler", ()),
    "node-agent": ("grove:node-agent", ("system:masters",)),
}
LIFETIME_DAYS = 3650
_SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
_SERVER_ADDRESSES = ("127.0.0.1", "::1", "10.0.0.1")


@dataclass(frozen=True)
class Pki:
    """The files; all exist after `ensure_pki`."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def ca_key(self) -> Path:
        return self.folder / "ca.key"

    @property
    def serving_cert(self) -> Path:
        return self.folder / "serving.crt"

    @property
    def serving_key(self) -> Path:
        return self.folder / "serving.key"

    @property
    def service_account_key(self) -> Path:
        return self.folder / "sa.key"

    @property
    def service_account_public_key(self) -> Path:
        return self.folder / "sa.pub"

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens.csv"

    def kubeconfig(self, user: str) -> Path:
        return self.folder / f"{user}.kubeconfig"

    def token(self, user: str) -> str:
        """The bearer token of one of USERS."""
        wanted = USERS[user][0]
        rows = (line.split(",") for line in self.tokens.read_text().splitlines())
        return next(token for token, name, *_ in rows if name == wanted)


def ensure_pki(folder: Path) -> Pki:
    """Makes what is missing. A folder cut short is made anew as a whole, so that keys always fit each other."""
    pki = Pki(folder)
    wanted = (
        pki.ca,
        pki.ca_key,
        pki.serving_cert,
        pki.serving_key,
        pki.service_account_key,
        pki.service_account_public_key,
        pki.tokens,
    )
    if all(path.is_file() for path in wanted):
        return pki
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "grove-local-ca")])
    ca = _certificate(ca_name, ca_name, ca_key.public_key(), is_ca=True).sign(ca_key, hashes.SHA256())
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    serving = _certificate(name, ca_name, key.public_key(), is_ca=False).sign(ca_key, hashes.SHA256())
    accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write_file(pki.ca_key, _private_pem(ca_key))
    write_file(pki.ca, _certificate_pem(ca), 0o644)
    write_file(pki.serving_key, _private_pem(key))
    write_file(pki.serving_cert, _certificate_pem(serving), 0o644)
    write_file(pki.service_account_key, _private_pem(accounts))
    public = accounts.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_file(pki.service_account_public_key, public.decode(), 0o644)
    write_file(pki.tokens, "".join(_token_line(user, groups) for user, groups in USERS.values()))
    return pki


def write_kubeconfig(path: Path, *, cluster: str, server: str, ca: Path, user: str, token: str) -> None:
    """A self-contained kubeconfig: the CA and the token are in it, so it can be copied anywhere on this machine."""
    authority = base64.b64encode(ca.read_bytes()).decode()
    context = f"grove-{cluster}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": user}}],
        "current-context": context,
    }
    write_file(path, yaml.safe_dump(config, sort_keys=False))


def _token_line(user: str, groups: tuple[str, ...]) -> str:
    listed = f',"{",".join(groups)}"' if groups else ""
    return f"{secrets.token_urlsafe(32)},{user},{user}{listed}\n"


def _certificate(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, *, is_ca: bool
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=LIFETIME_DAYS))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(_key_usage(is_ca=is_ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )
    if is_ca:
        return builder
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in _SERVER_NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in _SERVER_ADDRESSES]
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
    )


def _key_usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
