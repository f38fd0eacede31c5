"""Rows of another version are refused with the version that wrote them."""

import json
from pathlib import Path

import pytest

from extractor.annotation_formats import rows
from extractor.data import Json
from extractor.errors import InputError
from extractor.storage.rows import to_row
from tests.cli.conftest import Run
from tests.sinks.records import record

OLD: dict[str, Json] = {
    "id": "a.txt",
    "status": "ok",
    "data": {"手机号": "18888888888"},
    "how": {"parsed": ["strict"]},
    "run": {"fingerprint": "0", "model": "demo", "schema": "contact", "prompt": "zh"},
}


def _file(folder: Path, *lines: dict[str, Json]) -> str:
    path = folder / "results.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def test_a_row_of_this_version_and_a_row_that_is_not_a_record_are_read(tmp_path: Path) -> None:
    written = [to_row(record("a")), {"id": "b", "data": {"x": "1"}, "run": 7}]
    assert [row["id"] for _, row in rows(_file(tmp_path, *written))] == ["a", "b"]


@pytest.mark.parametrize(
    ("version", "writer"),
    [({}, r"extractor 0\.1\.0 \(record 1\)"), ({"record": 3}, r"another version of extractor \(record 3\)")],
)
def test_a_record_of_another_version_is_refused(tmp_path: Path, version: dict[str, Json], writer: str) -> None:
    path = _file(tmp_path, to_row(record("a")), {**OLD, "run": {**OLD["run"], **version}})
    with pytest.raises(InputError, match=f"line 2 was written by {writer}"):
        list(rows(path))


@pytest.mark.parametrize("arguments", [["report"], ["evaluate", "--json"]])
def test_report_and_evaluate_name_the_version_that_wrote_the_rows(
    tmp_path: Path, extractor: Run, arguments: list[str]
) -> None:
    path = _file(tmp_path, OLD)
    gold = [path] if arguments[0] == "evaluate" else []
    done = extractor(arguments[0], path, *gold, *arguments[1:])
    assert done.returncode == 2
    assert "was written by extractor 0.1.0 (record 1)" in done.stderr
