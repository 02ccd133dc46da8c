"""The init container counts Ready pods of the PodCliques it was told of, and of no others."""

from __future__ import annotations

from typing import Any

import pytest

from grove_operator.initc.parents import ArgumentError, Parents, parents_of


def pod(name: str, clique: str, *, ready: bool = True, going: bool = False) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name, "labels": {"grove.io/podclique": clique}}
    if going:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": meta, "status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}


@pytest.mark.parametrize(
    ("argv", "needed"),
    [
        (["--podcliques=p-0-a:2"], {"p-0-a": 2}),
        (["--podcliques", "p-0-a:2", "-p", "p-0-b:1"], {"p-0-a": 2, "p-0-b": 1}),
        (["--podcliques=p-0-a:2,p-0-b:1"], {"p-0-a": 2, "p-0-b": 1}),
        (["-p=p-0-a:2", "-p=p-0-a:3"], {"p-0-a": 3}),
        (["--podcliques=", "-p", " "], {}),
    ],
)
def test_arguments_name_podcliques_and_counts(argv: list[str], needed: dict[str, int]) -> None:
    assert parents_of(argv) == needed


@pytest.mark.parametrize(
    "argv", [["--podcliques=a"], ["-p", "a:0"], ["-p", "a:x"], ["-p", ":1"], ["-p"], ["--verbose"]]
)
def test_an_argument_that_cannot_be_read_is_refused_with_its_right_form(argv: list[str]) -> None:
    with pytest.raises(ArgumentError, match="NAME:COUNT"):
        parents_of(argv)


def test_pods_belong_to_the_podclique_of_their_label_whatever_their_name() -> None:
    parents = Parents({"p-0-a": 1})
    parents.replace([pod("p-0-ab-x2x4q", "p-0-ab"), pod("p-0-a-y7k2p", "p-0-a", ready=False)])
    assert parents.missing() == {"p-0-a": (0, 1)}
    parents.observe(pod("p-0-a-y7k2p", "p-0-a"))
    assert parents.missing() == {}


def test_a_pod_that_goes_or_is_no_longer_ready_is_missed_again() -> None:
    parents = Parents({"a": 2})
    parents.replace([pod("1", "a"), pod("2", "a")])
    assert parents.missing() == {}
    parents.observe(pod("2", "a", ready=False))
    assert parents.missing() == {"a": (1, 2)}
    parents.observe(pod("2", "a"))
    parents.observe(pod("1", "a", going=True))
    assert parents.missing() == {"a": (1, 2)}
    parents.observe(pod("2", "a"), is_gone=True)
    assert parents.missing() == {"a": (0, 2)}


def test_a_new_list_forgets_what_was_missed_in_between() -> None:
    parents = Parents({"a": 1})
    parents.replace([pod("1", "a")])
    parents.replace([])
    assert parents.missing() == {"a": (0, 1)}
