"""Where the API server is and who we are: kubeconfig files, or the service account of the pod.

    --kubeconfig FILE  >  $KUBECONFIG (files joined by ":")  >  the pod's service account  >  ~/.kube/config

Everything wrong raises `ConnectionConfigError`, which names the file, the fact and the remedy.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from grove_operator.api.constants import OPERATOR_NAMESPACE

SERVICE_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"
SERVICE_ACCOUNT_DIR_ENV = "GROVE_SERVICEACCOUNT_DIR"


class ConnectionConfigError(Exception):
    """The kubeconfig or the service account can't be used as it is."""


@dataclass(frozen=True)
class Connection:
    """One API server and one identity. PEM texts are kept in memory; `token_file` is read anew for each use."""

    server: str
    ca: bytes | None = field(default=None, repr=False)
    insecure: bool = False
    tls_server_name: str | None = None
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    client_cert: bytes | None = field(default=None, repr=False)
    client_key: bytes | None = field(default=None, repr=False)
    proxy: str | None = None
    namespace: str = ""

    def bearer(self) -> str:
        """The token to send, or "". A token file may change at any time (projected tokens are renewed)."""
        if self.token_file is None:
            return self.token
        try:
            return self.token_file.read_text().strip()
        except OSError as error:
            raise ConnectionConfigError(f"token file {self.token_file}: {error.strerror}; mount it again") from error

    def ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cadata=self.ca.decode("ascii") if self.ca else None)
        except (ssl.SSLError, UnicodeDecodeError) as error:
            raise ConnectionConfigError(f"the CA data for {self.server} is no PEM certificate: {error}") from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_cert and self.client_key:
            _load_client_certificate(context, self.client_cert, self.client_key)
        return context


def connect(kubeconfig: str | Path | None = None) -> Connection:
    """The connection by the order in the module's docstring."""
    if kubeconfig or os.environ.get("KUBECONFIG"):
        return from_kubeconfig(kubeconfig)
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return in_cluster()
    return from_kubeconfig(None)


def in_cluster(environment: Mapping[str, str] | None = None) -> Connection:
    """The pod's own service account: server from the environment, token and CA from mounted files."""
    env = os.environ if environment is None else environment
    host, port = env.get("KUBERNETES_SERVICE_HOST", ""), env.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ConnectionConfigError("KUBERNETES_SERVICE_HOST is not set: this is no pod; give --kubeconfig")
    folder = Path(env.get(SERVICE_ACCOUNT_DIR_ENV) or SERVICE_ACCOUNT_DIR)
    token_file = folder / "token"
    if not token_file.is_file():
        raise ConnectionConfigError(f"{token_file} is missing; mount the service account's token or give --kubeconfig")
    namespace_file = folder / "namespace"
    return Connection(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        ca=_read(folder / "ca.crt"),
        token_file=token_file,
        namespace=namespace_file.read_text().strip() if namespace_file.is_file() else "",
    )


def own_namespace(connection: Connection) -> str:
    """Where our Lease and our Secret live: $POD_NAMESPACE, else the service account's namespace, else the default."""
    return os.environ.get("POD_NAMESPACE") or connection.namespace or OPERATOR_NAMESPACE


