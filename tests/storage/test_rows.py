"""A row is one envelope, for success and failure alike, and its JSON Schema ships."""

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from extractor.data import Conflict, Provenance, Record, RecordError, RunInfo, SampledAnswer, Sampling, Source, Withheld
from extractor.errors import CODES, Problem
from extractor.storage.rows import from_line, from_row, to_line, to_row
from tests.sinks.records import failed, record, sha

SCHEMA = json.loads((files("extractor.storage") / "record.schema.json").read_text("utf-8"))
RECORDS = [
    record("inbox/0001.txt"),
    record("conflict", conflicts={"/手机号": (Conflict("1", (3, 4)), Conflict(2))}),
    record("list", data={"人": [{"名": "张"}]}, spans={"/人/0/名": ((0, 1), (4, 5))}),
    record(
        "withheld",
        provenance=Provenance(
            parsed=("strict", "fence"),
            grounded={"/手机号": "ungrounded"},
            withheld=(Withheld("a", 3, "confidence", 0.4, ((1, 2),)), Withheld("b", "x", "ungrounded")),
            decoding=("json_schema",),
            unconstrained=("/a",),
            sampled=(SampledAnswer(0, 3, 1, Sampling(0.7, 5)), SampledAnswer(1, 1, 2, Sampling(0.7, 6))),
            found_in_pass={"/手机号": 2},
            chunks=2,
            passes=2,
        ),
    ),
    failed("failed"),
    record("noted", source=Source("a.xlsx", sha("文"), None, 1, ("left out: 2 hidden rows",))),
    Record(
        "io", "failed", Source("io", ""), RunInfo("f", "m", "s", "p"), errors=(RecordError(Problem("io", "not there")),)
    ),
]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("item", RECORDS, ids=lambda item: item.id)
def test_a_row_is_what_its_schema_says(item: Record) -> None:
    errors = jsonschema.Draft202012Validator(SCHEMA).iter_errors(from_line(to_line(item)))
    assert [error.message for error in errors] == []


@pytest.mark.parametrize(
    "change",
    [
        {"status": "fine"},
        {"id": ""},
        {"more": 1},
        {"spans": {"/a": [[1]]}},
        {"spans": {"a": [[1, 2]]}},
        {"data": None},
        {"status": "failed"},
        {"source": {"path": "a", "sha256": "short", "encoding": None, "chars": None}},
        {"usage": {"prompt_tokens": -1, "completion_tokens": 0, "seconds": 0}},
    ],
    ids=str,
)
def test_the_schema_accepts_nothing_else(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(to_row(record("a")) | change, SCHEMA)


def test_a_row_has_its_keys_in_the_order_of_the_design() -> None:
    row = to_row(record("inbox/0001.txt"))
    assert list(row) == [
        *(
            "id",
            "status",
            "data",
            "normalized",
            "spans",
            "locations",
            "confidence",
            "errors",
            "conflicts",
            "provenance",
        ),
        *("attempts", "source", "run", "usage"),
    ]
    assert row["spans"] == {"/手机号": [[86, 97]]}
    assert row["locations"] == {"/手机号": [{"page": 2}]}
    assert row["source"] == {
        "path": "inbox/0001.txt",
        "sha256": sha("文"),
        "encoding": "utf-8",
        "chars": 1,
        "notes": [],
    }
    assert row["run"] == {
        **{"fingerprint": "f1", "model": "demo", "schema": "contact", "prompt": "zh"},
        **{"schema_hash": "5c4e3a", "prompt_hash": "9c4a1e", "record": 2},
    }
    assert row["usage"] == {"prompt_tokens": 310, "completion_tokens": 41, "seconds": 0.123}
    assert list(row) == SCHEMA["required"]


def test_a_line_is_utf8_and_starts_with_the_id() -> None:
    line = to_line(record("甲.txt"))
    assert line.startswith('{"id":"甲.txt","status":"ok","data":{"手机号"'.encode())
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1


@pytest.mark.parametrize("value", ["a\ud800b", 2**70, "\u2028\x00\x1f"])
def test_every_value_gives_a_line_that_reads_back(value: object) -> None:
    line = to_line(record("a", data={"x": value}))
    assert from_line(line)["data"] == {"x": value}
    assert line.count(b"\n") == 1
    assert line.startswith(b'{"id":')


def test_a_number_that_json_does_not_have_is_null() -> None:
    for data in ({"x": float("nan")}, {"x": float("inf"), "y": ["\ud800", (1, float("nan"))]}):
        row = from_line(to_line(record("a", data=data)))
        assert row["data"]["x"] is None
    assert row["data"]["y"] == ["\ud800", [1, None]]


@pytest.mark.parametrize("item", RECORDS, ids=lambda item: item.id)
def test_a_row_gives_back_the_record_that_it_was_made_of(item: Record) -> None:
    again = from_row({**from_line(to_line(item)), "more": 1})
    assert to_row(again) == to_row(item)
    assert (again.source, again.run, again.errors) == (item.source, item.run, item.errors)


def test_a_row_of_another_version_is_told_as_such() -> None:
    row = to_row(RECORDS[0])
    row["run"].pop("record")
    with pytest.raises(ValueError, match="record version 1"):
        from_row(row)


@pytest.mark.parametrize("row", [{}, {"id": "a", "data": {}}, {**to_row(RECORDS[0]), "source": 1}])
def test_a_row_that_is_not_a_record_is_a_value_error(row: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a record"):
        from_row(row)


def test_the_schema_of_records_names_every_problem_code() -> None:
    assert SCHEMA["$defs"]["error"]["properties"]["code"]["enum"] == list(CODES)
