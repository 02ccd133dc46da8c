"""`grove simulate`, `explain`, `replay`: arguments, output and exit codes as a shell sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from grove_operator.api.kinds import Json
from grove_operator.cli.main import cli
from grove_operator.engine.recording import Recording
from grove_operator.scheduler.model import GPU, Assignment, Decision
from grove_operator.scheduler.solve import schedule
from tests.unit.scheduler.notation import cluster as snapshot_of
from tests.unit.scheduler.notation import gang as gang_of
from tests.unit.whatif.manifests import clique_set, gang, node, pod

CLUSTER = [node("a", 2), pod("taken", 1, on="a")]


def run(*args: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args], input=stdin)


def write(path: Path, *objects: Json) -> Path:
    path.write_text(yaml.safe_dump_all(objects))
    return path


def test_exit_0_when_every_gang_is_placed_and_3_when_one_is_not(tmp_path: Path) -> None:
    there = write(tmp_path / "cluster.yaml", *CLUSTER)
    assert run("simulate", "-f", write(tmp_path / "one.yaml", clique_set("one", 1)), "--cluster", there).exit_code == 0
    assert run("simulate", "-f", write(tmp_path / "two.yaml", clique_set("two", 2)), "--cluster", there).exit_code == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not YAML"),
        ("just text", "is not an object"),
        ("kind: Pod", "apiVersion is missing; set it"),
        ("{apiVersion: v1, kind: Pod}", "Pod has no metadata.name; set it"),
        ("{apiVersion: v1, kind: List, items: [7]}", "document 1, item 1: is not an object"),
        ("{apiVersion: grove.io/v1alpha1, kind: PodCliqueSet, metadata: {name: w}, spec: {}}", "spec.template"),
    ],
)
def test_exit_2_on_bad_input_which_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    done = run("simulate", "-f", tmp_path / "bad.yaml")
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_exit_2_for_a_missing_file_an_empty_directory_and_no_file_at_all(tmp_path: Path) -> None:
    for args in (["-f", str(tmp_path / "none.yaml")], ["-f", str(tmp_path)], []):
        done = run("simulate", *args)
        assert done.exit_code == 2
        assert "Error: " in done.stderr


def test_several_files_directories_lists_and_standard_input_add_up(tmp_path: Path) -> None:
    folder = tmp_path / "nodes"
    folder.mkdir()
    write(folder / "a.yaml", node("a", 1))
    (folder / "b.json").write_text(json.dumps(node("b", 1)))
    (folder / "notes.txt").write_text("not a manifest")
    pods = {
        "apiVersion": "v1",
        "kind": "PodList",
        "items": [{k: pod(n)[k] for k in ("metadata", "spec")} for n in "pq"],
    }
    listed = write(tmp_path / "pods.yaml", {"apiVersion": "v1", "kind": "List", "items": [pods]})
    done = run("simulate", "-f", folder, listed, "-f", "-", "-o", "json", stdin=yaml.safe_dump(gang("g", "p", "q")))
    assert done.exit_code == 0
    (placed,) = json.loads(done.stdout)["placements"]
    assert [(p["name"], p["node"]) for p in placed["pods"]] == [("p", "a"), ("q", "b")]


def test_other_kinds_are_skipped_and_nothing_to_place_is_said(tmp_path: Path) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"token": "x"}}
    done = run("simulate", "-f", write(tmp_path / "s.yaml", secret), "-o", "json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"placements": [], "unplaced": [], "preempted": []}
    assert "nothing to place" in done.stderr


def test_explain_exits_3_for_a_waiting_gang_0_for_a_placed_one_and_2_for_an_unknown_one(tmp_path: Path) -> None:
    there = write(tmp_path / "cluster.yaml", *CLUSTER, pod("p", 2), gang("big", "p"), pod("q"), gang("small", "q"))
    assert run("explain", "podgang", "big", "-n", "ns", "--cluster", there).exit_code == 3
    assert run("explain", "podgang", "small", "-n", "ns", "--cluster", there).exit_code == 0
    done = run("explain", "podgang", "none", "-n", "ns", "--cluster", there)
    assert done.exit_code == 2
    assert "namespace ns has: big, small" in done.stderr


def test_explain_as_json_is_one_object_with_scopes_and_ways_out(tmp_path: Path) -> None:
    there = write(tmp_path / "cluster.yaml", *CLUSTER, pod("p", 2), gang("big", "p"))
    said = json.loads(run("explain", "podgang", "big", "-n", "ns", "--cluster", there, "-o", "json").stdout)
    assert list(said) == [
        "gang", "namespace", "placed", "message", "reasons", "scopes", "waysOut", "runs", "complete", "lastFailures",
    ]  # fmt: skip
    (scope,) = said["scopes"]
    assert (scope["resource"], scope["short"]) == (GPU, 1)
    assert scope["holders"] == [{"kind": "pod", "key": "ns/taken", "amount": 1, "nodes": ["a"], "leaving": False}]
    assert [way["action"] for way in said["waysOut"]] == ["free", "evict"]
    assert said["message"].endswith("to unblock: free 1 nvidia.com/gpu on a")


def recording(tmp_path: Path, **changes: Decision) -> Path:
    snapshot, gangs = snapshot_of("rack", "a:1[r1] b:2[r2]"), (gang_of("A:2x1", root="R=rack"),)
    decision = changes.get("decision") or schedule(snapshot, gangs)
    path = tmp_path / "decision.json"
    path.write_text(Recording(snapshot, gangs, decision).to_text())
    return path


def test_replay_exits_0_for_a_faithful_recording(tmp_path: Path) -> None:
    done = run("replay", recording(tmp_path))
    assert done.exit_code == 0
    assert "identical (nodes: 2, gangs: 1)" in done.stdout


def test_replay_exits_1_and_shows_the_difference(tmp_path: Path) -> None:
    other = Decision(assignments=(Assignment("ns/g", "A", "ns", "g-A-0", "a"),))
    done = run("replay", recording(tmp_path, decision=other))
    assert done.exit_code == 1
    assert '-   "node": "a",' in done.stdout
    assert '+   "node": "b",' in done.stdout


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"version": 1}', '{"version": 2}', '{"version": 2, "snapshot": {"nodes": 3}}']
)
def test_replay_exits_2_for_what_is_no_recording(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    done = run("replay", tmp_path / "x.json")
    assert done.exit_code == 2
    assert "x.json: " in done.stderr
