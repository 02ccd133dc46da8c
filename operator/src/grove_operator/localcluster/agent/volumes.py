"""Materialises a real pod's volumes as directories on disk, and keeps tokens and maps fresh.

    <pod dir>/volumes/<volume>/...      configMap, secret, downwardAPI, projected, emptyDir
    <state dir>/claims/<ns>/<claim>/    PersistentVolumeClaims, which outlive the pod

Files are replaced by rename within the directory, so that a bind mount of it shows the new content at once.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from grove_operator.api.kinds import CONFIG_MAP, SECRET, SERVICE_ACCOUNT, Json, Kind
from grove_operator.engine.ports import KubeApi, NotFound
from grove_operator.localcluster.agent.admission import ROOT_CA
from grove_operator.localcluster.agent.environment import ConfigError, field_value, resource_value

Contents = dict[str, bytes]
TOKEN_S = 3607


class PodObjects:
    """Secrets and ConfigMaps of one pod, each read once until `forget`."""

    def __init__(self, api: KubeApi, namespace: str, ca: bytes) -> None:
        self._api, self._namespace, self._ca = api, namespace, ca
        self._known: dict[tuple[str, str], Contents | None] = {}

    def forget(self) -> None:
        self._known.clear()

    async def load(self, kind: Kind, name: str) -> Contents | None:
        """Decoded data, None when absent; the root CA map falls back to the CA of the agent's own kubeconfig."""
        if (kind.kind, name) not in self._known:
            try:
                self._known[kind.kind, name] = _contents(await self._api.get(kind, self._namespace, name))
            except NotFound:
                ours = {"ca.crt": self._ca} if (kind, name) == (CONFIG_MAP, ROOT_CA) else None
                self._known[kind.kind, name] = ours
        return self._known[kind.kind, name]

    async def load_environment(self, pod: Json) -> None:
        """Reads all that env and envFrom name, so that `text` can answer without waiting."""
        for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
            sources = [
                *(container.get("envFrom") or []),
                *[e.get("valueFrom") or {} for e in container.get("env") or []],
            ]
            for source in sources:
                for field, kind in (
                    ("secretRef", SECRET),
                    ("secretKeyRef", SECRET),
                    ("configMapRef", CONFIG_MAP),
                    ("configMapKeyRef", CONFIG_MAP),
                ):
                    if field in source:
                        await self.load(kind, source[field]["name"])

    def text(self, kind: str, name: str) -> dict[str, str] | None:
        data = self._known.get((kind, name))
        return None if data is None else {key: value.decode(errors="replace") for key, value in data.items()}


def _contents(obj: Json) -> Contents:
    decoded = {k: base64.b64decode(v) for k, v in (obj.get("binaryData") or {}).items()}
    for key, value in (obj.get("data") or {}).items():
        decoded[key] = base64.b64decode(value) if obj.get("kind") == "Secret" else value.encode()
    return decoded