def from_kubeconfig(kubeconfig: str | Path | None = None, context: str | None = None) -> Connection:
    """The current context (or `context`) of a kubeconfig; without a path $KUBECONFIG, else ~/.kube/config."""
    joined = str(kubeconfig or os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    config = _Kubeconfig.load([Path(part) for part in joined.split(os.pathsep) if part])
    name = context or config.current_context
    if not name:
        raise ConnectionConfigError(f"kubeconfig {joined}: no current-context; set one with kubectl config use-context")
    chosen = config.entry("contexts", "context", name)
    cluster = config.entry("clusters", "cluster", str(chosen.get("cluster", "")))
    user = config.entry("users", "user", str(chosen["user"])) if chosen.get("user") else {}
    return _connection(joined, cluster, user, str(chosen.get("namespace") or ""))


def _connection(joined: str, cluster: Mapping[str, Any], user: Mapping[str, Any], namespace: str) -> Connection:
    for unsupported in ("exec", "auth-provider", "username"):
        if user.get(unsupported):
            raise ConnectionConfigError(
                f"kubeconfig {joined}: the user logs in by {unsupported!r}, which the operator does not run; "
                "use a token, a token file or a client certificate"
            )
    if not cluster.get("server"):
        raise ConnectionConfigError(f"kubeconfig {joined}: the cluster has no server; add its URL")
    token_file = user.get("tokenFile")
    return Connection(
        server=str(cluster["server"]).rstrip("/"),
        ca=_material(cluster, "certificate-authority"),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        tls_server_name=cluster.get("tls-server-name") or None,
        token=str(user.get("token") or ""),
        token_file=Path(_absolute(user, str(token_file))) if token_file and not user.get("token") else None,
        client_cert=_material(user, "client-certificate"),
        client_key=_material(user, "client-key"),
        proxy=cluster.get("proxy-url") or None,
        namespace=namespace,
    )


@dataclass(frozen=True)
class _Kubeconfig:
    """One or more files merged: the first to name an entry wins. Each entry remembers its folder for relative paths."""

    label: str
    current_context: str
    entries: Mapping[tuple[str, str], Mapping[str, Any]]

    @classmethod
    def load(cls, paths: list[Path]) -> _Kubeconfig:
        label = os.pathsep.join(map(str, paths))
        entries: dict[tuple[str, str], Mapping[str, Any]] = {}
        current = ""
        found = [path for path in paths if path.is_file()]
        if not found:
            raise ConnectionConfigError(f"kubeconfig {label} does not exist; give --kubeconfig or set KUBECONFIG")
        for path in found:
            document = _parse(path)
            current = current or str(document.get("current-context") or "")
            for section, singular in (("clusters", "cluster"), ("contexts", "context"), ("users", "user")):
                for item in document.get(section) or []:
                    body = {**(item.get(singular) or {}), _FOLDER: str(path.parent)}
                    entries.setdefault((section, str(item.get("name", ""))), body)
        return cls(label, current, entries)

    def entry(self, section: str, singular: str, name: str) -> Mapping[str, Any]:
        try:
            return self.entries[(section, name)]
        except KeyError:
            raise ConnectionConfigError(
                f"kubeconfig {self.label}: no {singular} named {name!r}; add it or choose another context"
            ) from None


_FOLDER = "\0folder"


def _parse(path: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConnectionConfigError(f"kubeconfig {path} can't be read: {error}") from error
    if not isinstance(document, dict):
        raise ConnectionConfigError(f"kubeconfig {path} is no mapping; is it a kubeconfig at all?")
    return document


def _absolute(entry: Mapping[str, Any], path: str) -> str:
    """Relative paths count from the kubeconfig's own folder."""
    return os.path.join(entry.get(_FOLDER, ""), path)


def _material(entry: Mapping[str, Any], name: str) -> bytes | None:
    """PEM bytes of `NAME-data` (base64) or of the file `NAME`; data wins, as in kubectl."""
    if data := entry.get(f"{name}-data"):
        try:
            return base64.b64decode(str(data), validate=True)
        except binascii.Error as error:
            raise ConnectionConfigError(f"kubeconfig: {name}-data is no base64: {error}") from error
    return _read(Path(_absolute(entry, str(entry[name])))) if entry.get(name) else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConnectionConfigError(f"{path}: {error.strerror}; correct the path") from error


def _load_client_certificate(context: ssl.SSLContext, cert: bytes, key: bytes) -> None:
    """`ssl` takes files only: private ones, gone again before anything else runs."""
    with tempfile.TemporaryDirectory(prefix="grove-") as folder:
        pem = Path(folder) / "client.pem"
        pem.touch(mode=0o600)
        pem.write_bytes(cert.rstrip() + b"\n" + key)
        try:
            context.load_cert_chain(pem)
        except ssl.SSLError as error:
            raise ConnectionConfigError(f"client certificate and key can't be used: {error}") from error
