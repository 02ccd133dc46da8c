"""The history of sets as seen from outside: numbers are never used twice, contents never change, the newest is true."""

from __future__ import annotations

from collections.abc import Iterator

from grove_operator.sim.invariants.witness import Change, Invariant, Json, State, controller, name_of

REVISION = "ControllerRevision"
KEPT = 11
"""The current one and ten former ones; no story asks for another limit."""


class RevisionsTellTheHistory(Invariant):
    """Of each set the newest revision holds, at rest, what its cliques' pods are made from."""

    def saw(self, state: State, change: Change) -> Iterator[str]:
        if change.kind != REVISION or change.new is None:
            return
        if change.old is not None and change.old["data"] != change.new["data"]:
            yield f"{name_of(change.new)} holds something else than before"
        others = [r for r in _of(state, controller(change.new)) if name_of(r) != name_of(change.new)]
        if change.new["revision"] in {r["revision"] for r in others}:
            yield f"{name_of(change.new)} has number {change.new['revision']}, which another one has"

    def at_rest(self, state: State) -> Iterator[str]:
        for pcs in state.all("PodCliqueSet"):
            found = sorted(_of(state, pcs["metadata"]["uid"]), key=lambda r: int(r["revision"]))
            if not found or len(found) > KEPT:
                yield f"{name_of(pcs)} has {len(found)} revisions"
            elif _specs(found[-1]["data"]) != _specs(pcs):
                yield f"the newest revision of {name_of(pcs)} does not hold what its pods are made from"


def _of(state: State, uid: str) -> list[Json]:
    return [revision for revision in state.all(REVISION) if controller(revision) == uid]


def _specs(held: Json) -> dict[str, Json]:
    return {entry["name"]: entry["spec"]["podSpec"] for entry in held["spec"]["template"]["cliques"]}