class Volumes:
    """The volumes of one pod; `materialise` may be called again to refresh them."""

    def __init__(
        self, api: KubeApi, pod: Json, node: Json, ip: str, directory: Path, claims: Path, objects: PodObjects
    ) -> None:
        self._api, self._pod, self._node, self._ip = api, pod, node, ip
        self._directory, self._claims, self._objects = directory, claims, objects
        self.paths: dict[str, Path] = {}
        self._tokens: dict[str, tuple[bytes, float]] = {}

    async def materialise(self) -> None:
        """Raises ConfigError for what is missing or not supported, ApiError when the API server doesn't answer."""
        for volume in self._pod["spec"].get("volumes") or []:
            self.paths[volume["name"]] = await self._one(volume)

    async def _one(self, volume: Json) -> Path:
        if "hostPath" in volume:
            return self._host_path(volume["hostPath"])
        if "persistentVolumeClaim" in volume or "ephemeral" in volume:
            generated = f"{self._pod['metadata']['name']}-{volume['name']}"
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName") or generated
            path = self._claims.joinpath(self._pod["metadata"]["namespace"], claim)
        else:
            path = self._directory.joinpath(volume["name"])
        path.mkdir(parents=True, exist_ok=True)
        if "emptyDir" in volume:
            path.chmod(0o777)
        elif "configMap" in volume or "secret" in volume or "downwardAPI" in volume:
            _write(path, await self._source(volume), _mode(volume))
        elif "projected" in volume:
            files: Contents = {}
            for source in volume["projected"].get("sources") or []:
                files |= await self._source(source)
            _write(path, files, volume["projected"].get("defaultMode") or 0o644)
        elif "persistentVolumeClaim" not in volume and "ephemeral" not in volume:
            kinds = ", ".join(k for k in volume if k != "name")
            raise ConfigError(f"volume {volume['name']}: {kinds} is not supported by the node agent")
        return path

    def _host_path(self, source: Json) -> Path:
        path = Path(source["path"])
        if source.get("type") == "DirectoryOrCreate":
            path.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            raise ConfigError(f"hostPath {path} does not exist")
        return path

    async def _source(self, source: Json) -> Contents:
        readers: dict[str, Callable[[Json], Awaitable[Contents]]] = {
            "configMap": lambda s: self._map(CONFIG_MAP, s["name"], s),
            "secret": lambda s: self._map(SECRET, s.get("secretName") or s.get("name") or "", s),
            "downwardAPI": self._downward,
            "serviceAccountToken": self._token,
        }
        for name, reader in readers.items():
            if name in source:
                return await reader(source[name])
        raise ConfigError(f"projected volume source {', '.join(source)} is not supported by the node agent")

    async def _map(self, kind: Kind, name: str, source: Json) -> Contents:
        data = await self._objects.load(kind, name)
        if data is None:
            if source.get("optional"):
                return {}
            raise ConfigError(f'{kind.kind.lower()} "{name}" not found')
        if not source.get("items"):
            return data
        files: Contents = {}
        for item in source["items"]:
            if item["key"] in data:
                files[item["path"]] = data[item["key"]]
            elif not source.get("optional"):
                raise ConfigError(f'{kind.kind.lower()} "{name}" references non-existent key {item["key"]}')
        return files

    async def _downward(self, source: Json) -> Contents:
        files: Contents = {}
        for item in source.get("items") or []:
            if "fieldRef" in item:
                value = field_value(self._pod, self._ip, item["fieldRef"]["fieldPath"])
            else:
                value = resource_value(self._pod, {}, self._node, item["resourceFieldRef"])
            files[item["path"]] = value.encode()
        return files

    async def _token(self, source: Json) -> Contents:
        """A token bound to the pod, asked for again after four fifths of its life."""
        meta, spec = self._pod["metadata"], self._pod["spec"]
        seconds = max(600, source.get("expirationSeconds") or TOKEN_S)
        token, until = self._tokens.get(source["path"], (b"", 0.0))
        if time.monotonic() < until:
            return {source["path"]: token}
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [source["audience"]] if source.get("audience") else [],
                "expirationSeconds": seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]},
            },
        }
        account = spec.get("serviceAccountName") or "default"
        answer = await self._api.create(SERVICE_ACCOUNT, meta["namespace"], request, subresource_of=f"{account}/token")
        token = answer["status"]["token"].encode()
        self._tokens[source["path"]] = token, time.monotonic() + 0.8 * seconds
        return {source["path"]: token}


def _mode(volume: Json) -> int:
    source = volume.get("configMap") or volume.get("secret") or volume.get("downwardAPI") or {}
    return int(source.get("defaultMode") or 0o644)


def _write(directory: Path, files: Contents, mode: int) -> None:
    """Makes the directory hold exactly these files."""
    for name, content in files.items():
        path = directory / name
        if path.is_file() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_bytes(content)
        fresh.chmod(mode)
        os.replace(fresh, path)
    for path in directory.rglob("*"):
        if path.is_file() and str(path.relative_to(directory)) not in files:
            path.unlink()


def needs_refresh(pod: Json) -> bool:
    """Whether any volume's content can change while the pod runs."""
    kinds = ("configMap", "secret", "projected", "downwardAPI")
    return any(kind in volume for volume in pod["spec"].get("volumes") or [] for kind in kinds)
