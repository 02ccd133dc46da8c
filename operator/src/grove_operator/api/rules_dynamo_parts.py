"""Parts of a service that are Kubernetes' own under Dynamo's names: judged by Kubernetes' schemas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from grove_operator.api.core_faults import schema_faults
from grove_operator.api.core_schemas import core_schema
from grove_operator.api.dynamoservice import DynamoService, EnvVar
from grove_operator.api.faults import Fault
from grove_operator.api.kinds import Json
from grove_operator.api.syntax import env_faults


def part_faults(field: str, service: DynamoService) -> Iterator[Fault]:
    """Resource claims, sources of variables, and the frontend sidecar."""
    container = core_schema("Container")["properties"]
    if service.resources and service.resources.claims is not None:
        claims = container["resources"]["properties"]["claims"]
        yield from schema_faults(claims, service.resources.claims, f"{field}.resources.claims")
    yield from source_faults(f"{field}.envs", service.envs)
    if service.frontend_sidecar is not None:
        yield from _sidecar_faults(f"{field}.frontendSidecar", service.frontend_sidecar)


def source_faults(field: str, variables: Sequence[EnvVar] | None) -> Iterator[Fault]:
    """Where values come from."""
    schema = core_schema("Container")["properties"]["env"]["items"]["properties"]["valueFrom"]
    for index, variable in enumerate(variables or ()):
        if variable.value_from is not None:
            yield from schema_faults(schema, variable.value_from, f"{field}[{index}].valueFrom")


def _sidecar_faults(field: str, said: Json) -> Iterator[Fault]:
    """A container without a name, whose variables are called envs and whose secret is envFromSecret."""
    schema = core_schema("Container")
    properties = {**schema["properties"], "envs": schema["properties"]["env"], "envFromSecret": {"type": "string"}}
    faults = list(schema_faults({"type": "object", "properties": properties}, said, field))
    yield from faults
    if not faults:
        yield from env_faults(f"{field}.envs", said.get("envs"))
