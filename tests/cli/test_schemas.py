"""`schemas check` tells before a run whether a schema can be used, and what is questionable about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

QUESTIONABLE = {
    "type": "object",
    "required": ["姓名"],
    "properties": {
        "姓名": {"type": "string"},
        "编号": {"type": "string", "pattern": r"(?<=A)\d+"},
        "人数": {"type": "integer", "not": {"const": 13}},
        "id": {"type": "integer"},
        "ID": {"type": "integer"},
        "备注": {},
    },
}


def a_file(folder: Path, schema: Any) -> str:
    (folder / "mine.json").write_text(json.dumps(schema, ensure_ascii=False), encoding="utf-8")
    return "mine.json"


def test_what_is_questionable_about_a_schema_is_told_field_by_field(tmp_path: Path, extractor: Run) -> None:
    done = extractor("schemas", "check", a_file(tmp_path, QUESTIONABLE))
    assert (done.returncode, done.stderr) == (0, "")
    verdict, tokens, *findings = done.stdout.splitlines()
    assert verdict == "mine.json can be used. Fields: 6."
    assert tokens.endswith("of the 2,048 tokens that demo reads.")
    assert dict(finding.split(": ", 1) for finding in findings) == {
        "/编号": "the grammar leaves `pattern` to the validator: an answer may have to be retried",
        "/人数": "the grammar leaves `not` to the validator: an answer may have to be retried",
        "/ID": "differs from 'id' only in case: models confuse them, and SQL takes them for one column",
        "/姓名": "is required and must be copied from the document: one that lacks it gives a partial row",
        "/备注": 'has no type: text, numbers, lists or objects will do; add "type"',
    }


def test_the_same_comes_as_json_with_codes(tmp_path: Path, extractor: Run) -> None:
    shown = json.loads(extractor("schemas", "check", a_file(tmp_path, QUESTIONABLE), "--json").stdout)
    assert shown["fields"] == ["姓名", "编号", "人数", "id", "ID", "备注"]
    assert 0 < shown["instructions"] < shown["context"] == 2048
    assert {finding["pointer"]: finding["code"] for finding in shown["findings"]} == {
        "/编号": "unconstrained",
        "/人数": "unconstrained",
        "/ID": "alike",
        "/姓名": "required",
        "/备注": "untyped",
    }


def test_a_required_name_that_nothing_describes_may_be_a_slip(tmp_path: Path, extractor: Run) -> None:
    schema = {"type": "object", "properties": {"_id": {"type": "string"}}, "required": ["id"]}
    refused = extractor("schemas", "check", a_file(tmp_path, schema))
    assert (refused.returncode, "required names 'id', which no property describes" in refused.stderr) == (2, True)
    done = extractor("schemas", "check", a_file(tmp_path, {**schema, "additionalProperties": True}))
    assert "/id: is required, and no property describes it" in done.stdout
    assert done.returncode == 0


def test_nothing_is_questionable_about_a_bundled_schema(extractor: Run) -> None:
    done = extractor("schemas", "check", "contact")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)


def test_more_fields_than_one_answer_holds_are_said_to_be_asked_in_groups(tmp_path: Path, extractor: Run) -> None:
    many = {"type": "object", "properties": {f"字段{number}": {"type": "integer"} for number in range(120)}}
    shown = json.loads(extractor("schemas", "check", a_file(tmp_path, many), "--json").stdout)
    assert [finding["code"] for finding in shown["findings"]] == ["groups"]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "object", "properties": {"级别": {"enum": []}}}, "/properties/级别: enum"),
        ({"type": "object", "properties": {"a": {"type": "string", "minLength": 3, "maxLength": 2}}}, "minLength"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}}, "points to nothing"),
        ({"type": "array"}, "object"),
    ],
)
def test_a_schema_that_cannot_be_used_gives_exit_code_2_and_the_reason(
    schema: Any, reason: str, tmp_path: Path, extractor: Run
) -> None:
    done = extractor("schemas", "check", a_file(tmp_path, schema))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ")
    assert reason in done.stderr


def test_the_help_has_an_example(extractor: Run) -> None:
    assert "extractor schemas check my-schema.json" in extractor("schemas", "check", "--help").stdout
