"""The operator's configuration file."""

from __future__ import annotations

import pytest

from grove_operator.api.config import ConfigError, config_json, load_config, parse_config


def test_an_empty_file_means_the_defaults() -> None:
    config = parse_config({})
    assert (config.server.webhooks.port, config.server.health_probes.port, config.server.metrics.port) == (
        2750,
        2751,
        2752,
    )
    assert config.scheduler.names == ("grove-scheduler", "kai-scheduler", "default-scheduler")
    assert config.scheduler.default_profile_name == "grove-scheduler"
    assert (config.topology_aware_scheduling.enabled, config.network.auto_mnnvl_enabled) == (True, False)
    assert parse_config(config_json(config)) == config


def test_groves_own_file_loads_and_unknown_keys_are_ignored() -> None:
    config = load_config(
        """
        apiVersion: operator.config.grove.io/v1alpha1
        kind: OperatorConfiguration
        someday: {x: 1}
        authorizer: {enabled: true, reconcilerServiceAccountUserName: x}
        network: {autoMNNVLEnabled: true}
        scheduler: {profiles: [{name: kai-scheduler}], defaultProfileName: kai-scheduler}
        """
    )
    assert config.authorizer.enabled
    assert config.network.auto_mnnvl_enabled
    assert config.scheduler.names == ("kai-scheduler", "default-scheduler")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: Deployment", "kind: "),
        ("[]", "expected a mapping"),
        ("{", "not YAML"),
        ("logLevel: loud", "logLevel: "),
        ("controllers: {podClique: {concurrentSyncs: 0}}", "controllers.podClique.concurrentSyncs"),
        ("leaderElection: {enabled: true, leaseDuration: 5s}", "must exceed renewDeadline"),
        ("leaderElection: {leaseDuration: soon}", "not a duration"),
        ("scheduler: {profiles: [{name: slurm}]}", "unknown scheduler profile 'slurm'"),
        ("scheduler: {profiles: [{name: volcano}, {name: volcano}]}", "listed twice: volcano"),
    ],
)
def test_a_wrong_file_says_where_and_what(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(text)
    assert says in str(error.value)


def test_all_problems_are_reported_together() -> None:
    with pytest.raises(ConfigError) as error:
        load_config("logLevel: loud\nserver: {metrics: {port: 99999}}")
    assert len(str(error.value).splitlines()) == 2
