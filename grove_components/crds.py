"""GroveCrds: the custom resource definitions, before anything that uses them."""

from __future__ import annotations

import pulumi

from grove_components.manifests import waiting_for, without_descriptions
from grove_components.resources import KubernetesObject
from grove_operator.api.crds import all_crds
from grove_operator.api.kinds import Json

FIRST = "podcliquesets.grove.io"
"""The CRD that every installation of Grove has, NVIDIA's too."""


def crd_manifests() -> list[Json]:
    """Every CRD as it is written: without descriptions, waited for until it is served."""
    return [waiting_for(without_descriptions(crd), "condition=Established") for crd in all_crds()]


def decided_by_the_operator(crd: Json) -> list[str]:
    """Property paths of a CRD that the operator writes; none where there is nothing to convert."""
    if "conversion" not in crd["spec"]:
        return []
    versions = range(len(crd["spec"]["versions"]))
    return ["spec.conversion", *(f"spec.versions[{i}].{field}" for i in versions for field in ("served", "storage"))]


class GroveCrds(pulumi.ComponentResource):
    """Grove's and Dynamo's CRDs.

    Deleting a CRD deletes every object of its kind in the whole cluster, whoever made it. They are therefore protected
    and retained, unless `delete_crds` says that this cluster is the stack's own. One of them comes before the others:
    where the cluster has CRDs already, or a right is missing, that is one error, and nothing has been made.

    Which versions of Dynamo's kinds are served, which is stored and who converts is the operator's to decide, once its
    conversion server answers: changes of that are ignored.
    """

    def __init__(self, name: str, *, delete_crds: bool = False, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("grove-components:index:GroveCrds", name, {"deleteCrds": delete_crds}, opts)
        crds = crd_manifests()
        self.names: list[str] = [crd["metadata"]["name"] for crd in crds]
        self.definitions: list[KubernetesObject] = []
        for crd in sorted(crds, key=lambda crd: crd["metadata"]["name"] != FIRST):
            options = pulumi.ResourceOptions(
                parent=self,
                protect=not delete_crds,
                retain_on_delete=not delete_crds,
                depends_on=self.definitions[:1] or None,
                ignore_changes=decided_by_the_operator(crd),
            )
            self.definitions.append(KubernetesObject(f"{name}-{crd['metadata']['name']}", crd, options))
        self.register_outputs({"names": self.names})
