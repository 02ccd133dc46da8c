"""Making and judging the webhook server's certificate: pure but for the random keys. PEM bytes in and out.

Grove-CA (10 years) ── signs ──> server certificate (1 year, renewed 90 days ahead)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_NAME, CA_ORGANISATION = "Grove-CA", "Grove"
CA_LIFETIME = timedelta(days=3650)
SERVER_LIFETIME = timedelta(days=365)
RENEW_AHEAD = timedelta(days=90)
BACKDATED = timedelta(minutes=5)
"""Certificates begin a little in the past, so that a server whose clock lags accepts them too."""


@dataclass(frozen=True, slots=True)
class CertificatePair:
    """`ca` is a bundle: the signing CA first, then former ones that are still valid. `ca_key` may be empty."""

    ca: bytes
    ca_key: bytes = field(repr=False)
    cert: bytes
    key: bytes = field(repr=False)


def dns_names(service: str, namespace: str) -> list[str]:
    """Every name by which the API server and others may call the webhook Service."""
    full = f"{service}.{namespace}.svc"
    return [service, f"{service}.{namespace}", full, f"{full}.cluster.local"]


def issue(names: Sequence[str], now: datetime, former: CertificatePair | None = None) -> CertificatePair:
    """A fresh server certificate, by the former CA where its key is there and it outlives the certificate.

    A new CA takes the former's place in front of the bundle; the former stays until it expires, so that a server
    that still shows its old certificate is trusted meanwhile.
    """
    authority = _usable_authority(former, now) if former else None
    if authority is None:
        key = ec.generate_private_key(ec.SECP256R1())
        authority = _make_ca(key, now), key
        kept = _still_valid(former.ca, now) if former else []
    else:
        kept = [other for other in _still_valid(former.ca if former else b"", now) if other != authority[0]]
    ca_cert, ca_key = authority
    server_key = ec.generate_private_key(ec.SECP256R1())
    cert = _make_server_certificate(server_key, names, ca_cert, ca_key, now)
    return CertificatePair(
        ca=b"".join(one.public_bytes(Encoding.PEM) for one in [ca_cert, *kept]),
        ca_key=_pem(ca_key),
        cert=cert.public_bytes(Encoding.PEM),
        key=_pem(server_key),
    )


def fault_of(pair: CertificatePair, names: Sequence[str], now: datetime) -> str:
    """Why the pair must be replaced, or "" when it is good for another 90 days and covers all `names`."""
    try:
        cert = x509.load_pem_x509_certificate(pair.cert)
        authorities = x509.load_pem_x509_certificates(pair.ca)
        key = serialization.load_pem_private_key(pair.key, password=None)
        covered = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound) as error:
        return f"it can't be read: {error}"
    if key.public_key() != cert.public_key():
        return "its key belongs to another certificate"
    if not any(_signed_by(cert, ca) for ca in authorities if ca.not_valid_after_utc > now):
        return "its CA is missing or has expired"
    if cert.not_valid_after_utc - RENEW_AHEAD <= now:
        return f"it expires on {cert.not_valid_after_utc:%Y-%m-%d}"
    missing = sorted(set(names) - set(covered.get_values_for_type(x509.DNSName)))
    return f"it does not cover {', '.join(missing)}" if missing else ""


def _usable_authority(
    former: CertificatePair, now: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    try:
        cert = x509.load_pem_x509_certificates(former.ca)[0]
        key = serialization.load_pem_private_key(former.ca_key, password=None)
    except (ValueError, TypeError, IndexError):
        return None
    outlives = cert.not_valid_after_utc >= now + SERVER_LIFETIME
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != cert.public_key() or not outlives:
        return None
    return cert, key


def _still_valid(bundle: bytes, now: datetime) -> list[x509.Certificate]:
    try:
        return [cert for cert in x509.load_pem_x509_certificates(bundle) if cert.not_valid_after_utc > now]
    except ValueError:
        return []


def _signed_by(cert: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        cert.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _make_ca(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, CA_ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, CA_NAME),
        ]
    )
    builder = _begin(name, name, key.public_key(), now, CA_LIFETIME)
    usage = _key_usage(signs_certificates=True)
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _make_server_certificate(
    key: ec.EllipticCurvePrivateKey,
    names: Sequence[str],
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = _begin(subject, ca.subject, key.public_key(), now, SERVER_LIFETIME)
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(authority_id, critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _begin(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - BACKDATED).not_valid_after(now + lifetime)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
