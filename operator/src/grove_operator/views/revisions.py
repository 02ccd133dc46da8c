"""The history of a PodCliqueSet for people: a table as kubectl's, and one revision as YAML."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from grove_operator.api.constants import ANNOTATION_CHANGE_CAUSE
from grove_operator.api.kinds import Json
from grove_operator.core.revisions import current_of, number
from grove_operator.core.template import Template


@dataclass(frozen=True, slots=True)
class Revision:
    """`is_current`: what the set holds now. `obj`: the ControllerRevision."""

    number: int
    cause: str
    is_current: bool
    obj: Json

    def to_json(self) -> Json:
        meta = self.obj["metadata"]
        said: Json = {"revision": self.number, "current": self.is_current, "changeCause": self.cause or None}
        return {**said, "name": meta["name"], "created": meta.get("creationTimestamp"), **self.obj["data"]["spec"]}


def history(pcs: Json, found: Iterable[Json]) -> list[Revision]:
    """Of the set's own ControllerRevisions, oldest first."""
    uid = pcs["metadata"]["uid"]
    mine = [o for o in found if any(r["uid"] == uid for r in o["metadata"].get("ownerReferences") or ())]
    mine.sort(key=number)
    current = current_of(Template.of(pcs), mine)
    return [Revision(number(obj), _cause(obj), obj is current, obj) for obj in mine]


def table(revisions: Iterable[Revision]) -> str:
    """REVISION and CHANGE-CAUSE."""
    rows = [f"{one.number:<10}{one.cause or '<none>'}" for one in revisions]
    return "\n".join(["REVISION  CHANGE-CAUSE", *rows])


def described(revision: Revision) -> str:
    """What the pods of each clique are made from."""
    text: str = yaml.safe_dump(revision.obj["data"]["spec"]["template"], sort_keys=False, width=120)
    return text.rstrip()


def _cause(obj: Json) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(ANNOTATION_CHANGE_CAUSE, ""))
