"""`extractor run --engine ray` on the demo model: the same line, the same rows, in a folder of parts."""

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import ray
from click.testing import CliRunner, Result

from extractor.cli._commands import cli
from extractor.distributed.resources import NodeResources
from extractor.storage.parts_folder import parts
from tests.cli.conftest import Row, assert_same_rows, command, environment, rows

LINE = ["-s", "contact", "--precision", "float32", "--batch-size", "2", "--max-attempts", "1"]
RAY = ["--engine", "ray", "--workers", "2", "--batch-documents", "2"]
COUNT = 12


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    for number in range(COUNT):
        text = f"第{number}号登记\n手机号：1380000{number:04d}\n账号：user_{number}\n"
        (folder / f"{number:03d}.txt").write_text(text, encoding="utf-8")
    return folder


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)), standalone_mode=False)


def _rows(output: Path) -> list[Row]:
    return [row for path in parts(str(output)) for row in rows(Path(path))]


def _wait_for_a_part(output: Path, child: "subprocess.Popen[bytes]", seconds: float = 400) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and child.poll() is None:
        if output.exists() and parts(str(output)):
            return
        time.sleep(0.02)
    child.kill()
    pytest.fail(f"no part within {seconds} s: {child.communicate()[1].decode()}")


@pytest.mark.slow
def test_an_interrupted_line_keeps_its_parts_and_the_same_line_completes_them(
    inbox: Path, tmp_path: Path, nodes: list[NodeResources]
) -> None:
    output, alone = tmp_path / "out", tmp_path / "alone.jsonl"
    address = ray.get_runtime_context().gcs_address
    line = ["run", inbox, *LINE, *RAY, "-o", output]
    child = subprocess.Popen(
        command(*line, "--address", address),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _wait_for_a_part(output, child)
    child.send_signal(signal.SIGINT)
    printed, errors = child.communicate(timeout=120)
    assert (child.returncode, printed) == (130, b"")
    assert b"Interrupted" in errors
    assert b"Traceback" not in errors
    kept = {path: Path(path).read_bytes() for path in parts(str(output))}

    again = _run(*line)
    assert again.return_value == 0
    assert again.stdout == ""
    done = sum(part.count(b"\n") for part in kept.values())
    assert f"{COUNT - done} documents in" in again.stderr
    assert f"; {done} done before" in again.stderr
    assert {path: Path(path).read_bytes() for path in kept} == kept
    _run("run", inbox, *LINE, "-o", alone)
    assert_same_rows(_rows(output), rows(alone))
    totals = json.loads((tmp_path / "out.run.json").read_text("utf-8"))["totals"]
    assert totals == {"documents": COUNT, "ok": COUNT, "partial": 0, "failed": 0}

    gold = tmp_path / "gold.jsonl"
    gold.write_text('{"id": "inbox/003.txt", "data": {"手机号": "13800000003"}}\n', encoding="utf-8")
    assert "inbox/003.txt" not in _run("evaluate", output, gold, "--wrong").stdout
    assert _run("report", output, "-o", tmp_path / "page.html").exit_code == 0
    assert "user_11" in (tmp_path / "page.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine", "ray"], "a folder of part files"),
        (["--engine", "ray", "-o", "rows.jsonl"], "a folder of part files"),
        (["--engine", "ray", "-o", "out", "--ordered"], "leave out --ordered"),
        (["--engine", "ray", "-o", "out", "--device", "cuda:1"], "--gpus-per-worker"),
        (["--engine", "ray", "-o", "out", "-"], "standard input"),
        (["--workers", "2"], "--engine ray"),
    ],
)
def test_options_that_do_not_go_together_are_refused(inbox: Path, options: list[Any], message: str) -> None:
    done = _run("run", inbox, "-s", "contact", *options)
    assert message in str(done.exception)
    assert getattr(done.exception, "exit_code", None) == 2
