"""DynamoGraphDeploymentScalingAdapter: the scale subresource of one component, for planners and autoscalers."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict, Field

from grove_operator.api.schema import Int32, Model, Root, Time, cel, rules


class GraphRefV1alpha1(Model):
    """One service of a graph."""

    name: str = Field(min_length=1, description="The DynamoGraphDeployment, in the same namespace.")
    service_name: str = Field(min_length=1, description="Its service.")


class GraphRef(Model):
    """One component, or one group of components, of a graph."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra=rules(
            cel(
                "has(self.componentName) != has(self.componentGroupName)",
                "dgdRef needs componentName or componentGroupName, not both",
            )
        )
    )

    name: str = Field(min_length=1, description="The DynamoGraphDeployment, in the same namespace.")
    component_name: str | None = Field(None, description="Its component.")
    component_group_name: str | None = Field(None, description="Its group of components.")


class ScalingAdapterSpecV1alpha1(Model):
    """Wanted replicas of a service."""

    replicas: Int32 = Field(ge=0, description="Replicas of the service.", json_schema_extra={"minimum": 0})
    dgd_ref: GraphRefV1alpha1 = Field(description="Whose.")


class ScalingAdapterSpec(Model):
    """Wanted replicas of a component."""

    replicas: Int32 = Field(ge=0, description="Replicas of the component.", json_schema_extra={"minimum": 0})
    dgd_ref: GraphRef = Field(description="Whose.")


class ScalingAdapterStatus(Model):
    """Observed replicas, in the shape autoscalers read."""

    replicas: Int32 | None = Field(None, description="Replicas that exist.")
    selector: str | None = Field(None, description="Label selector of the pods, as text.")
    last_scale_time: Time | None = Field(None, description="When replicas of the graph were last changed.")


class ScalingAdapterV1alpha1(Root):
    """Owns the replicas of one service of a DynamoGraphDeployment."""

    spec: ScalingAdapterSpecV1alpha1 = Field(description="Wanted state.")
    status: ScalingAdapterStatus | None = Field(None, description="Observed state.")


class ScalingAdapter(Root):
    """Owns the replicas of one component of a DynamoGraphDeployment."""

    spec: ScalingAdapterSpec = Field(description="Wanted state.")
    status: ScalingAdapterStatus | None = Field(None, description="Observed state.")
