"""Every field of the tables is in the schemas as the tables say, and the schemas hold no field that no table names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from grove_operator.api.crds import DEFINITIONS, all_crds
from grove_operator.api.kinds import Json
from grove_operator.api.structural import schema_of, structural_schema
from tests.conformance.grove.fields import FIELDS

SCHEMAS = {definition.kind.plural: schema_of(definition.model) for definition in DEFINITIONS}
OWN = {definition.kind.plural: structural_schema(definition.model, embed=False) for definition in DEFINITIONS}
LINES = [(plural, line) for plural, text in FIELDS.items() for line in text.strip().splitlines()]
TYPES = {
    "string": ("string", None),
    "bool": ("boolean", None),
    "int32": ("integer", "int32"),
    "int64": ("integer", "int64"),
    "double": ("number", "double"),
    "time": ("string", "date-time"),
    "object": ("object", None),
    "map": ("object", None),
    "list": ("array", None),
}
SHAPES = [
    ("podcliquesets", "pcs", "Namespaced", ".status.hpaPodSelector"),
    ("podcliques", "pclq", "Namespaced", ".status.hpaPodSelector"),
    ("podcliquescalinggroups", "pcsg", "Namespaced", ".status.selector"),
    ("clustertopologybindings", "ct", "Cluster", ""),
    ("podgangs", "pg", "Namespaced", ""),
]


def found(schema: Json, place: str) -> tuple[Json, Json, str]:
    """(field, object it stands in, its name)."""
    parent, name = schema, ""
    for part in re.findall(r"[^.\[\]{}]+|\[\]|\{\}", place):
        parent, name = schema, part
        if part == "[]":
            schema = schema["items"]
        elif part == "{}":
            schema = schema["additionalProperties"]
        else:
            schema = schema["properties"][part]
    return schema, parent, name


@pytest.mark.parametrize(("plural", "line"), LINES, ids=lambda part: part[:90])
def test_the_field_is_as_the_table_says(plural: str, line: str) -> None:
    place, kind, *rest = line.split()
    schema, parent, name = found(SCHEMAS[plural], place)
    wanted_type, wanted_format = TYPES[kind]
    assert schema["type"] == wanted_type
    assert wanted_format is None or schema.get("format") == wanted_format
    is_required = "required" in rest
    has_default = "=" in rest
    default = rest[rest.index("=") + 1] if has_default else None
    rest = [word for word in rest if word not in ("required", "=", default)]
    if is_required or not has_default:  # Go marks some defaulted fields required, which makes no difference
        assert (name in parent.get("required", ())) == is_required
    assert has_default == ("default" in schema)
    assert not has_default or str(schema["default"]) == default
    check_bounds(schema, rest)


def check_bounds(schema: Json, words: list[str]) -> None:
    for word in words:
        if word.startswith("map:"):
            assert schema["x-kubernetes-list-type"] == "map"
            assert schema["x-kubernetes-list-map-keys"] == word[4:].split(",")
        elif word == "atomic":
            assert schema.get("x-kubernetes-list-type", "atomic") == "atomic"
        elif word == "1..63":
            assert (schema["minLength"], schema["maxLength"]) == (1, 63)
        elif word.startswith("^"):
            assert schema["pattern"] == word
        elif word.startswith("min:"):
            assert schema["minItems"] == int(word[4:])
        else:
            assert sorted(schema["enum"]) == sorted(word.split("|"))


def places(schema: Json, prefix: str = "") -> Iterator[str]:
    for name, below in schema.get("properties", {}).items():
        place = f"{prefix}.{name}" if prefix else name
        yield place
        yield from places(below, place)
        if below.get("items", {}).get("properties"):
            yield from places(below["items"], f"{place}[]")


# what a table shows once, under another field, or takes from apimachinery
REPEATED = re.compile(
    r"apiVersion$|kind$|metadata|status$|.*(conditions|lastErrors)\[\]|"
    r".*podGangStatuses\[\]\.conditions|spec\.template\.podCliqueScalingGroups\[\]\.topologyConstraint\.|"
    r".*resourceSharing\[\]\.filter$|status\.updateProgress$|.*SelectedToUpdate$|"
    r".*[tT]opologyConstraint$|.*schedulingPolicyConfig$|.*scaleConfig$|spec\.template\.cliques\[\]\."
)


@pytest.mark.parametrize("plural", FIELDS)
def test_no_field_of_ours_is_missing_in_the_tables(plural: str) -> None:
    told = {line.split()[0] for line in FIELDS[plural].strip().splitlines()}
    own = {place for place in places(OWN[plural]) if not REPEATED.match(place) or place in told}
    assert own - told == set()


@pytest.mark.parametrize(("plural", "short", "scope", "selector"), SHAPES)
def test_kinds_are_served_under_groves_names(plural: str, short: str, scope: str, selector: str) -> None:
    (crd,) = [c for c in all_crds() if c["spec"]["names"]["plural"] == plural]
    (version,) = crd["spec"]["versions"]
    names: dict[str, Any] = crd["spec"]["names"]
    assert (crd["spec"]["scope"], names["shortNames"], names["singular"]) == (scope, [short], names["kind"].lower())
    assert (version["name"], version["served"], version["storage"]) == ("v1alpha1", True, True)
    assert version["subresources"]["status"] == {}
    scale = version["subresources"].get("scale", {})
    assert scale.get("labelSelectorPath", "") == selector
    if selector:
        assert (scale["specReplicasPath"], scale["statusReplicasPath"]) == (".spec.replicas", ".status.replicas")


COLUMNS = {
    "podcliquesets": [
        ("Replicas", ".spec.replicas", 0),
        ("Available", ".status.availableReplicas", 0),
        ("Updated", ".status.updatedReplicas", 0),
        ("PCLQs-Updated", ".status.updateProgress.updatedPodCliquesCount", 0),
        ("PCLQs-Total", ".status.updateProgress.totalPodCliquesCount", 0),
        ("PCSGs-Updated", ".status.updateProgress.updatedPodCliqueScalingGroupsCount", 0),
        ("PCSGs-Total", ".status.updateProgress.totalPodCliqueScalingGroupsCount", 0),
    ],
    "podcliques": [
        ("MinAvail", ".spec.minAvailable", 0),
        ("Replicas", ".spec.replicas", 0),
        ("Ready", ".status.readyReplicas", 0),
        ("Scheduled", ".status.scheduledReplicas", 0),
        ("Updated", ".status.updatedReplicas", 0),
        ("Gated", ".status.scheduleGatedReplicas", 1),
        ("MinBreached", '.status.conditions[?(@.type=="MinAvailableBreached")].status', 1),
    ],
    "podcliquescalinggroups": [
        ("MinAvail", ".spec.minAvailable", 0),
        ("Replicas", ".spec.replicas", 0),
        ("Available", ".status.availableReplicas", 0),
        ("Scheduled", ".status.scheduledReplicas", 0),
        ("Updated", ".status.updatedReplicas", 0),
        ("PCLQs-Updated", ".status.updateProgress.updatedPodCliquesCount", 0),
        ("PCLQs-Total", ".status.updateProgress.totalPodCliquesCount", 0),
        ("MinBreached", '.status.conditions[?(@.type=="MinAvailableBreached")].status', 1),
    ],
    "podgangs": [("Phase", ".status.phase", 0)],
    "clustertopologybindings": [("Domains", ".spec.levels[*].domain", 0)],
}


@pytest.mark.parametrize("plural", COLUMNS)
def test_printer_columns_are_groves(plural: str) -> None:
    (crd,) = [c for c in all_crds() if c["spec"]["names"]["plural"] == plural]
    columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]
    told = [(column["name"], column["jsonPath"], column.get("priority", 0)) for column in columns]
    assert told == [*COLUMNS[plural], ("Age", ".metadata.creationTimestamp", 0)]
