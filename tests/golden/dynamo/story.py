"""Golden stories of Dynamo: a real-world graph in, the whole PodCliqueSet out.

The inputs are rewritten from what is known of NVIDIA's recipes and examples (dynamo reference, section 4.2). Regenerate
with `python -m tests.golden.dynamo.story` from the project's root, and read the diff against the mapping (section 2).
"""

from __future__ import annotations

from pathlib import Path

import yaml

from grove_operator.api.defaults import default_podcliqueset
from grove_operator.api.kinds import Json
from grove_operator.dynamo.mapping import pod_clique_set

FILES = Path(__file__).parent
STORIES = tuple(sorted(path.stem for path in (FILES / "inputs").glob("*.yaml")))


def documents(story: str) -> list[Json]:
    return [doc for doc in yaml.safe_load_all((FILES / "inputs" / f"{story}.yaml").read_text()) if doc]


def graph(story: str) -> Json:
    """The one graph of the story's file."""
    (found,) = [doc for doc in documents(story) if doc["kind"] == "DynamoGraphDeployment"]
    return found


def podcliqueset(story: str) -> Json:
    """As the operator writes it and Grove's webhook completes it."""
    return default_podcliqueset(pod_clique_set(graph(story)), with_schema_defaults=True)


def render(story: str) -> str:
    return yaml.safe_dump(podcliqueset(story), sort_keys=True, width=120)


def main() -> None:
    for story in STORIES:
        (FILES / f"{story}.yaml").write_text(render(story))


if __name__ == "__main__":
    main()
