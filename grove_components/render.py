"""A stack's manifests as files, from the stack file alone: no engine, no state, no cluster.

    DIR/kustomization.yaml            lists the rest in the order to apply them
        crds/<name>.yaml              one object a file
        operator/<kind>-<name>.yaml
        ...

What is written equals what `pulumi up` applies. Only the Secrets made from encrypted values of the stack file are left
out, and named: they belong in no Git tree.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from grove_components.checks import InvalidInputError
from grove_components.config import StackConfig
from grove_components.stack_checks import check_stack
from grove_components.stack_objects import stages
from grove_operator.api.kinds import Json

PROJECT = "grove"
INDEX = "kustomization.yaml"
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""The quick one where PyYAML was built with it: CRDs are large."""
MARK = "# written by grove render; files listed here are replaced by the next run"


@dataclass(frozen=True)
class Rendered:
    """File texts by path below the target folder, in apply order, and what was left out."""

    files: dict[str, str]
    left_out: tuple[str, ...]


def read_stack(folder: Path, stack: str) -> StackConfig:
    """The checked config of `<folder>/stacks/Pulumi.<stack>.yaml`. Raises InvalidInputError with every fault.

    Encrypted values stay unread: a placeholder stands for them.
    """
    path = folder / "stacks" / f"Pulumi.{stack}.yaml"
    shown = f"stacks/Pulumi.{stack}.yaml"
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError:
        known = ", ".join(sorted(p.name.split(".")[1] for p in folder.glob("stacks/Pulumi.*.yaml"))) or "none"
        raise InvalidInputError(shown, [f"there is no such file; stacks here: {known}"]) from None
    except yaml.YAMLError as error:
        raise InvalidInputError(shown, [f"is no YAML: {error}"]) from None
    mine = {
        key.removeprefix(f"{PROJECT}:"): value
        for key, value in (content.get("config") or {}).items()
        if key.startswith(f"{PROJECT}:")
    }
    secret = {key for key, value in mine.items() if isinstance(value, dict) and set(value) == {"secure"}}
    values = {key: "encrypted" if key in secret else as_engine_gives(value) for key, value in mine.items()}
    config = StackConfig.parse(values, secret, shown, PROJECT, stack)
    check_stack(config)
    return config


def as_engine_gives(value: Any) -> str:
    """The engine hands every value over as text, structured ones as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def render(config: StackConfig) -> Rendered:
    """Every object of a checked stack as a file of its own."""
    files: dict[str, str] = {}
    for stage in stages(config):
        for manifest in stage.objects:
            files[file_name(stage.name, manifest)] = as_yaml(manifest)
    index = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": list(files)}
    left_out = []
    if config.graph and config.hf_token and config.makes_workloads:
        graph = config.graph
        left_out.append(f"Secret {graph.namespace}/{graph.token_secret} (key HF_TOKEN, from grove:hfToken)")
    return Rendered({INDEX: f"{MARK}\n{as_yaml(index)}", **files}, tuple(left_out))


def file_name(stage: str, manifest: Json) -> str:
    """Unique in a stack: stage, kind, namespace and name."""
    metadata = manifest["metadata"]
    parts = [manifest["kind"].lower(), metadata.get("namespace", ""), metadata["name"].replace(":", "-")]
    if stage == "crds":
        return f"crds/{metadata['name']}.yaml"
    return f"{stage}/{'-'.join(part for part in parts if part)}.yaml"


def as_yaml(manifest: Json) -> str:
    text: str = yaml.dump(manifest, Dumper=DUMPER, sort_keys=False, allow_unicode=True, width=120)
    return text


def write(rendered: Rendered, folder: Path) -> list[str]:
    """Write the files and remove those of the run before; returns the paths that changed.

    Raises ValueError for a folder that holds other things: nobody's files are mixed with ours.
    """
    before = listed(folder)
    changed = []
    for name in before - rendered.files.keys():
        (folder / name).unlink(missing_ok=True)
        changed.append(name)
    for name, text in rendered.files.items():
        path = folder / name
        if path.is_file() and path.read_text() == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        changed.append(name)
    return sorted(changed)


def listed(folder: Path) -> set[str]:
    """Files that an earlier run wrote here."""
    if not folder.exists() or not any(folder.iterdir()):
        return set()
    index = folder / INDEX
    if not index.is_file() or not index.read_text().startswith(MARK):
        raise ValueError(f"{folder} holds other files; name an empty folder, or one that grove render wrote")
    names = {str(name) for name in yaml.safe_load(index.read_text()).get("resources", ())}
    outside = [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts]
    if outside:
        raise ValueError(f"{index} lists {outside[0]}, which is outside of the folder; remove that line")
    return names | {INDEX}
