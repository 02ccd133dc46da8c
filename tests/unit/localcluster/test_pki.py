import base64
import ipaddress
import ssl
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from grove_operator.localcluster.pki import USERS, ensure_pki, write_kubeconfig


def test_the_ca_signs_a_serving_certificate_for_loopback_and_the_service_names(tmp_path: Path) -> None:
    pki = ensure_pki(tmp_path / "pki")
    serving = x509.load_pem_x509_certificate(pki.serving_cert.read_bytes())
    serving.verify_directly_issued_by(x509.load_pem_x509_certificate(pki.ca.read_bytes()))
    names = serving.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ipaddress.ip_address("127.0.0.1") in names.get_values_for_type(x509.IPAddress)
    assert {"localhost", "kubernetes.default.svc"} <= set(names.get_values_for_type(x509.DNSName))


def test_python_and_the_key_agree_with_the_certificate(tmp_path: Path) -> None:
    pki = ensure_pki(tmp_path)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(pki.serving_cert, pki.serving_key)
    ssl.create_default_context(cafile=str(pki.ca))


def test_the_service_account_keys_are_a_pair(tmp_path: Path) -> None:
    pki = ensure_pki(tmp_path)
    private = serialization.load_pem_private_key(pki.service_account_key.read_bytes(), None)
    assert not isinstance(private, ec.EllipticCurvePrivateKey)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert public == pki.service_account_public_key.read_bytes()


def test_every_user_has_a_token_of_its_own_and_only_two_are_masters(tmp_path: Path) -> None:
    pki = ensure_pki(tmp_path)
    assert len({pki.token(user) for user in USERS}) == len(USERS)
    lines = dict.fromkeys(pki.tokens.read_text().splitlines())
    assert sorted(line.split(",")[1] for line in lines if "system:masters" in line) == [
        "grove-admin",
        "grove:node-agent",
    ]


def test_keys_are_kept_and_a_folder_cut_short_is_made_anew_as_a_whole(tmp_path: Path) -> None:
    pki = ensure_pki(tmp_path)
    first = pki.ca.read_bytes()
    assert ensure_pki(tmp_path).ca.read_bytes() == first
    pki.serving_key.unlink()
    assert ensure_pki(tmp_path).ca.read_bytes() != first


def test_private_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    pki = ensure_pki(tmp_path)
    for path in (pki.ca_key, pki.serving_key, pki.service_account_key, pki.tokens):
        assert path.stat().st_mode & 0o077 == 0


def test_a_kubeconfig_holds_all_that_it_needs(tmp_path: Path) -> None:
    pki = ensure_pki(tmp_path)
    path = tmp_path / "kubeconfig"
    write_kubeconfig(path, cluster="x", server="https://127.0.0.1:7", ca=pki.ca, user="u", token="t")
    config = yaml.safe_load(path.read_text())
    assert base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]) == pki.ca.read_bytes()
    assert config["users"] == [{"name": "u", "user": {"token": "t"}}]
    context = {entry["name"]: entry["context"] for entry in config["contexts"]}[config["current-context"]]
    assert context == {"cluster": "grove-x", "user": "u"}
