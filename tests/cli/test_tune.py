"""`extractor tune`, from gold to a model that a run uses; one that is killed goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from extractor.chatglm3.weights import open_weights
from tests.cli.conftest import Run, command, environment, rows
from tests.tuning.gold import texts, write

LINE = ("tune", "gold.jsonl", "-s", "contact", "--epochs", "3", "--batch-tokens", "600", "--held-out", "0.2")


@pytest.mark.slow
def test_a_killed_tuning_goes_on_to_the_same_model_and_a_run_uses_it(tmp_path: Path, extractor: Run) -> None:
    write(tmp_path / "gold.jsonl", texts(20))
    done = extractor(*LINE, "-o", "one")
    assert done.returncode == 0, done.stderr
    assert "16 documents" in done.stderr
    assert "Before     held-out F1" in done.stderr
    assert "Written to one: -m one" in done.stderr
    checkpoint = tmp_path / ".other.checkpoint"
    process = subprocess.Popen(command(*LINE, "-o", "other", "-q"), cwd=tmp_path, env=environment())
    try:
        while not checkpoint.exists():
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    again = extractor(*LINE, "-o", "other")
    assert again.returncode == 0, again.stderr
    assert "Resumed after" in again.stderr
    assert not checkpoint.exists()
    (file,) = (path.name for path in (tmp_path / "one").glob("*.safetensors"))
    first, second = (open_weights(tmp_path / name / file) for name in ("one", "other"))
    assert all(first[name].equal(second[name]) for name in first)
    figures = [json.loads((tmp_path / name / "tuning.json").read_text("utf-8"))["epochs"] for name in ("one", "other")]
    assert figures[0] == figures[1]
    ran = extractor("run", "gold.jsonl", "-s", "contact", "-m", "one", "-o", "results.jsonl", "-q")
    assert ran.returncode in (0, 1), ran.stderr
    assert {row["run"]["model"] for row in rows(tmp_path / "results.jsonl")} == {"one"}


def test_a_folder_that_is_not_empty_is_not_touched(tmp_path: Path, extractor: Run) -> None:
    write(tmp_path / "gold.jsonl", texts(4))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    done = extractor(*LINE, "-o", "out")
    assert done.returncode == 2
    assert "nothing is ever overwritten" in done.stderr


def test_gold_without_two_texts_is_refused(tmp_path: Path, extractor: Run) -> None:
    write(tmp_path / "gold.jsonl", texts(1))
    done = extractor(*LINE, "-o", "out")
    assert done.returncode == 2
    assert "two different ones" in done.stderr
