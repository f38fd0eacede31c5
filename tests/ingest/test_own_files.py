"""A run's own files are never its documents, whatever leads to them, and an input is never overwritten."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.conftest import extractor as extractor  # the fixture


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.txt").write_text(f"姓名：张{number}")
    (tmp_path / "link").symlink_to("in")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_an_output_in_the_folder_that_is_read_is_no_document_behind_any_link(folder: Path, extractor: Run) -> None:
    line = ("link", "--fields", "姓名", "-o", "in/rows.jsonl")
    assert extractor("run", *line).returncode == 0
    os.link("in/rows.jsonl", "in/same.jsonl")
    (folder / "in" / "other.jsonl").symlink_to("rows.jsonl")
    assert extractor("run", "link", "in/rows.jsonl", "in/other.jsonl", *line[1:]).returncode == 0
    assert _ids(folder / "in" / "rows.jsonl") == ["link/0.txt", "link/1.txt", "link/2.txt"]


@pytest.mark.parametrize("output", ["rows.jsonl", "soft.jsonl", "hard.jsonl", "table.csv"])
def test_overwrite_replaces_outputs_alone(folder: Path, extractor: Run, output: str) -> None:
    (folder / "rows.jsonl").write_text('{"text": "姓名：李"}\n')
    (folder / "soft.jsonl").symlink_to("rows.jsonl")
    os.link("rows.jsonl", "hard.jsonl")
    (folder / "table.csv").write_text("a,b\n1,2\n")
    before = (folder / output).read_bytes()
    done = extractor("run", "rows.jsonl", "--fields", "姓名", "-o", output, "--overwrite")
    assert done.returncode == 4
    assert "is not a row of this program" in done.stderr
    assert (folder / output).read_bytes() == before


def test_an_output_of_other_settings_is_overwritten_with_or_without_its_notes(folder: Path, extractor: Run) -> None:
    for number, fields in enumerate(("姓名", "电话")):
        more = ("--overwrite",) if number else ()
        assert extractor("run", "in/0.txt", "--fields", fields, "-o", "rows.jsonl", *more).returncode == 0
        (folder / "rows.run.json").unlink()
    assert list(json.loads((folder / "rows.jsonl").read_text())["data"]) == ["电话"]


def test_links_to_nothing_are_a_failed_row_each(folder: Path, extractor: Run) -> None:
    (folder / "in" / "gone.txt").symlink_to("nowhere.txt")
    (folder / "in" / "loop.txt").symlink_to("loop.txt")
    for inputs in (["in"], ["in/0.txt", "in/1.txt", "in/2.txt", "in/gone.txt", "in/loop.txt"]):
        done = extractor("run", *inputs, "--fields", "姓名", "-o", "rows.jsonl", "--overwrite")
        assert done.returncode == 1, done
        rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
        failed = {row["id"].rpartition("/")[2]: row["errors"][0]["code"] for row in rows if row["status"] == "failed"}
        assert len(rows) == 5
        assert failed == {"gone.txt": "io", "loop.txt": "io"}
