"""A run that is killed at random moments and started again ends as an undisturbed one, in every format."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import environment
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
