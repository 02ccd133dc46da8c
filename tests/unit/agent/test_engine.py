"""What an engine's command line becomes on the local cluster, and ranks that find each other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from grove_operator.localcluster import engine
from grove_operator.localcluster.engine import Engine, mocker, read
from grove_operator.localcluster.tiny_model import FIRST_WORD, WORD_COUNT, tokenizer, write_model

SOURCE = Path(engine.__file__).parents[2]


@pytest.mark.parametrize(
    ("line", "fallback", "expected"),
    [
        ("--model Qwen/Qwen3-0.6B", "decode", Engine("Qwen/Qwen3-0.6B", "decode")),
        ("--model=m --is-prefill-worker", "decode", Engine("m", "prefill")),
        ("--model-path m --served-model-name n --disaggregation-mode prefill", "", Engine("n", "prefill")),
        ("--model m --disaggregation-mode aggregated", "decode", Engine("m", "agg")),
        (
            "--model m --nnodes 2 --master-addr a.b --master-port 29500 --node-rank 1 --headless",
            "decode",
            Engine("m", "decode", 2, 1, "a.b", 29500),
        ),
        ("--model-path m --dist-init-addr h:29501 --nnodes 4 --node-rank 0", "", Engine("m", "agg", 4, 0, "h", 29501)),
        ("", "", Engine("model", "agg")),
    ],
)
def test_an_engines_command_line_is_understood(line: str, fallback: str, expected: Engine) -> None:
    assert read(line.split(), fallback) == expected


def test_a_mocker_serves_the_engines_model_in_its_mode() -> None:
    line = mocker(Engine("Qwen/Qwen3-0.6B", "prefill"), Path("/image/model"))
    assert line[line.index("--model-name") + 1] == "Qwen/Qwen3-0.6B"
    assert line[line.index("--model-path") + 1] == "/image/model"
    assert line[line.index("--disaggregation-mode") + 1] == "prefill"


def test_a_rank_joins_its_leader_and_comes_back_after_it_was_killed(tmp_path: Path) -> None:
    """Real processes: the leader starts its own work once all have joined, and hears who leaves and returns."""
    script = (
        "import sys; from grove_operator.localcluster.engine import *\n"
        "sys.exit(lead(Engine('m', 'agg', 2, 0, '', int(sys.argv[1])), [sys.executable, '-c', 'input()']))"
    )
    port = str(20000 + os.getpid() % 10000)
    env = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"}
    follower = [sys.executable, "-m", "grove_operator.localcluster.engine", "-m", "dynamo.vllm", "--nnodes", "2"]
    follower += ["--node-rank", "1", "--master-addr", "127.0.0.1", "--master-port", port]
    with subprocess.Popen(
        [sys.executable, "-c", script, port], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as leader:
        assert leader.stdout is not None
        assert leader.stdin is not None
        assert "waits" in leader.stdout.readline()
        for _ in range(2):
            with subprocess.Popen(follower, env=env, stdout=subprocess.DEVNULL) as rank:
                assert leader.stdout.readline() == "rank 1 joined\n"
                rank.kill()
            assert leader.stdout.readline() == "rank 1 left\n"
        leader.stdin.write("\n")
        leader.stdin.close()
        assert leader.wait(20) == 0


def test_the_tiny_model_has_a_token_for_every_byte_and_every_id_that_a_mocker_emits(tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    ids = set(tokenizer()["model"]["vocab"].values()) | {token["id"] for token in tokenizer()["added_tokens"]}
    assert ids >= set(range(256))
    assert ids >= set(range(FIRST_WORD, FIRST_WORD + WORD_COUNT))
