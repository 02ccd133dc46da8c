"""Check: new inputs with the default namespace, a name, and known kinds in canonical form."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass

from standin_provider.annotations import read_settings
from standin_provider.errors import ProviderError
from standin_provider.objects import AUTONAMED, check_kind, normalise
from standin_provider.readiness import readiness_of
from standin_provider.wire import Json, Tree


@dataclass(frozen=True)
class Naming:
    """How an object without a name gets one. `proposed`: the engine's own proposal; `enforced`: it must be that one."""

    resource: str
    seed: bytes
    proposed: str = ""
    enforced: bool = False
    disabled: bool = False

    def name(self) -> str:
        """Raises ProviderError if the project forbids made-up names."""
        if self.disabled:
            raise ProviderError("has no metadata.name, and automatic naming is disabled in this project")
        if self.proposed:
            return self.proposed
        return f"{self.resource.lower()}-{hashlib.sha256(self.seed + self.resource.encode()).hexdigest()[:8]}"


def checked(token: str, olds: Tree, news: Tree, naming: Naming, *, namespaced: bool | None, namespace: str) -> Tree:
    """`namespaced`: whether the kind lives in namespaces, None if nobody knows yet (its CRD comes with this program).

    Raises ProviderError and Unmodelled for what can't be created as it stands.
    """
    check_kind(token)
    value = copy.deepcopy(news.value)
    for key in ("apiVersion", "kind"):
        if not isinstance(value.get(key), str):
            raise ProviderError(f"has no {key}")
    metadata = value.setdefault("metadata", {})
    if isinstance(metadata, dict) and ("metadata",) not in news.unknowns:
        if "generateName" in metadata:
            raise ProviderError("metadata.generateName is not modelled by the kubernetes stand-in; set metadata.name")
        if not metadata.get("name"):
            _name(metadata, olds.value.get("metadata") or {}, naming)
        if namespaced and not metadata.get("namespace"):
            metadata["namespace"] = namespace
    tree = normalise(Tree(value, news.secrets, news.unknowns))
    if not read_settings(tree.value).skip_await:
        readiness_of(tree.value)
    return tree


def _name(metadata: Json, old: Json, naming: Naming) -> None:
    """Keeps a made-up name as long as the object lives, so that an unnamed object isn't replaced at every update."""
    kept = old.get("name") if (old.get("annotations") or {}).get(AUTONAMED) == "true" else None
    metadata["name"] = kept or naming.name()
    metadata["annotations"] = {**(metadata.get("annotations") or {}), AUTONAMED: "true"}
