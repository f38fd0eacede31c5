"""Outputs of version 0.1 are refused by name and left alone. `outputs_of_0_1` was written by that version."""

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from extractor.data import RECORD_VERSION
from extractor.errors import OutputMismatch
from extractor.sinks import SinkOptions, open_sink
from extractor.storage import manifest
from extractor.storage.parts_folder import PartsFolder
from extractor.storage.resume import RowSummary, check
from tests.sinks.reading import FORMATS, ids
from tests.sinks.records import record

OUTPUTS = Path(__file__).parent / "outputs_of_0_1"
SUFFIXES = [suffix for suffix in FORMATS if suffix not in (".csv.gz", ".xlsx")]
NAMES = [*(f"{stem}{suffix}" for stem in ("rows", "values") for suffix in SUFFIXES), "killed.parquet", "parts"]


def _output(name: str, folder: Path) -> Path:
    shutil.copytree(OUTPUTS, folder, dirs_exist_ok=True)
    return folder / name


def _open(out: Path, **more: bool) -> AbstractContextManager[object]:
    options = SinkOptions("f1", {"model": "demo"}, flatten=out.stem == "values", **more)
    return PartsFolder(str(out), options) if out.name == "parts" else open_sink(str(out), options)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("retry", [False, True], ids=["", "retry_failed"])
@pytest.mark.parametrize("name", NAMES)
def test_an_output_of_an_earlier_version_is_refused_by_its_name_and_left_alone(
    tmp_path: Path, name: str, retry: bool
) -> None:
    out = _output(name, tmp_path)
    with pytest.raises(OutputMismatch) as caught, _open(out, retry_failed=retry):
        pass
    assert f"{out} was written by extractor 0.1.0 (record 1)" in str(caught.value)
    for advice in ("--overwrite", "another -o", "finish it with the version that wrote it"):
        assert advice in str(caught.value)
    assert _bytes(tmp_path) == _bytes(OUTPUTS)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_manifest_the_rows_tell_the_version(tmp_path: Path, name: str) -> None:
    out = _output(name, tmp_path)
    Path(manifest.path_of(str(out))).unlink()
    with pytest.raises(OutputMismatch, match=r"an earlier version \(record 1\)"), _open(out):
        pass


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.parquet"])
def test_the_version_is_told_before_flatten_where_both_differ(tmp_path: Path, name: str) -> None:
    out = _output(name, tmp_path).rename(tmp_path / f"values{Path(name).suffix}")
    with pytest.raises(OutputMismatch, match="earlier version|0.1.0"), _open(out):
        pass


def test_a_table_of_an_earlier_version_without_rows_is_refused_as_well(tmp_path: Path) -> None:
    with pytest.raises(OutputMismatch, match="0.1.0"), _open(_output("empty.csv", tmp_path)):
        pass


@pytest.mark.parametrize("name", [f"rows{suffix}" for suffix in SUFFIXES])
def test_overwriting_starts_an_output_of_an_earlier_version_again(tmp_path: Path, name: str) -> None:
    out = _output(name, tmp_path)
    with open_sink(str(out), SinkOptions("f1", overwrite=True)) as sink:
        sink.write(record("new"))
    assert ids(out) == ["new"]
    assert manifest.writer_version(str(out)) != "0.1.0"


def test_rows_of_a_later_version_are_refused(tmp_path: Path) -> None:
    row = RowSummary("a", "", "ok", "f1", record=RECORD_VERSION + 1)
    with pytest.raises(OutputMismatch, match=r"a later version \(record 3\)"):
        check(str(tmp_path / "rows.jsonl"), row, SinkOptions("f1"))
