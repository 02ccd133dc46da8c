"""What the operator's configuration decides about Dynamo graphs."""

from __future__ import annotations

from dataclasses import dataclass

from grove_operator.api.constants import DEFAULT_TERMINATION_DELAY

KAI = "kai-scheduler"


@dataclass(frozen=True, slots=True)
class DynamoSettings:
    """Addresses are given to every container as environment variables when they are set; a user's own value wins.

    `scheduler` is the operator's default scheduler: KAI's queue is written only where KAI schedules.
    """

    nats: str = ""
    etcd: str = ""
    model_express: str = ""
    prometheus: str = ""
    discovery: str = "kubernetes"
    termination_delay: str = DEFAULT_TERMINATION_DELAY
    scheduler: str = ""
    ingress_class: str = ""
    ingress_suffix: str = "local"
    mpi_secret: str = "mpi-run-ssh-secret"  # noqa: S105 - a name, not a secret
