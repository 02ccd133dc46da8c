"""Kubeconfigs and service accounts: what is read, which wins, and what a wrong one says."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from grove_operator.kube import connection
from grove_operator.kube.connection import ConnectionConfigError, connect, from_kubeconfig, in_cluster


def kubeconfig(path: Path, user: dict[str, Any], cluster: dict[str, Any] | None = None, current: str = "here") -> Path:
    document = {
        "current-context": current,
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "team-a"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://example.invalid:6443/", **(cluster or {})}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_token_and_inline_ca_are_read(tmp_path: Path) -> None:
    ca = base64.b64encode(b"PEM").decode()
    found = from_kubeconfig(kubeconfig(tmp_path / "k", {"token": "t0"}, {"certificate-authority-data": ca}))
    assert (found.server, found.bearer(), found.ca, found.namespace) == (
        "https://example.invalid:6443",
        "t0",
        b"PEM",
        "team-a",
    )


def test_paths_count_from_the_kubeconfigs_folder(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CA")
    (tmp_path / "token").write_text("first\n")
    found = from_kubeconfig(kubeconfig(tmp_path / "k", {"tokenFile": "token"}, {"certificate-authority": "ca.pem"}))
    assert found.ca == b"CA"
    assert found.bearer() == "first"
    (tmp_path / "token").write_text("renewed\n")
    assert found.bearer() == "renewed"


@pytest.mark.parametrize("login", ["exec", "auth-provider", "username"])
def test_a_login_that_needs_a_program_is_refused_with_a_remedy(tmp_path: Path, login: str) -> None:
    with pytest.raises(ConnectionConfigError, match=f"{login}.*use a token"):
        from_kubeconfig(kubeconfig(tmp_path / "k", {login: {"command": "aws"}}))


def test_a_context_that_names_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConnectionConfigError, match="no context named 'elsewhere'"):
        from_kubeconfig(kubeconfig(tmp_path / "k", {}, current="elsewhere"))
    with pytest.raises(ConnectionConfigError, match="does not exist"):
        from_kubeconfig(tmp_path / "missing")
    (tmp_path / "text").write_text("just words")
    with pytest.raises(ConnectionConfigError, match="no mapping"):
        from_kubeconfig(tmp_path / "text")


def test_of_several_files_the_first_to_name_an_entry_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = kubeconfig(tmp_path / "a", {"token": "from-a"})
    second = kubeconfig(tmp_path / "b", {"token": "from-b"})
    monkeypatch.setenv("KUBECONFIG", f"{first}:{second}")
    assert connect().bearer() == "from-a"


def test_a_pod_uses_its_service_account_and_reads_the_token_anew(tmp_path: Path) -> None:
    for name, content in (("token", "one"), ("ca.crt", "CA"), ("namespace", "grove-system\n")):
        (tmp_path / name).write_text(content)
    env = {
        "KUBERNETES_SERVICE_HOST": "fd00::1",
        "KUBERNETES_SERVICE_PORT": "6443",
        connection.SERVICE_ACCOUNT_DIR_ENV: str(tmp_path),
    }
    found = in_cluster(env)
    assert (found.server, found.namespace, found.bearer()) == ("https://[fd00::1]:6443", "grove-system", "one")
    (tmp_path / "token").write_text("two")
    assert found.bearer() == "two"


def test_outside_a_pod_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConnectionConfigError, match="no pod"):
        in_cluster({})
    with pytest.raises(ConnectionConfigError, match="token is missing"):
        in_cluster({"KUBERNETES_SERVICE_HOST": "h", connection.SERVICE_ACCOUNT_DIR_ENV: str(tmp_path)})
