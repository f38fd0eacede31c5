"""A run that is killed and started again ends as an undisturbed one, in every format and whatever was left behind."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import by_id, environment
from tests.promises.runs import run
from tests.sinks.reading import FORMATS, Rows, read

COUNT = 1500
RUN = f"""
import sys
from extractor import readers
from extractor.backends.scripted import Backend
from extractor.pipeline import Pipeline
from extractor.sinks import SinkOptions, open_sink
from extractor.task.task import load_task
from extractor.data import Document, Source

def answer(prompt):
    number = int(prompt.chunk.document.id)
    return '{{"手机号": "%d"}}' % (13800000000 + number) if number % 5 else "no answer"

task = load_task("contact")
pipeline = Pipeline(task, Backend(answer=answer))
documents = (Document(str(n), "电话 %d" % (13800000000 + n), Source(str(n), "%064x" % n)) for n in range({COUNT}))
print("begun", flush=True)
with open_sink(sys.argv[1], SinkOptions(pipeline.info.fingerprint, pipeline.settings, task=task)) as sink:
    for record in pipeline.run(item for item in documents if sink.done(item.id, item.source.sha256) is None):
        sink.write(record)
"""


def _run(out: Path, seconds: float = 60) -> int:
    """The exit code of a run that may take so many seconds from the moment it begins; then it is killed."""
    with subprocess.Popen([sys.executable, "-c", RUN, str(out)], env=environment(), stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"begun\n"
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            return child.wait(60)


def _sorted(rows: Rows) -> Rows:
    without_times = [{key: value for key, value in row.items() if key not in ("usage", "seconds")} for row in rows]
    return sorted(without_times, key=lambda row: int(row["id"]))


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS[1:] if suffix != ".csv.gz"])
def test_a_run_killed_at_random_moments_ends_as_an_undisturbed_one(tmp_path: Path, suffix: str) -> None:
    out, whole = tmp_path / f"rows{suffix}", tmp_path / f"whole{suffix}"
    began = time.monotonic()
    assert _run(whole) == 0
    seconds, moments = time.monotonic() - began, random.Random(suffix)
    codes = [_run(out, moments.uniform(0, seconds / 3)) for _ in range(4)]
    assert codes.count(-signal.SIGKILL) >= 2
    assert _run(out) == 0
    rows = read(out)
    assert len(rows) == COUNT
    assert _sorted(rows) == _sorted(read(whole))
    assert not [
        path.name for path in tmp_path.iterdir() if path.name.endswith((".lock", ".tmp", "-wal", ".open.jsonl"))
    ]


def _without_seconds(rows: Rows) -> Rows:
    return [{**row, "usage": None} for row in rows]


LEFT: dict[str, Callable[[Path, Path], object]] = {
    "a row that is cut off": lambda rows, notes: rows.write_bytes(rows.read_bytes()[:-40]),
    "no end of the last line": lambda rows, notes: rows.write_bytes(rows.read_bytes()[:-1]),
    "NULs after a crash of the machine": lambda rows, notes: rows.write_bytes(rows.read_bytes()[:-40] + bytes(4096)),
    "no notes": lambda rows, notes: notes.unlink(),
    "notes of a run that began": lambda rows, notes: [notes.rename(notes.with_name("notes")), rows.unlink()],
    "notes that were never renamed": lambda rows, notes: notes.with_name(f"{notes.name}.tmp").write_bytes(b"{"),
    "a lock of a process that is gone": lambda rows, notes: rows.with_name(f"{rows.name}.lock").write_bytes(b"1"),
    "nothing": lambda rows, notes: [rows.unlink(), notes.unlink()],
}
"""What a kill, a full disk or a crash of the machine leaves of rows and notes."""


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    lines = [json.dumps({"id": str(number), "text": f"手机号 1380000000{number}"}) for number in range(8)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "in.jsonl"


@pytest.mark.parametrize("left", LEFT)
def test_the_same_line_completes_what_was_left(left: str, documents: Path, tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    _, whole = run(documents, output=output)
    LEFT[left](output, tmp_path / "rows.run.json")
    code, found = run(documents, output=output)
    assert code == 0
    assert _without_seconds(sorted(found, key=lambda row: row["id"])) == _without_seconds(whole)


def test_rows_may_be_cut_off_anywhere(documents: Path, tmp_path: Path) -> None:
    output = tmp_path / "rows.jsonl"
    _, whole = run(documents, output=output)
    data = output.read_bytes()
    for cut in range(0, len(data), 211):
        output.write_bytes(data[:cut])
        code, found = run(documents, output=output)
        assert (code, by_id(found).keys()) == (0, by_id(whole).keys()), cut
