"""The provider's own configuration (kubeconfig, context, namespace, switches) and the API server that it leads to."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from standin_provider.errors import ProviderError, Unmodelled
from standin_provider.wire import UNKNOWNS, Json

_TEXTS = {"kubeconfig", "context", "cluster", "namespace", "clusterIdentifier", "version", "pluginDownloadURL"}
_SWITCHES = {"enableConfigMapMutable", "enableSecretMutable", "upsertExistingObjects"}
_WITHOUT_EFFECT_HERE = {"kubeClientSettings", "suppressDeprecationWarnings", "suppressHelmHookWarnings"}
_ONLY_AT = {"enableServerSideApply": True}  # the stand-in knows no other mode
_MUST_BE_OFF = {
    "alwaysRender",
    "deleteUnreachable",
    "enablePatchForce",
    "enableReplaceCRD",
    "skipUpdateUnreachable",
}


@dataclass(frozen=True)
class Endpoint:
    """One API server and how to prove who we are. `ca`, `cert`, `key` are PEM texts, "" if absent."""

    server: str
    namespace: str = ""
    ca: str = ""
    cert: str = ""
    key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    insecure: bool = False


@dataclass(frozen=True)
class ProviderSettings:
    """`endpoint` is None while the kubeconfig is not known yet (it may be the output of another resource)."""

    endpoint: Endpoint | None
    namespace: str = "default"
    mutable_data: frozenset[str] = frozenset()
    upserts: bool = False
    """A create takes over what exists already: modelled for CRDs, refused for anything else."""


def faults(args: Json) -> list[tuple[str, str]]:
    """(property, reason) of each provider argument that the stand-in can't honour."""
    found = []
    for key, value in args.items():
        plain = _plain(value)
        if key in _TEXTS | _SWITCHES | _WITHOUT_EFFECT_HERE or value in ("", None) or _is_unknown(value):
            continue
        if (key in _ONLY_AT and plain == _ONLY_AT[key]) or (key in _MUST_BE_OFF and plain is False):
            continue
        found.append((key, str(Unmodelled(f"the provider argument {key}={plain!r}"))))
    return found


def read_settings(args: Json, environ: Mapping[str, str]) -> ProviderSettings:
    """Provider arguments, else KUBECONFIG, as the official provider takes them. Raises ProviderError (not on loopback,
    no such context, ...) and Unmodelled."""
    for key, reason in faults(args):
        raise ProviderError(f"{key}: {reason}")
    if any(_is_unknown(args.get(key)) for key in ("kubeconfig", "context", "cluster")):
        return ProviderSettings(None)
    endpoint = find_endpoint(
        str(args.get("kubeconfig") or ""), str(args.get("context") or ""), str(args.get("cluster") or ""), environ
    )
    require_loopback(endpoint.server)
    mutable = {
        kind
        for kind, key in (("ConfigMap", "enableConfigMapMutable"), ("Secret", "enableSecretMutable"))
        if _plain(args.get(key)) is True
    }
    namespace = str(args.get("namespace") or endpoint.namespace or "default")
    upserts = _plain(args.get("upsertExistingObjects")) is True
    return ProviderSettings(endpoint, namespace, frozenset(mutable), upserts)


def require_loopback(server: str) -> None:
    """Raises ProviderError unless the server's address is `localhost` or a loopback address; asks no name server."""
    host = urlsplit(server).hostname or ""
    try:
        on_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        on_loopback = host == "localhost"
    if not on_loopback:
        raise ProviderError(
            f"the kubernetes stand-in refuses the API server {server}: it talks to servers on loopback only; "
            "use Pulumi's official kubernetes provider for it (pulumi plugin install resource kubernetes)"
        )


