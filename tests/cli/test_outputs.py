"""`run` into every format, and what the other commands make of it."""

import csv
import json
import os
import select
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Run, command, environment

LINE = ("-s", "contact", "--backend", "scripted")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text(f"第{number}份", encoding="utf-8")
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def test_outputs_in_the_folder_that_is_read_are_not_documents(inbox: Path, extractor: Run) -> None:
    for name in ("rows.sqlite", "rows.parquet", "rows.jsonl.gz", "rows.xlsx"):
        output = inbox / name
        first = extractor("run", inbox, *LINE, "-o", output)
        assert first.returncode == 1, first.stderr
        assert "4 documents" in first.stderr, name
        again = extractor("run", inbox, *LINE, "-o", output)
        assert "0 documents" in again.stderr
        assert "4 done before, 1 of them failed (--retry-failed tries again)" in again.stderr
        assert json.loads((inbox / f"{name}.run.json").read_text("utf-8"))["problems"] == {"damaged": 1}
        for path in (output, inbox / f"{name}.run.json"):
            path.unlink()


def test_evaluate_and_report_read_packed_rows_and_name_what_is_not_there(tmp_path: Path, extractor: Run) -> None:
    (tmp_path / "a.txt").write_text("无", encoding="utf-8")
    gold = tmp_path / "gold.jsonl"
    gold.write_text('{"id": "a.txt", "data": {"手机号": null}}\n', encoding="utf-8")
    for suffix in (".jsonl.gz", ".jsonl.zst", ".xlsx"):
        extractor("run", "a.txt", *LINE, "-o", f"rows{suffix}")
        done = extractor("evaluate", f"rows{suffix}", gold, "--json")
        assert done.returncode == 0, done.stderr
    assert extractor("report", "rows.jsonl.gz").returncode == 0
    for name in ("evaluate", "report"):
        refused = extractor(name, "rows.parquet", *([gold] if name == "evaluate" else []))
        assert refused.returncode == 2
        assert refused.stderr.startswith("Error: rows.parquet ")


def test_flattened_rows_have_the_status_of_every_document(inbox: Path, extractor: Run, tmp_path: Path) -> None:
    done = extractor("run", inbox, *LINE, "--flatten", "-o", "values.csv")
    assert done.returncode == 1
    with (tmp_path / "values.csv").open(encoding="utf-8", newline="") as stream:
        found = {row["id"]: (row["status"], row["code"], row["field"]) for row in csv.DictReader(stream)}
    assert found == {
        **{f"inbox/{number}.txt": ("ok", "", "") for number in range(3)},
        "inbox/bad.png": ("failed", "damaged", ""),
    }
    rows = extractor("run", inbox / "0.txt", *LINE, "--flatten", "-o", "-").stdout.splitlines()
    assert [json.loads(row)["row"] for row in rows] == [1]


def test_the_message_says_which_version_wrote_an_output_of_another_one(
    inbox: Path, extractor: Run, tmp_path: Path
) -> None:
    before = ROOT / "tests" / "storage" / "outputs_of_0_1"
    for name in ("rows.jsonl", "rows.run.json"):
        shutil.copy(before / name, tmp_path)
    done = extractor("run", inbox, *LINE, "-o", "rows.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert "was written by extractor 0.1.0 (record 1)" in done.stderr
    assert (tmp_path / "rows.jsonl").read_bytes() == (before / "rows.jsonl").read_bytes()


def test_a_row_leaves_before_the_input_ends_and_a_reader_that_waits_stops_the_run_from_reading_on() -> None:
    """Rows of half a megabyte fill the pipe at once; the input that is taken then is bounded by the window."""
    line = command("run", "-", *LINE, "--batch-size", "4", "-o", "-", "-q", "--flatten")
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), cwd=ROOT) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b'{"id": "first", "text": "x"}\n')
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["id"] == "first"
        os.set_blocking(child.stdin.fileno(), False)
        document = json.dumps({"id": "y" * 100_000, "text": "x"}).encode() + b"\n"
        taken = _written_until_it_stalls(child.stdin.fileno(), document * 200)
        child.kill()
    assert taken < 100 * len(document)


def _written_until_it_stalls(descriptor: int, data: bytes) -> int:
    """How many bytes go into a pipe before its reader takes no more for two seconds."""
    written = 0
    while written < len(data) and select.select([], [descriptor], [], 2)[1]:
        written += os.write(descriptor, data[written : written + 65536])
    return written
