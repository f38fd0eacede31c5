"""`Extractor.evaluate` gives the figures of `extractor evaluate`, over texts of the gold or documents beside it."""

import json
from pathlib import Path
from typing import Any

import pytest

from extractor import Extractor, RunConfig
from extractor.cli import main
from extractor.data import Json
from extractor.errors import InputError, UsageError
from extractor.sinks import SinkOptions, open_sink
from tests.api.conftest import FOUND, TEXT, Contact
from tests.documentation import ROOT

SAMPLES = ROOT / "data" / "samples" / "contact"
GOLD: list[dict[str, Json]] = [
    {"id": "both", "text": TEXT, "data": {"手机号": "18888888888", "邮箱": "service@lanting-coffee.com"}},
    {"id": "spaced", "text": "手机号：13900000000", "data": {"手机号": "139 0000 0000", "邮箱": None}},
    {"id": "wrong", "text": "手机号：13700000000", "data": {"手机号": "13711111111", "邮箱": None}},
    {"id": "none", "text": " ", "data": {"手机号": "13600000000", "邮箱": None}},
]


def _write(path: Path, rows: list[dict[str, Json]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def _by_command_line(folder: Path, extractor: Extractor[Any], records: Any, gold: Path, capsys: Any) -> dict[str, Json]:
    """Return what `extractor evaluate -s` says of records that were written to a file."""
    results, schema = folder / "results.jsonl", folder / "schema.json"
    schema.write_text(json.dumps(extractor.task.schema), "utf-8")
    with open_sink(str(results), SinkOptions(records[0].run.fingerprint)) as sink:
        for record in records:
            sink.write(record)
    capsys.readouterr()
    assert main(["evaluate", str(results), str(gold), "-s", str(schema), "--wrong", "--json"]) == 0
    shown: dict[str, Json] = json.loads(capsys.readouterr().out)
    return shown


def test_the_figures_are_those_of_the_command_line(
    contacts: Extractor[Contact], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = contacts.evaluate(GOLD)
    shown = _by_command_line(tmp_path, contacts, found.records, _write(tmp_path / "gold.jsonl", GOLD), capsys)
    wrong = shown.pop("wrong")
    del shown["results"]
    assert json.loads(json.dumps(found.to_dict())) == shown
    assert json.loads(json.dumps(found.wrong())) == wrong
    micro = shown["overall"]["normalized"]["micro"]
    assert (found.precision, found.recall, found.f1) == (micro["precision"], micro["recall"], micro["f1"])
    assert (micro["gold"], micro["found"], micro["right"]) == (5, 4, 3)
    assert shown["failed"] == ["none"]
    assert "4 documents in the gold." in str(found)
    assert "all (micro)" in str(found)


def test_gold_may_be_a_file_and_its_documents_be_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = _write(
        tmp_path / "gold.jsonl",
        [
            {"id": "contact/book.txt", "data": {"手机号": "18888888888", "邮箱": "123456789@qq.com"}},
            {"id": "contact/resume.txt", "data": {"手机号": "15922047731", "邮箱": "nobody@example.com"}},
        ],
    )
    with Extractor("contact") as extractor:
        found = extractor.evaluate(gold, [SAMPLES])
        shown = _by_command_line(tmp_path, extractor, found.records, gold, capsys)
    assert len(found.records) == 9
    assert json.loads(json.dumps(found.to_dict())) == {
        name: value for name, value in shown.items() if name not in ("wrong", "results")
    }
    assert shown["made_up"]["checked"] > 0
    assert len(shown["extra"]) == 7


def test_instances_are_gold_as_well(contacts: Extractor[Contact]) -> None:
    found = contacts.evaluate([{"text": TEXT, "data": FOUND}, {"text": "无", "data": Contact(手机号="1")}])
    assert (found.precision, found.recall) == (1.0, 2 / 3)


def test_marked_entities_are_gold_as_well(contacts: Extractor[Contact]) -> None:
    entities = [{"type": "手机号", "start": 3, "end": 14}, {"type": "邮箱", "start": 18, "end": 44}]
    found = contacts.evaluate([{"text": TEXT, "entities": entities}])
    assert found.evaluation.scores("strict", found.resampling).micro.f1.value == 1.0
    assert found.records[0].id == "0"


@pytest.mark.parametrize(
    ("gold", "documents", "said"),
    [
        ([GOLD[0], GOLD[0]], None, "an earlier row has the id 'both', too"),
        ([{"id": "x", "data": {"手机号": "1"}}], None, r"row 0 of the gold has no text: give the documents"),
        ([{"id": "x", "data": {"手机号": "1"}}], [("y", TEXT)], "No document of the gold is in the results"),
        ([(TEXT, {})], None, "Row 0 of the gold is a tuple"),
        ([{"id": "x", "text": TEXT}], None, "row 0 of the gold is not an answer"),
        ("nowhere.jsonl", None, "nowhere.jsonl does not exist"),
        ([], None, "The gold holds no documents"),
    ],
)
def test_gold_that_cannot_be_used_is_refused(
    contacts: Extractor[Contact], gold: Any, documents: Any, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        contacts.evaluate(gold, documents)


def test_masked_values_are_not_held_against_gold() -> None:
    with (
        Extractor("contact", backend="scripted", config=RunConfig(redact=True)) as extractor,
        pytest.raises(UsageError, match="masks what is to be compared"),
    ):
        extractor.evaluate(GOLD)
