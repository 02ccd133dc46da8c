"""What `grove pulumi` reads from pulumi's arguments, and the environment that it sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from grove_operator.cli.pulumi import exit_code, needs_stack, stack_in, verbs_of
from grove_operator.localcluster.pulumi_env import (
    OFFICIAL,
    PulumiFolders,
    find_official,
    install_official,
    pulumi_environment,
)


@pytest.mark.parametrize(
    ("line", "verbs", "wants_stack", "stack"),
    [
        ("up --yes", ["up"], True, ""),
        ("-s dev preview --diff", ["preview"], True, "dev"),
        ("--cwd sub config set --secret a b", ["config", "set", "a", "b"], True, ""),
        ("stack ls", ["stack", "ls"], False, ""),
        ("stack output --stack=x", ["stack", "output"], True, "x"),
        ("version", ["version"], False, ""),
        ("--help", [], False, ""),
    ],
)
def test_the_command_line_is_read_as_pulumi_reads_it(
    line: str, verbs: list[str], wants_stack: bool, stack: str
) -> None:
    args = line.split()
    assert (verbs_of(args), needs_stack(verbs_of(args)), stack_in(args)) == (verbs, wants_stack, stack)


def test_the_environment_is_the_projects_own_and_keeps_the_users_passphrase(tmp_path: Path) -> None:
    chosen = pulumi_environment([tmp_path / "tools"], home=tmp_path, environ={"PATH": "/bin"}, standin_port=7)
    assert chosen["PULUMI_BACKEND_URL"] == (tmp_path / "pulumi" / "state").as_uri()
    assert chosen["PULUMI_DEBUG_PROVIDERS"] == "kubernetes:7"
    assert chosen["PULUMI_CONFIG_PASSPHRASE"] == "grove-local"
    assert chosen["PATH"].endswith(f"{tmp_path / 'tools'}:/bin")
    given = pulumi_environment(home=tmp_path, environ={"PULUMI_CONFIG_PASSPHRASE": "mine"})
    assert "PULUMI_CONFIG_PASSPHRASE" not in given
    assert "PULUMI_DEBUG_PROVIDERS" not in given


def test_the_official_provider_is_found_on_path_and_in_pulumis_home(tmp_path: Path) -> None:
    folders = PulumiFolders(tmp_path)
    plugin = folders.home / "plugins" / "resource-kubernetes-v4.34.2" / OFFICIAL
    plugin.parent.mkdir(parents=True)
    plugin.write_text("#!/bin/sh\n")
    plugin.chmod(0o755)
    assert find_official(folders, "") == plugin
    assert find_official(PulumiFolders(tmp_path / "none"), str(plugin.parent)) == plugin


def test_a_download_that_failed_is_not_tried_again(tmp_path: Path) -> None:
    folders = PulumiFolders(tmp_path)
    assert install_official(Path("/bin/false"), {}, folders, 5.0) == "exit code 1"
    assert "earlier try failed" in install_official(Path("/bin/false"), {}, folders, 5.0)


def test_a_killed_pulumi_has_a_shells_exit_code() -> None:
    assert (exit_code(255), exit_code(-9)) == (255, 137)
