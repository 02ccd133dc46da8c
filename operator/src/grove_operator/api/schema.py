"""The ground the models stand on: a strict base model and Kubernetes' scalar types.

A model is one object of the API as users write it: camelCase keys, unknown keys refused, `null` the same as absent
(the API server prunes nulls before it applies defaults). A field with a value as default carries that default in the
CRD; a field whose default is None is optional and has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

from grove_operator.api.duration import DURATION_PATTERN, duration_s
from grove_operator.api.kinds import Json

QUANTITY_PATTERN = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)


class Model(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True, validate_default=False
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        return {k: v for k, v in value.items() if v is not None} if isinstance(value, Mapping) else value


def to_json(model: BaseModel) -> Json:
    """The object as it was given: only fields that were set, by their API names, without nulls."""
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


def with_defaults(model: BaseModel) -> Json:
    """The object as the API server stores it: every field that has a schema default is filled."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def list_map(*keys: str) -> dict[str, Any]:
    """Field extra: a list that server-side apply merges by these keys, which must be unique in it."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}
"""Field extra: server-side apply replaces the list as a whole."""
REQUIRED: dict[str, Any] = {"x-grove-required": True}
"""Field extra: required in the schema although it has a default."""


def cel(rule: str, message: str, *, reason: str = "", field_path: str = "", on_create: bool = False) -> Json:
    """One validation rule of the CRD. `on_create` makes `oldSelf` optional, so that a rule can be for creation only."""
    out: Json = {"rule": rule, "message": message}
    if reason:
        out["reason"] = reason
    if field_path:
        out["fieldPath"] = field_path
    if on_create:
        out["optionalOldSelf"] = True
    return out


def rules(*validations: Json) -> dict[str, Any]:
    return {"x-kubernetes-validations": list(validations)}


def _duration(text: str) -> str:
    duration_s(text)
    return text


def _quantity(value: Any) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.match(QUANTITY_PATTERN, value):
        return value
    raise ValueError(f"{value!r} is not a quantity; write it like 8Gi, 500m or 2")


Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1), WithJsonSchema({"type": "integer", "format": "int32"})]
Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1), WithJsonSchema({"type": "integer", "format": "int64"})]
Duration = Annotated[str, AfterValidator(_duration), WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN})]
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Quantity = Annotated[
    int | str,
    PlainValidator(_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": QUANTITY_PATTERN,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
Open = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})]
"""A part that belongs to another API (pod specs, probes, metrics): kept exactly as written."""


class Condition(Model):
    """One observed fact about the object."""

    type: str = Field(
        description="What the condition is about; unique in the list.",
        max_length=316,
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
        r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: int | None = Field(
        None,
        ge=0,
        description="metadata.generation the condition was computed from.",
        json_schema_extra={"format": "int64"},
    )
    last_transition_time: Time = Field(description="When status last changed.")
    reason: str = Field(
        description="Machine-readable cause, one word.",
        min_length=1,
        max_length=1024,
        pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
    )
    message: str = Field(description="The same for people.", max_length=32768)


class LastError(Model):
    """A step of the last reconcile that failed."""

    code: str = Field(description="Stable code of the failure.")
    description: str = Field(description="What failed, in words.")
    observed_at: Time = Field(description="When it was seen.")


CONDITIONS_EXTRA = list_map("type")
Conditions = Annotated[list[Condition], Field(json_schema_extra=CONDITIONS_EXTRA)]


class NamespacedName(Model):
    """A reference to an object by namespace and name."""

    namespace: str = Field(description="Namespace of the object.")
    name: str = Field(description="Name of the object.")


class Root(Model):
    """What every object has beside spec and status."""

    api_version: str | None = Field(None, description="Group and version of this object's schema.")
    kind: str | None = Field(None, description="Kind of this object.")
    metadata: Open = Field(default_factory=dict, description="Standard object metadata.")
