"""CustomResourceDefinitions, generated from the models. The files under operator/crds equal `all_crds()`."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel

from grove_operator.api import kinds
from grove_operator.api.constants import OPERATOR_NAMESPACE
from grove_operator.api.dynamographdeployment import DynamoGraphDeployment
from grove_operator.api.dynamographdeployment_v1beta1 import DynamoGraphDeploymentV1beta1
from grove_operator.api.dynamoscalingadapter import ScalingAdapter, ScalingAdapterV1alpha1
from grove_operator.api.dynamoworkermetadata import DynamoWorkerMetadata
from grove_operator.api.install_conversion import DEFAULT_PORT, conversion_service
from grove_operator.api.kinds import Json, Kind
from grove_operator.api.podclique import PodClique
from grove_operator.api.podcliqueset import PodCliqueSet
from grove_operator.api.podgang import PodGang
from grove_operator.api.podgangset import PodGangSet
from grove_operator.api.scalinggroup import PodCliqueScalingGroup
from grove_operator.api.structural import schema_of
from grove_operator.api.topology import ClusterTopologyBinding

PROMOTED = "v1beta1"
"""The version that the operator serves and stores where there is a conversion server."""
_BREACHED = '.status.conditions[?(@.type=="MinAvailableBreached")].status'


def _column(name: str, path: str, kind: str = "integer", priority: int = 0) -> Json:
    column: Json = {"name": name, "type": kind, "jsonPath": path}
    return {**column, "priority": priority} if priority else column


_AGE = _column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True, slots=True)
class Version:
    """Another version of a kind, with what kubectl shows of it."""

    name: str
    model: type[BaseModel]
    columns: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """One CRD: the kind, its model, and how kubectl shows and scales it."""

    kind: Kind
    model: type[BaseModel]
    short_name: str
    columns: tuple[Json, ...] = ()
    selector_path: str = ""
    """`.status` path of the label selector; enables the scale subresource."""
    has_status: bool = True
    unserved: tuple[Version, ...] = ()
    """Further versions, written as not served nor stored: CRDs come before the server that converts. The operator
    serves the first and has it stored as soon as that server answers (kube/crd_keeper)."""


_GRAPH_COLUMNS = (
    _column("Ready", '.status.conditions[?(@.type=="Ready")].status', "string"),
    _column("Backend", ".spec.backendFramework", "string"),
    _AGE,
)
_ADAPTER_COLUMNS = (
    _column("DGD", ".spec.dgdRef.name", "string"),
    _column("Component", ".spec.dgdRef.componentName", "string"),
    _column("Replicas", ".status.replicas"),
    _AGE,
)
DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        kinds.POD_CLIQUE_SET,
        PodCliqueSet,
        "pcs",
        (
            _column("Replicas", ".spec.replicas"),
            _column("Available", ".status.availableReplicas"),
            _column("Updated", ".status.updatedReplicas"),
            _column("PCLQs-Updated", ".status.updateProgress.updatedPodCliquesCount"),
            _column("PCLQs-Total", ".status.updateProgress.totalPodCliquesCount"),
            _column("PCSGs-Updated", ".status.updateProgress.updatedPodCliqueScalingGroupsCount"),
            _column("PCSGs-Total", ".status.updateProgress.totalPodCliqueScalingGroupsCount"),
            _AGE,
        ),
        ".status.hpaPodSelector",
    ),
    Definition(
        kinds.POD_CLIQUE,
        PodClique,
        "pclq",
        (
            _column("MinAvail", ".spec.minAvailable"),
            _column("Replicas", ".spec.replicas"),
            _column("Ready", ".status.readyReplicas"),
            _column("Scheduled", ".status.scheduledReplicas"),
            _column("Updated", ".status.updatedReplicas"),
            _column("Gated", ".status.scheduleGatedReplicas", priority=1),
            _column("MinBreached", _BREACHED, "string", priority=1),
            _AGE,
        ),
        ".status.hpaPodSelector",
    ),
    Definition(
        kinds.SCALING_GROUP,
        PodCliqueScalingGroup,
        "pcsg",
        (
            _column("MinAvail", ".spec.minAvailable"),
            _column("Replicas", ".spec.replicas"),
            _column("Available", ".status.availableReplicas"),
            _column("Scheduled", ".status.scheduledReplicas"),
            _column("Updated", ".status.updatedReplicas"),
            _column("PCLQs-Updated", ".status.updateProgress.updatedPodCliquesCount"),
            _column("PCLQs-Total", ".status.updateProgress.totalPodCliquesCount"),
            _column("MinBreached", _BREACHED, "string", priority=1),
            _AGE,
        ),
        ".status.selector",
    ),
    Definition(
        kinds.CLUSTER_TOPOLOGY_BINDING,
        ClusterTopologyBinding,
        "ct",
        (_column("Domains", ".spec.levels[*].domain", "string"), _AGE),
    ),
    Definition(
        kinds.POD_GANG_SET,
        PodGangSet,
        "pgs",
        (
            _column("Replicas", ".spec.replicas"),
            _column("Converted", '.status.conditions[?(@.type=="Converted")].status', "string"),
            _AGE,
        ),
    ),
    Definition(kinds.POD_GANG, PodGang, "pg", (_column("Phase", ".status.phase", "string"), _AGE)),
    Definition(
        kinds.DYNAMO_GRAPH_DEPLOYMENT,
        DynamoGraphDeployment,
        "dgd",
        (
            _column("Ready", '.status.conditions[?(@.type=="Ready")].status', "string"),
            _column("Backend", ".spec.backendFramework", "string"),
            _AGE,
        ),
        unserved=(Version("v1beta1", DynamoGraphDeploymentV1beta1, _GRAPH_COLUMNS),),
    ),
    Definition(
        kinds.SCALING_ADAPTER,
        ScalingAdapterV1alpha1,
        "dgdsa",
        (
            _column("DGD", ".spec.dgdRef.name", "string"),
            _column("Service", ".spec.dgdRef.serviceName", "string"),
            _column("Replicas", ".status.replicas"),
            _AGE,
        ),
        ".status.selector",
        unserved=(Version("v1beta1", ScalingAdapter, _ADAPTER_COLUMNS),),
    ),
    Definition(kinds.DYNAMO_WORKER_METADATA, DynamoWorkerMetadata, "dwm", (_AGE,), has_status=False),
)


def crd(definition: Definition) -> Json:
    """The CustomResourceDefinition manifest of one kind."""
    kind = definition.kind
    stored = Version(kind.version, definition.model, definition.columns)
    versions = [_version(definition, stored, is_stored=True)]
    versions += [_version(definition, version, is_stored=False) for version in definition.unserved]
    conversion: Json = {"conversion": _conversion()} if definition.unserved else {}
    return {
        "apiVersion": kinds.CRD.api_version,
        "kind": kinds.CRD.kind,
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            **conversion,
            "group": kind.group,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [definition.short_name],
            },
            "versions": versions,
        },
    }


def _conversion() -> Json:
    """By our server, without a CA: the operator fills it in. Until then the API server refuses to convert; `None`
    would let it read one version as the other, and lose what they spell differently."""
    client = {"service": conversion_service(OPERATOR_NAMESPACE, DEFAULT_PORT)}
    return {"strategy": "Webhook", "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]}}


def _version(definition: Definition, version: Version, *, is_stored: bool) -> Json:
    schema = copy.deepcopy(schema_of(version.model))
    schema["properties"]["metadata"] = {"type": "object"}
    subresources: Json = {"status": {}} if definition.has_status else {}
    if definition.selector_path:
        subresources["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": definition.selector_path,
        }
    return {
        "name": version.name,
        "served": is_stored,
        "storage": is_stored,
        "schema": {"openAPIV3Schema": schema},
        "subresources": subresources,
        "additionalPrinterColumns": [dict(column) for column in version.columns],
    }


def as_served(manifest: Json, live: Json) -> Json:
    """The CRD with what the operator decides as the cluster has it: which versions are served, which is stored, and who
    converts. A version that the cluster doesn't know stays as it is written."""
    known = {version["name"]: version for version in live["spec"]["versions"]}
    if "conversion" not in manifest["spec"] or PROMOTED not in known:
        return manifest
    versions = [
        {**v, **{key: known[v["name"]][key] for key in ("served", "storage")}} if v["name"] in known else v
        for v in manifest["spec"]["versions"]
    ]
    return {**manifest, "spec": {**manifest["spec"], "conversion": live["spec"]["conversion"], "versions": versions}}


