"""DynamoPlatform: what Dynamo's runtimes need beside the operator."""

from __future__ import annotations

import pulumi

from grove_components import platform_helm
from grove_components.manifests import object_name
from grove_components.platform_config import PlatformConfig
from grove_components.platform_objects import RELEASE, etcd_address, nats_address, platform_manifests
from grove_components.resources import KubernetesObject


class DynamoPlatform(pulumi.ComponentResource):
    """NATS and, for graphs that discover through it, etcd: by manifests of ours, or NVIDIA's chart with its operator.

    Done when the servers are ready. `nats` and `etcd` are the addresses, "" for what isn't there.
    """

    def __init__(
        self, name: str, *, config: PlatformConfig | None = None, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        config = config or PlatformConfig(install="manifests")
        super().__init__("grove-components:index:DynamoPlatform", name, {"namespace": config.namespace}, opts)
        self.nats, self.etcd = nats_address(config), etcd_address(config)
        self.resources: list[pulumi.Resource] = []
        if config.install == "helm":
            self._charts(name, config)
        for manifest in platform_manifests(config):
            after = [r for r in self.resources[:1] if manifest["kind"] != "Namespace"]
            options = pulumi.ResourceOptions(parent=self, depends_on=after)
            self.resources.append(KubernetesObject(f"{name}-{object_name(manifest)}", manifest, options))
        self.register_outputs({"namespace": config.namespace, "nats": self.nats, "etcd": self.etcd})

    def _charts(self, name: str, config: PlatformConfig) -> None:
        from pulumi_kubernetes.helm.v3 import Release, RepositoryOptsArgs

        for chart, version in platform_helm.charts(config):
            is_platform = chart == platform_helm.CHART
            self.resources.append(
                Release(
                    f"{name}-{chart}",
                    name=RELEASE if is_platform else chart,
                    chart=chart,
                    version=version,
                    namespace=config.namespace,
                    create_namespace=True,
                    repository_opts=RepositoryOptsArgs(repo=platform_helm.REPOSITORY),
                    values=platform_helm.values(config) if is_platform else {},
                    opts=pulumi.ResourceOptions(parent=self, depends_on=list(self.resources)),
                )
            )