def find_endpoint(kubeconfig: str, context: str, cluster: str, environ: Mapping[str, str]) -> Endpoint:
    """`kubeconfig` is the content or a path; empty means $KUBECONFIG, else ~/.kube/config."""
    content, origin = _read_kubeconfig(kubeconfig, environ)
    try:
        config = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ProviderError(f"kubeconfig {origin}: not YAML ({error.__class__.__name__})") from error
    if not isinstance(config, dict):
        raise ProviderError(f"kubeconfig {origin}: not a kubeconfig; give a path to one or its content")
    name = context or config.get("current-context") or ""
    chosen = _named(config, "contexts", name, origin).get("context") or {}
    server = _named(config, "clusters", cluster or chosen.get("cluster", ""), origin).get("cluster") or {}
    user = _named(config, "users", chosen["user"], origin).get("user") or {} if chosen.get("user") else {}
    for key in user.keys() & {"exec", "auth-provider", "username", "password", "as", "impersonate"}:
        raise Unmodelled(f"{key!r} of user {chosen['user']} in kubeconfig {origin}")
    for key in server.keys() & {"proxy-url", "tls-server-name"}:
        raise Unmodelled(f"{key} in kubeconfig {origin}")
    base = Path(origin).parent if origin != "given as text" else Path()
    return Endpoint(
        server=str(server.get("server") or "").rstrip("/"),
        namespace=str(chosen.get("namespace") or ""),
        ca=_pem(server, "certificate-authority", base),
        cert=_pem(user, "client-certificate", base),
        key=_pem(user, "client-key", base),
        token=str(user.get("token") or "") or _file(user.get("tokenFile"), base).strip(),
        insecure=bool(server.get("insecure-skip-tls-verify")),
    )


def replaced_by(old: Json, new: Json) -> list[str]:
    """Arguments whose change means another cluster, so that everything in it has to be made anew.

    `clusterIdentifier` alone decides where it is given; else the active cluster's entry in the kubeconfig.
    """
    if new.get("clusterIdentifier") and old.get("clusterIdentifier"):
        return ["clusterIdentifier"] if new["clusterIdentifier"] != old["clusterIdentifier"] else []
    changed = [k for k in ("kubeconfig", "context", "cluster") if old.get(k, "") != new.get(k, "")]
    if not changed:
        return []
    try:
        before, after = (
            find_endpoint(
                str(a.get("kubeconfig", "")), str(a.get("context", "")), str(a.get("cluster", "")), os.environ
            )
            for a in (old, new)
        )
    except ProviderError:
        return []  # an unreadable kubeconfig says nothing about the cluster's identity
    return changed if (before.server, before.ca) != (after.server, after.ca) else []


def write_private(text: str) -> str:
    """A file that only we can read, for the libraries that want a path. The caller removes it."""
    handle, path = tempfile.mkstemp(prefix="grove-standin-")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    return path


def _read_kubeconfig(kubeconfig: str, environ: Mapping[str, str]) -> tuple[str, str]:
    if "\n" in kubeconfig or kubeconfig.lstrip().startswith("{"):
        return kubeconfig, "given as text"
    listed = [p for p in environ.get("KUBECONFIG", "").split(os.pathsep) if p]
    if not kubeconfig and len(listed) > 1:
        raise Unmodelled("a KUBECONFIG of several files")
    path = Path(kubeconfig or (listed[0] if listed else "~/.kube/config")).expanduser()
    try:
        return path.read_text(), str(path)
    except OSError as error:
        where = "the provider's kubeconfig argument" if kubeconfig else "KUBECONFIG"
        raise ProviderError(
            f"kubeconfig {path} (from {where}): {error.strerror}; start the local cluster with `grove up`, "
            "or set KUBECONFIG or the stack's kubeconfig"
        ) from error


def _named(config: Json, section: str, name: str, origin: str) -> Json:
    entries = [e for e in config.get(section) or [] if isinstance(e, dict)]
    for entry in entries:
        if entry.get("name") == name:
            return entry
    names = ", ".join(str(e.get("name")) for e in entries) or "none"
    raise ProviderError(f"kubeconfig {origin}: {section} has no {name!r} (it has: {names})")


def _pem(entry: Json, key: str, base: Path) -> str:
    if data := entry.get(f"{key}-data"):
        return base64.b64decode(data).decode()
    return _file(entry.get(key), base)


def _file(path: Any, base: Path) -> str:
    if not path:
        return ""
    try:
        return (base / str(path)).read_text()
    except OSError as error:
        raise ProviderError(f"kubeconfig refers to {path}: {error.strerror}") from error


def _plain(value: Any) -> Any:
    """Provider arguments that aren't strings arrive as JSON text."""
    if isinstance(value, str) and value in ("true", "false"):
        return json.loads(value)
    return value


def _is_unknown(value: Any) -> bool:
    return isinstance(value, str) and value in UNKNOWNS
