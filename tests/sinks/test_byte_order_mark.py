"""A CSV file that begins with a byte order mark on request, whatever the runs on it were."""

from pathlib import Path
from typing import Any

import pytest

from extractor.config import OutputConfig
from extractor.data import Record
from extractor.errors import UsageError
from extractor.sinks import SinkOptions, csv_file, open_sink
from extractor.storage.compression import codec_of
from extractor.task.task import make_task
from tests.sinks.records import failed, record, sha

TASK = make_task({"type": "object", "properties": {"手机号": {"type": "string"}}})
MARK = b"\xef\xbb\xbf"


@pytest.fixture(params=[".csv", ".csv.gz"])
def out(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return tmp_path / f"rows{request.param}"


def _write(out: Path, *records: Record, **options: Any) -> None:
    with open_sink(str(out), SinkOptions("f1", task=TASK, **options)) as sink:
        for each in records:
            sink.write(each)


def _content(out: Path) -> bytes:
    with codec_of(str(out)).open(str(out)) as lines:
        return b"".join(lines)


def _ids(out: Path) -> list[str]:
    return [row["id"] for _, row in csv_file.read_rows(str(out)) if row is not None]


def test_a_mark_comes_once_at_the_beginning_and_the_rows_are_read_back(out: Path) -> None:
    _write(out, record("a"), bom=True)
    _write(out, record("b"), bom=True)
    assert _content(out).startswith(MARK + b"id,status,")
    assert _content(out).count(MARK) == 1
    assert _ids(out) == ["a", "b"]


def test_a_mark_that_is_there_stays_and_one_that_is_asked_for_later_is_put_in_front(out: Path) -> None:
    _write(out, record("a"), failed("b"))
    assert _content(out).startswith(b"id,status,")
    with open_sink(str(out), SinkOptions("f1", task=TASK, bom=True, retry_failed=True)) as sink:
        assert [sink.done(name, sha("文")) for name in "abc"] == ["ok", None, None]
        sink.write(record("b"))
    _write(out, record("c"))
    assert _content(out).count(MARK) == 1
    assert _content(out).startswith(MARK)
    assert _ids(out) == ["a", "b", "c"]
    _write(out, record("d"), overwrite=True)
    assert _content(out).startswith(b"id,status,")
    assert _ids(out) == ["d"]


@pytest.mark.parametrize("left", [0, 1, 3, 8, -5])
def test_a_file_with_a_mark_that_was_cut_off_anywhere_is_resumed(tmp_path: Path, left: int) -> None:
    out = tmp_path / "rows.csv"
    _write(out, record("a"), bom=True)
    whole = out.read_bytes()
    out.write_bytes(whole[:left])
    _write(out, record("a"), bom=True)
    assert out.read_bytes() == whole


@pytest.mark.parametrize("path", ["rows.jsonl", "-", "rows.parquet"])
def test_a_mark_is_for_csv_alone(path: str) -> None:
    with pytest.raises(UsageError, match=r"--bom is for CSV files"):
        OutputConfig(path, bom=True)
    assert OutputConfig("ROWS.CSV.gz", bom=True).bom
