"""The command line decides about doubtful values, lists occurrences, and takes examples."""

import json
from pathlib import Path
from typing import Any

import pytest

from extractor.cli import main

BOOK = Path(__file__).resolve().parents[2] / "data" / "samples" / "contact" / "book.txt"
TWICE = "账号:root，密码:Ferry_2207x。再说一遍：账号 root，密码 Ferry_2207x。"


def _extract(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, Any, str]:
    code = main(["extract", *map(str, arguments), "-q"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


def test_all_occurrences_are_in_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text(TWICE, "utf-8")
    _, one, _ = _extract(capsys, letter, "-s", "contact", "--record")
    _, every, _ = _extract(capsys, letter, "-s", "contact", "--record", "--all-occurrences")
    assert every["data"] == one["data"]
    assert {len(spans) for spans in one["spans"].values()} == {1}
    for pointer, spans in every["spans"].items():
        value = every["data"][pointer[1:]]
        assert [TWICE[start:end] for start, end in spans] == [value] * TWICE.count(value)
    assert max(len(spans) for spans in every["spans"].values()) == 2


def test_values_below_the_least_confidence_are_withheld_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (BOOK, "-s", "contact", "-p", "book", "--record")
    _, free, _ = _extract(capsys, *arguments)
    least = sorted(free["confidence"].values())[2]
    _, strict, _ = _extract(capsys, *arguments, "--min-confidence", str(least))
    sure = {pointer for pointer, value in free["confidence"].items() if value >= least}
    assert 0 < len(sure) < len(free["confidence"])
    assert strict["status"] == "ok"
    assert strict["data"] == {name: value if f"/{name}" in sure else None for name, value in free["data"].items()}
    assert {f"/{each['field']}": (each["value"], each["confidence"]) for each in strict["provenance"]["withheld"]} == {
        pointer: (free["data"][pointer[1:]], value)
        for pointer, value in free["confidence"].items()
        if pointer not in sure
    }
    assert strict["run"]["fingerprint"] != free["run"]["fingerprint"]


def test_the_summary_counts_the_values_that_were_withheld(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.jsonl"
    assert main(["run", str(BOOK), "-s", "contact", "--min-confidence", "1", "-o", str(output)]) == 0
    withheld = json.loads(output.read_text("utf-8"))["provenance"]["withheld"]
    assert len(withheld) > 1
    assert f"1 ok; values: {len(withheld)} withheld. Rows:" in capsys.readouterr().err


def test_a_required_value_of_too_little_confidence_fails_the_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = tmp_path / "phone.json"
    schema.write_text(
        '{"type": "object", "properties": {"手机号": {"type": "string"}}, "required": ["手机号"]}', "utf-8"
    )
    code, record, err = _extract(capsys, BOOK, "-s", schema, "--min-confidence", "1", "--record")
    assert (code, record["status"], record["attempts"]) == (1, "failed", 1)
    assert [error["code"] for error in record["errors"]] == ["confidence"]
    assert "Failed: confidence: /手机号" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--min-confidence", "1.5"], "it must be from 0 to 1"),
        (["--ungrounded", "drop"], "'drop' is not one of"),
        (["--examples", "none.jsonl"], "cannot be read"),
        (["--examples", "bad.jsonl"], "bad.jsonl, line 2: /手机号: not in the text"),
    ],
)
def test_what_cannot_be_done_is_refused_before_a_model_is_loaded(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"text": "电话13900001111", "data": {"手机号": number}} for number in ("13900001111", "13900002222")]
    (tmp_path / "bad.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    code, shown, err = _extract(capsys, BOOK, "-s", "contact", "--backend", "scripted", *arguments)
    assert (code, shown) == (2, None)
    assert message in err
