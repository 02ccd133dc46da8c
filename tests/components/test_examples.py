"""Each example's program, plain YAML and expected output say the same thing."""

from __future__ import annotations

import os

import pytest
import yaml

from grove_components.podcliqueset import pod_clique_set_faults
from tests.components.examples import EXAMPLES, FOLDER, expected_of, manifest_of


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_registers_its_own_yaml_and_its_expected_output(name: str) -> None:
    folder = FOLDER / name
    texts = {"manifest.yaml": manifest_of(name), "expected.txt": expected_of(name)}
    if os.environ.get("UPDATE_GOLDEN"):
        for file, text in texts.items():
            (folder / file).write_text(text)
    assert {file: (folder / file).read_text() for file in texts} == texts
    assert pod_clique_set_faults(yaml.safe_load(texts["manifest.yaml"])) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_short_and_shows_its_output_in_its_readme(name: str) -> None:
    folder = FOLDER / name
    assert len((folder / "__main__.py").read_text().splitlines()) <= 25
    assert (folder / "expected.txt").read_text() in (folder / "README.md").read_text()
