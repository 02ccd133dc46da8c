"""GroveOperator: the operator and the gang scheduler, installed in the order in which they can come up."""

from __future__ import annotations

import pulumi

from grove_components.manifests import install_stages, object_name
from grove_components.resources import KubernetesObject
from grove_operator.api.install import InstallOptions, install_manifests


class GroveOperator(pulumi.ComponentResource):
    """Namespace, RBAC, configuration, webhooks, then the Deployments of operator and scheduler, stage by stage.

    The component is done when both Deployments are Available; the operator is ready only once it serves the webhooks
    and their CA bundle is in place. What needs admission therefore only has to depend on this component.
    """

    def __init__(
        self,
        name: str,
        *,
        options: InstallOptions | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        options = options or InstallOptions()
        super().__init__(
            "grove-components:index:GroveOperator",
            name,
            {"namespace": options.namespace, "image": options.image},
            opts,
        )
        self.namespace = options.namespace
        previous: list[KubernetesObject] = []
        for stage in install_stages(install_manifests(options)):
            previous = [
                KubernetesObject(
                    f"{name}-{object_name(manifest)}",
                    manifest,
                    pulumi.ResourceOptions(parent=self, depends_on=list(previous)),
                )
                for manifest in stage
            ]
        self.deployments: list[KubernetesObject] = previous
        self.register_outputs({"namespace": self.namespace, "image": options.image})
