"""Unattended for hours: signals, kills, restarts, full disks, closed pipes, two runs on one output."""

import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, SAMPLES, Row, Run, Started, assert_same_rows, by_id, command, environment, rows

COUNT = 24
LINE = ["-s", "contact", "--precision", "float32", "--batch-size", "2", "--max-attempts", "1"]


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dozen short documents in several files."""
    folder = tmp_path_factory.mktemp("documents") / "inbox"
    folder.mkdir()
    for number in range(COUNT // 2):
        text = f"第{number}号登记\n手机号：1380000{number:04d}\n账号：user_{number}\n"
        (folder / f"{number:03d}.txt").write_text(text, encoding="utf-8")
    lines = [
        json.dumps({"id": f"row-{number}", "text": f"邮箱：p{number}@example.com\n密码：Xy{number}-z"})
        for number in range(COUNT // 2)
    ]
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def undisturbed(program: Path, documents: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    output = tmp_path_factory.mktemp("undisturbed") / "rows.jsonl"
    Started(program, "run", documents, *LINE, "-o", output).communicate()
    assert len(by_id(rows(output))) == COUNT
    return rows(output)


Start = Callable[[Path], Started]


@pytest.fixture
def start(program: Path, documents: Path) -> Start:
    """Start a run over the documents into an output."""
    return lambda output: Started(program, "run", documents, *LINE, "-o", output)


def _wait_for_rows(output: Path, count: int, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if output.exists() and output.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.02)
    pytest.fail(f"no {count} rows within {seconds} s")


@pytest.mark.slow
def test_a_run_killed_at_twenty_random_moments_ends_as_an_undisturbed_one(
    start: Start, undisturbed: list[Row], tmp_path: Path
) -> None:
    output = tmp_path / "rows.jsonl"
    moments = random.Random(20)
    kills = 0
    while kills < 20:
        child = start(output)
        done_before = output.read_bytes().count(b"\n") if output.exists() else 0
        if kills % 2 and done_before < COUNT - 1:  # half of the kills fall while rows are being written
            _wait_for_rows(output, done_before + 1)
            time.sleep(moments.uniform(0, 0.2))
        else:
            time.sleep(moments.uniform(0, 1.2))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        kills += 1
        if done_before == COUNT:
            output.write_bytes(output.read_bytes()[: -moments.randrange(1, 3000)])  # as a crash of the machine might
    last = start(output)
    last.communicate(timeout=120)
    assert last.returncode == (1 if any(row["status"] == "failed" for row in undisturbed) else 0)
    assert_same_rows(rows(output), undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_finishes_what_is_in_flight(
    start: Start, undisturbed: list[Row], tmp_path: Path, number: signal.Signals
) -> None:
    output = tmp_path / "rows.jsonl"
    child = start(output)
    _wait_for_rows(output, 1)
    child.send_signal(number)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert b"Traceback" not in errors
    assert re.search(rb"Finishing what is in flight: [0-4] documents?(, about \d+ s)?\. A second signal", errors)
    assert json.loads(output.with_name("rows.run.json").read_text("utf-8"))["run"]["state"] == "interrupted"
    written = rows(output)
    assert 1 <= len(written) < COUNT
    again = start(output)
    again.communicate(timeout=120)
    assert_same_rows(rows(output), undisturbed)


def test_a_second_signal_ends_within_a_second(start: Start, tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    child = start(output)
    _wait_for_rows(output, 1)
    child.send_signal(signal.SIGINT)
    time.sleep(0.05)
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=30)
    assert child.returncode == 130
    assert time.monotonic() - began < 1
    assert all(row["status"] for row in rows(output))


@pytest.mark.parametrize("shell", ["", "trap '' INT;"], ids=["as usual", "SIGINT ignored by the shell"])
def test_a_signal_while_the_model_loads_ends_at_once(documents: Path, tmp_path: Path, shell: str) -> None:
    child = subprocess.Popen(
        ["bash", "-c", f'{shell} exec "$@"', "_", *command("run", documents, *LINE, "-o", tmp_path / "rows.jsonl")],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert child.stderr is not None
    assert b"Model: demo" in child.stderr.readline()
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert time.monotonic() - began < 20
    assert b"Traceback" not in errors


def test_two_runs_on_one_output_are_refused(documents: Path, tmp_path: Path, extractor: Run) -> None:
    output = tmp_path / "rows.jsonl"
    line = command("run", "-", *LINE, "-o", output)  # it runs until its input ends
    child = subprocess.Popen(line, env=environment(), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdin is not None
    try:
        child.stdin.write(b'{"text": "no phone"}\n')
        child.stdin.flush()
        _wait_for_rows(output, 1)
        second = extractor("run", documents, *LINE, "-o", output)
    finally:
        child.stdin.close()
        child.wait(60)
    assert second.returncode == 2
    assert "another run" in second.stderr.lower()
    assert "Traceback" not in second.stderr
    assert len(rows(output)) == 1


def test_the_same_line_again_does_nothing_and_loads_nothing(
    documents: Path, undisturbed: list[Row], tmp_path: Path, extractor: Run
) -> None:
    output = tmp_path / "rows.jsonl"
    extractor("run", documents, *LINE, "-o", output)
    before = output.read_bytes()
    again = extractor("run", documents, *LINE, "-o", output)
    assert output.read_bytes() == before
    assert f"{COUNT} done before" in again.stderr
    assert "Model: demo" not in again.stderr


def test_other_settings_on_an_existing_output_are_refused_by_name(
    documents: Path, tmp_path: Path, extractor: Run
) -> None:
    output = tmp_path / "rows.jsonl"
    extractor("run", documents, *LINE, "--limit", "2", "-o", output)
    other = extractor("run", documents, *LINE, "--seed", "9", "-o", output)
    assert other.returncode == 2
    assert "seed" in other.stderr
    assert "--overwrite" in other.stderr
    again = extractor("run", documents, *LINE, "--seed", "9", "--limit", "1", "--overwrite", "-o", output)
    assert again.returncode in (0, 1)
    assert len(rows(output)) == 1


def test_a_changed_document_is_done_again_and_has_one_row(tmp_path: Path, extractor: Run) -> None:
    folder, output = tmp_path / "in", tmp_path / "rows.jsonl"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.txt").write_text(f"手机号：13800000000 {name}", encoding="utf-8")
    extractor("run", folder, *LINE, "-o", output)
    (folder / "a.txt").write_text("手机号：13911111111 changed", encoding="utf-8")
    again = extractor("run", folder, *LINE, "-o", output)
    assert "1 done before" in again.stderr
    found = {row["id"]: row for row in rows(output)}
    assert len(rows(output)) == 2
    assert found["in/a.txt"]["source"]["chars"] == len("手机号：13911111111 changed")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 KiB; skips where it may not be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_named_and_the_same_line_completes_once_there_is_room(
    documents: Path, undisturbed: list[Row], small_disk: Path, extractor: Run
) -> None:
    output, ballast = small_disk / "rows.jsonl", small_disk / "ballast"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    ballast.write_bytes(b"x" * (free - 12 * 1024))
    full = extractor("run", documents, *LINE, "-o", output)
    assert full.returncode == 4
    assert "no space left" in full.stderr.lower()
    assert "Traceback" not in full.stderr
    assert len(rows(output)) < COUNT
    ballast.unlink()
    again = extractor("run", documents, *LINE, "-o", output)
    assert again.returncode in (0, 1)
    assert_same_rows(rows(output), undisturbed)


def test_a_closed_stdout_ends_quietly(documents: Path) -> None:
    line = " ".join(command("run", str(documents), *LINE, "-o", "-"))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line} | head -n 1"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert json.loads(done.stdout)["status"] in ("ok", "failed")
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run {} --backend scripted -s contact > /dev/full", "No space left on the disk of standard output."),
        ("extract {} --backend scripted -s contact > /dev/full", "No space left for the output."),
        ("run {} --backend scripted -s contact >&-", "standard output cannot be written: it is closed."),
    ],
)
def test_a_stdout_that_cannot_be_written_is_an_error_with_a_reason(line: str, said: str) -> None:
    whole = f"{' '.join(command())} {line.format(SAMPLES / 'contact' / 'book.txt')}"
    done = subprocess.run(
        ["bash", "-c", whole], stderr=subprocess.PIPE, text=True, env=environment(), timeout=120, check=False
    )
    assert done.returncode == 4
    assert said in done.stderr
    assert "Traceback" not in done.stderr
