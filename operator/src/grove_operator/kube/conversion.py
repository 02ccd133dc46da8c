"""Conversion of DynamoGraphDeployments for the API server: a ConversionReview in, one out. No API access, no state.

All objects of a review are converted or none: an object that can't be fails the whole, with its name and the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grove_operator.api.dynamo_conversion import ALPHA, BETA, as_version
from grove_operator.api.dynamo_scaling_conversion import adapter_as_version
from grove_operator.api.kinds import DYNAMO_GRAPH_DEPLOYMENT, SCALING_ADAPTER, Json

CONVERTERS = {DYNAMO_GRAPH_DEPLOYMENT.kind: as_version, SCALING_ADAPTER.kind: adapter_as_version}
REVIEW = "apiextensions.k8s.io/v1"


def convert_review(review: Any) -> Json:
    """Answers any input, the unreadable too: the API server shows the message to whoever asked."""
    request = review.get("request") if isinstance(review, Mapping) else None
    asked = request if isinstance(request, Mapping) else {}
    response: Json = {"uid": str(asked.get("uid") or "")}
    try:
        converted = [_converted(obj, str(asked.get("desiredAPIVersion"))) for obj in asked.get("objects") or []]
        response |= {"convertedObjects": converted, "result": {"status": "Success"}}
    except ConversionError as error:
        response |= {"convertedObjects": [], "result": {"status": "Failed", "message": str(error)}}
    return {"apiVersion": REVIEW, "kind": "ConversionReview", "response": response}


class ConversionError(ValueError):
    """An object can't be converted; the message names it, the fact and the remedy."""


def _converted(obj: Any, version: str) -> Json:
    if not isinstance(obj, Mapping) or not isinstance(obj.get("metadata"), Mapping):
        raise ConversionError("an object of the review has no metadata; send it as the API server does")
    convert = CONVERTERS.get(str(obj.get("kind")))
    name = f"{obj.get('kind')} {obj['metadata'].get('namespace', '')}/{obj['metadata'].get('name', '')}"
    if convert is None:
        raise ConversionError(f"{name}: only {', '.join(CONVERTERS)} are converted here; correct the CRD's conversion")
    if version not in (ALPHA, BETA):
        raise ConversionError(f"{name}: there is no {version}; ask for {ALPHA} or {BETA}")
    try:
        return convert(dict(obj), version)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        text = f"{type(error).__name__}: {error}"
        raise ConversionError(f"{name} can't be converted to {version}: {text}; compare it with its schema") from error
