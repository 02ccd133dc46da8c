"""Somebody else's installation: what it lacks is found by reading, before anything is made."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest

from grove_components import InvalidInputError, build_stack
from grove_components.existing import crd_faults
from grove_components.stack_objects import custom_resources
from tests.components.collect import INSTALLED, Run, collect
from tests.components.stacks import STACKS, stack_config

SETS = "podcliquesets.grove.io"


def spec_schema(crd: dict[str, Any]) -> Any:
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]


def without(*path: str) -> dict[str, Any]:
    """The PodCliqueSet's CRD as a release had it that didn't know a field yet."""
    crd = copy.deepcopy(INSTALLED[SETS])
    node = spec_schema(crd)
    for part in path[:-1]:
        node = node["items"] if part == "[]" else node["properties"][part]
    del node["properties"][path[-1]]
    return crd


@pytest.mark.parametrize("preview", [True, False])
def test_nothing_is_made_on_a_cluster_with_an_older_crd(preview: bool) -> None:
    config, run = stack_config("h100", operator={"install": "existing"}), Run([])
    older = without("template", "cliques", "[]", "spec", "roleName")
    with pytest.raises(InvalidInputError, match="the cluster's custom resource definitions: 1 fault"):
        collect(lambda: build_stack(config), preview=preview, existing={**INSTALLED, SETS: older}, into=run)
    assert [r.type for r in run.registrations] == ["grove-components:index:ExistingGrove"]


def test_what_a_program_that_failed_left_behind_is_collected_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    """Else it would be told in the midst of another test, and break that one where it is parsing source."""
    test_nothing_is_made_on_a_cluster_with_an_older_crd(preview=True)
    gc.collect()
    assert caplog.records == []


@pytest.mark.parametrize("stack", STACKS)
def test_this_releases_crds_know_every_field_of_every_stack(stack: str) -> None:
    for obj in custom_resources(stack_config(stack)):
        crd = INSTALLED[f"{obj['kind'].lower()}s.{obj['apiVersion'].partition('/')[0]}"]
        assert crd_faults(obj, crd["spec"]) == []


def test_an_older_crd_is_named_with_the_fields_that_it_lacks() -> None:
    (pcs,) = [o for o in custom_resources(stack_config("h100")) if o["kind"] == "PodCliqueSet"]
    older = without("template", "cliques", "[]", "spec", "roleName")
    (fault,) = crd_faults(pcs, older["spec"])
    assert fault.startswith(f"{SETS} is older than this program: it doesn't know spec.template.cliques[0].spec.role")
    assert "podcliqueset llama-70b" in fault


def test_fields_below_a_free_form_part_are_not_judged() -> None:
    pcs = {
        "apiVersion": "grove.io/v1alpha1",
        "kind": "PodCliqueSet",
        "metadata": {"name": "w"},
        "spec": {"new": {"a": 1}},
    }
    crd = copy.deepcopy(INSTALLED[SETS])
    assert len(crd_faults(pcs, crd["spec"])) == 1
    for key in ("x-kubernetes-preserve-unknown-fields", "x_kubernetes_preserve_unknown_fields"):
        spec_schema(crd)["properties"]["new"] = {"type": "object", key: True}
        assert crd_faults(pcs, crd["spec"]) == []


def test_a_version_that_is_not_served_is_said() -> None:
    crd = copy.deepcopy(INSTALLED[SETS])
    crd["spec"]["versions"][0]["name"] = "v1beta1"
    (pcs,) = [o for o in custom_resources(stack_config("h100")) if o["kind"] == "PodCliqueSet"]
    assert crd_faults(pcs, crd["spec"]) == [
        f"{SETS} serves no v1alpha1 (but v1beta1); install the CRDs of this release"
    ]