def all_crds() -> list[Json]:
    """Every CRD of the project, in the order to apply them (which does not matter)."""
    return [crd(definition) for definition in DEFINITIONS]


@cache
def crd_files() -> tuple[tuple[str, str], ...]:
    """File name (`<group>_<plural>.yaml`) and content of each committed CRD."""
    files = []
    for manifest in all_crds():
        name = f"{manifest['spec']['group']}_{manifest['spec']['names']['plural']}.yaml"
        text = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=120)
        files.append((name, f"# Generated from the models by `grove crds --write`; do not edit.\n{text}"))
    return tuple(files)


def write_crds(directory: Path) -> list[Path]:
    """Write every CRD file, remove generated files of kinds that are gone; returns the files that changed."""
    directory.mkdir(parents=True, exist_ok=True)
    changed = []
    wanted = dict(crd_files())
    for name, text in wanted.items():
        path = directory / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            changed.append(path)
    for path in sorted(directory.glob("*.yaml")):
        if path.name not in wanted:
            path.unlink()
            changed.append(path)
    return changed


def stale_crds(directory: Path) -> list[str]:
    """What differs between the files and the models, one sentence for each file; empty when all is well."""
    wanted = dict(crd_files())
    present = {path.name: path.read_text() for path in directory.glob("*.yaml")} if directory.is_dir() else {}
    out = [f"{name}: missing" for name in sorted(wanted.keys() - present.keys())]
    out += [f"{name}: no model generates it" for name in sorted(present.keys() - wanted.keys())]
    out += [
        f"{name}: differs from the models"
        for name in sorted(wanted.keys() & present.keys())
        if wanted[name] != present[name]
    ]
    return out
