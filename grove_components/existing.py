"""An installation that this program doesn't make: its CRDs and its operator are read, judged, and left as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pulumi

from grove_components.checks import InvalidInputError, dotted
from grove_components.resources import KubernetesObject
from grove_operator.api.constants import OPERATOR_NAME
from grove_operator.api.kinds import BY_KIND, CRD, DEPLOYMENT, Json

FREE = "preserve-unknown-fields"


class ExistingGrove(pulumi.ComponentResource):
    """What must be there for `objects`, manifests of custom resources: their CRDs, with every field that they use.

    An API server drops fields that its CRD doesn't know without a word, so older CRDs are found by reading them. With
    `operator_namespace` the operator's Deployment has to be there too. What is missing fails the preview.
    """

    def __init__(
        self,
        name: str,
        *,
        objects: Sequence[Json],
        operator_namespace: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        names = {crd_name(obj) for obj in objects}
        super().__init__("grove-components:index:ExistingGrove", name, {"crds": sorted(names)}, opts)
        below = pulumi.ResourceOptions(parent=self)
        if operator_namespace:
            identity = f"{operator_namespace}/{OPERATOR_NAME}"
            KubernetesObject.existing(f"{name}-deployment-{OPERATOR_NAME}", DEPLOYMENT, identity, below)
        crds = {crd: KubernetesObject.existing(f"{name}-{crd}", CRD, crd, below) for crd in sorted(names)}
        specs = pulumi.Output.all(**{crd: read.spec for crd, read in crds.items()})

        def judge(found: Mapping[str, Any]) -> pulumi.Resource:
            faults = [fault for obj in objects for fault in crd_faults(obj, found[crd_name(obj)])]
            if faults:
                raise InvalidInputError("the cluster's custom resource definitions", faults)
            return self

        self.judged: pulumi.Output[pulumi.Resource] = specs.apply(judge)
        """This component once all is well, for `depends_on`: what depends on it isn't made before."""
        self.register_outputs({"crds": self.judged.apply(lambda _: sorted(names))})


def crd_name(obj: Json) -> str:
    """Name of the CRD that an object of a custom resource belongs to."""
    kind = BY_KIND[obj["kind"]]
    return f"{kind.plural}.{kind.group}"


def crd_faults(obj: Json, crd_spec: Mapping[str, Any]) -> list[str]:
    """What a CRD's `spec` lacks for an object; the object's own values are not shown."""
    version = obj["apiVersion"].rpartition("/")[2]
    served = {v["name"]: v for v in crd_spec.get("versions") or () if v.get("served")}
    if version not in served:
        known = ", ".join(sorted(served)) or "none"
        return [f"{crd_name(obj)} serves no {version} (but {known}); install the CRDs of this release"]
    schema = (served[version].get("schema") or {}).get("openAPIV3Schema") or {}
    body = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    unknown = [dotted(path) for path in _unknown(body, schema, ())]
    if not unknown:
        return []
    what = f"{obj['kind'].lower()} {obj['metadata']['name']}"
    return [
        f"{crd_name(obj)} is older than this program: it doesn't know {', '.join(unknown)} of {what}, and the field "
        "would be dropped without a word; install the CRDs of this release (`grove crds`), or leave it out"
    ]


def _unknown(value: Any, schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Paths of fields that pruning would drop. Pulumi writes `x_kubernetes_...` where the schema has dashes."""
    marks = {key.replace("_", "-") for key, on in schema.items() if on is True}
    if f"x-kubernetes-{FREE}" in marks:
        return
    if isinstance(value, Mapping):
        properties, rest = schema.get("properties") or {}, schema.get("additionalProperties")
        for key, item in value.items():
            below = properties.get(key, rest if isinstance(rest, Mapping) else None)
            if below is not None:
                yield from _unknown(item, below, (*path, str(key)))
            elif rest is not True and (properties or schema.get("type") == "object") and item is not None:
                yield (*path, str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown(item, schema.get("items") or {}, (*path, str(index)))
