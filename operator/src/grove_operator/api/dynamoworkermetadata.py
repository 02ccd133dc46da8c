"""DynamoWorkerMetadata: what a worker's runtime tells the others about itself, in place of etcd."""

from __future__ import annotations

from pydantic import Field

from grove_operator.api.schema import Model, Open, Root


class WorkerMetadataSpec(Model):
    """Written by the runtime alone."""

    data: Open = Field(description="Endpoints and models of one worker, in the runtime's own form.")


class DynamoWorkerMetadata(Root):
    """One worker, named after and owned by its pod."""

    spec: WorkerMetadataSpec = Field(description="What the worker tells.")
