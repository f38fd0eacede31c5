"""One output has one writer and files of its own, whatever its names; no link beside it is followed."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from extractor.data import Conflict, Provenance, Record, RecordError, RunInfo, Source, Withheld
from extractor.errors import OutputError, OutputLocked, Problem
from extractor.sinks import SinkOptions, formats, open_sink
from extractor.storage import manifest
from extractor.task.task import make_task

SUFFIXES = sorted(formats())
SCHEMA = {
    "type": "object",
    "properties": {
        "=cmd|calc!A0": {"type": "string"},
        "\u0000n": {"type": "string"},
        "n": {"type": "string"},
        "o": {"type": "object", "properties": {"p": {"type": "string"}}},
    },
}
OPTIONS = SinkOptions("f", {"seed": "1"}, task=make_task(SCHEMA))
RECORD = Record("d", "ok", Source("d", "0" * 64), RunInfo("f", "m", "s", "p"), {"n": "v"})
NAME = "\ud800x"
"""A name that no encoding can write."""

NAMES = ["a.jsonl", "a.JSONL", "a.ndjson", "a.csv", "a.jsonl.gz", "a.ndjson.gz", "a.parquet", "a.sqlite", "a.xlsx"]
"""Outputs that may lie beside each other."""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_output_with_two_names_has_one_writer(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows{suffix}"
    with open_sink(str(path), OPTIONS) as sink:
        sink.write(RECORD)
    os.link(path, tmp_path / f"hard{suffix}")
    (tmp_path / f"soft{suffix}").symlink_to(path)
    with open_sink(str(path), OPTIONS) as sink:
        for name in ("hard", "soft"):
            with (
                pytest.raises(OutputLocked, match="Another run"),
                open_sink(str(tmp_path / f"{name}{suffix}"), OPTIONS),
            ):
                pass
        sink.write(replace(RECORD, id="e"))
    with open_sink(str(path), OPTIONS) as sink:
        assert [sink.done(id, "0" * 64) for id in "de"] == ["ok", "ok"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_links_beside_an_output_are_not_followed(suffix: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = str(tmp_path / f"rows{suffix}")
    for beside in (f"{manifest.path_of(path)}.tmp", manifest.path_of(path), f"{path}.tmp"):
        os.symlink(victim, beside)
    with open_sink(path, OPTIONS) as sink:
        sink.write(RECORD)
        sink.write(RECORD)  # superseded: the end writes the file again
    assert victim.read_text() == "precious"
    assert json.loads(Path(manifest.path_of(path)).read_text())["totals"]["ok"] == 1


@pytest.mark.parametrize("beside", [".lock", ".open.jsonl"])
def test_a_link_in_the_place_of_a_file_that_is_kept_open_is_refused(beside: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = str(tmp_path / "rows.parquet")
    os.symlink(victim, f"{path}{beside}")
    with pytest.raises(OutputError), open_sink(path, OPTIONS) as sink:
        sink.write(RECORD)
    assert victim.read_text() == "precious"


def test_no_two_outputs_share_what_lies_beside_them() -> None:
    assert len({manifest.path_of(name) for name in NAMES}) == len(NAMES)


def test_no_header_of_csv_is_a_formula(tmp_path: Path) -> None:
    for _ in range(2):  # a run that resumes reads the header
        with open_sink(str(tmp_path / "rows.csv"), OPTIONS) as sink:
            sink.write(replace(RECORD, id="=1+1"))
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as stream:
        found = list(csv.reader(stream))
    assert len(found) == 2
    assert [cell for row in found for cell in row if cell.startswith(("=", "+", "-", "@"))] == []
    assert "'=cmd|calc!A0" in found[0]


@pytest.mark.parametrize("flatten", [False, True])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_that_no_encoding_can_write_reach_every_output(suffix: str, flatten: bool, tmp_path: Path) -> None:
    record = replace(
        RECORD,
        status="partial",
        data={"n": f"v{NAME}", NAME: "1", "\ud801x": "2", "o": {"p": "x", NAME: "3"}},
        spans={f"/{NAME}": ((0, 1),)},
        locations={f"/{NAME}": ({"sheet": NAME},)},
        confidence={f"/{NAME}": 0.5},
        errors=(RecordError(Problem("required", f"/{NAME}")),),
        conflicts={f"/{NAME}": (Conflict(NAME, (0, 1)),)},
        provenance=Provenance(("strict",), {f"/{NAME}": "only"}, (Withheld(NAME, NAME, "confidence"),)),
    )
    path = str(tmp_path / f"rows{suffix}")
    options = replace(OPTIONS, flatten=flatten)
    with open_sink(path, options) as sink:
        sink.write(record)
    with open_sink(path, options) as sink:
        assert sink.done("d", "0" * 64) == "partial"
