"""The page's data about a document: what is odd about it, and nothing that is sensitive."""

import json

import pytest

from extractor.data import Conflict, Json, Provenance, Record, RecordError, Withheld
from extractor.errors import Problem
from extractor.report import View, collect
from extractor.report.entries import WITHHELD, DetailLimit, entry, ungrounded
from extractor.task.task import load_task
from tests.builders import STRING, a_task
from tests.report.records import found

CONTACT = load_task("contact")
WHOLE = DetailLimit(10_000, 100)


def _shown(record: Record, text: str | Problem, view: View) -> tuple[dict[str, Json], str]:
    made = entry(record, text, view, WHOLE)
    return made, json.dumps(made, ensure_ascii=False)


def test_failed_documents_come_first_then_partial_then_odd_ones_then_the_lowest_confidence() -> None:
    records = [
        found("sure", "1", {"x": "1"}, confidence={"/x": 0.9}),
        found("unsure", "1", {"x": "1"}, confidence={"/x": 0.2}),
        found("conflict", "1", {"x": "1"}, conflicts={"/x": (Conflict("2"),)}),
        found("ungrounded", "1", {"x": "2"}),
        found("partial", "1", {"x": "1"}, status="partial", errors=(RecordError(Problem("required", "/y: missing")),)),
        found("failed", "1", None, status="failed", errors=(RecordError(Problem("parse", "no JSON"), 0, 1),)),
    ]
    collected = collect(records, None, 5)
    assert [record.id for record in collected.records] == ["failed", "partial", "ungrounded", "conflict", "unsure"]
    summary = collected.summary.as_json()
    assert (summary["documents"], summary["ok"], summary["partial"], summary["failed"]) == (6, 4, 1, 1)
    assert summary["codes"] == [("required", 1), ("parse", 1)]


def test_a_value_has_its_form_in_one_notation_beside_it_and_a_masked_one_has_none() -> None:
    task = a_task(day=STRING, phone={**STRING, "x-sensitive": True})
    forms = {"/day": "2024-03-05", "/phone": "+8613800138000"}
    record = found("d", "2024/3/5 13800138000", {"day": "2024/3/5", "phone": "13800138000"}, normalized=forms)
    made, shown = _shown(record, "2024/3/5 13800138000", View(task, redact=True))
    assert [value.get("normalized") for value in made["values"]] == ["2024-03-05", "***"]
    assert "13800138000" not in shown


def test_a_value_needs_a_place_where_its_schema_says_so() -> None:
    task = a_task(kind={"enum": ["a", "b"]}, name=STRING)
    record = found("d", "text", {"kind": "a", "name": "nowhere"})
    assert ungrounded(record, task) == {"/name"}
    assert ungrounded(record, None) == {"/kind", "/name"}


def test_a_confidence_of_zero_is_shown_and_a_missing_one_is_not() -> None:
    made, _ = _shown(found("d", "1 2", {"x": "1", "y": "2"}, confidence={"/x": 0.0}), "1 2", View())
    assert made["lowest_confidence"] == 0.0
    assert [value.get("confidence") for value in made["values"]] == [0.0, None]


SECRET = "Qm7-harbor"


@pytest.mark.parametrize(
    "text",
    [
        f"密码：{SECRET}",
        f"密码：{SECRET}，再说一遍{SECRET}x",
        f"密码：{SECRET}，全角 Ｑｍ７-ｈａｒｂｏｒ",
    ],
)
def test_a_sensitive_value_is_masked_wherever_it_occurs(text: str) -> None:
    record = found("d", text, {"手机号": None, "密码": SECRET})
    made, shown = _shown(record, text, View(CONTACT, redact=True))
    assert SECRET not in shown
    assert "Ｑｍ７" not in shown
    assert "harbor" not in shown
    (part,) = made["excerpts"]
    (start, end, _), *_ = part["highlights"]
    assert part["text"][start:end] == "***"
    assert part["text"].startswith("密码：")


def test_the_rest_of_a_word_that_was_cut_short_is_masked_with_it() -> None:
    text = f"密码：{SECRET}，完"
    record = found("d", text, {"密码": "harbor"})
    made, _ = _shown(record, text, View(CONTACT, redact=True))
    assert made["excerpts"] == [{"skipped": 0, "text": "密码：***，完", "highlights": [[3, 6, 0]]}]


def test_a_short_text_is_shown_whole_when_masking_makes_it_longer() -> None:
    text = "密码：ab"
    record = found("d", text, {"密码": "ab"})
    made = entry(record, text, View(CONTACT, redact=True), DetailLimit(len(text), 10))
    assert [part["text"] for part in made["excerpts"]] == ["密码：***"]


def test_other_values_of_a_sensitive_field_are_masked_as_well() -> None:
    text = "密码：first-one。密码：other-two。"
    others = (Conflict("other-two", (text.index("other"), text.index("other") + 9)),)
    record = found("d", text, {"密码": "first-one"}, conflicts={"/密码": others})
    _, shown = _shown(record, text, View(CONTACT, redact=True))
    assert "first" not in shown
    assert "other-two" not in shown


def test_the_text_of_a_failed_document_is_withheld_for_nobody_knows_what_is_sensitive_in_it() -> None:
    failure = (RecordError(Problem("parse", "the answer holds no JSON"), 0, 3),)
    record = found("d", f"密码：{SECRET}", None, status="failed", errors=failure)
    made, shown = _shown(record, f"密码：{SECRET}", View(CONTACT, redact=True))
    assert (made["note"], "excerpts" in made) == (WITHHELD, False)
    assert SECRET not in shown
    assert "excerpts" in entry(record, f"密码：{SECRET}", View(CONTACT), WHOLE)
    assert "excerpts" in entry(record, f"密码：{SECRET}", View(load_task("order"), redact=True), WHOLE)


def test_what_the_run_had_masked_stays_masked_in_the_text_without_asking() -> None:
    text = f"密码：{SECRET}，{SECRET}"
    record = found("d", text, {"密码": "***"}, spans={"/密码": ((3, 3 + len(SECRET)),)})
    made, shown = _shown(record, text, View())
    assert SECRET not in shown
    assert made["excerpts"][0]["text"] == "密码：***，***"


def test_without_redact_everything_is_shown() -> None:
    text = f"密码：{SECRET}"
    _, shown = _shown(found("d", text, {"密码": SECRET}), text, View(CONTACT))
    assert shown.count(SECRET) == 2


def test_what_was_withheld_or_may_come_from_an_example_is_shown_and_ranked_as_odd() -> None:
    withheld = (Withheld("账号", "root", "confidence", 0.3, ((0, 4),)),)
    record = found("d", "root", {"类": "买"}, provenance=Provenance(grounded={"/类": "example"}, withheld=withheld))
    made, _ = _shown(record, "root", View(a_task(类={"enum": ["买"]}, 账号=STRING)))
    assert made["flags"] == ["withheld", "example"]
    assert made["withheld"] == [{"field": "账号", "text": "root", "code": "confidence", "confidence": 0.3}]
    assert [value["grounding"] for value in made["values"]] == ["example"]
    plain = found("e", "1", {"x": "1"}, confidence={"/x": 0.0})
    assert [each.id for each in collect([plain, record], a_task(类={"enum": ["买"]}, x=STRING), 2).records] == [
        "d",
        "e",
    ]


@pytest.mark.parametrize("value", [SECRET, "***"])
def test_a_sensitive_value_that_was_withheld_is_masked_in_the_text_too(value: str) -> None:
    text = f"密码:{SECRET} 再说一遍 {SECRET}"
    withheld = (Withheld("密码", value, "confidence", 0.3, ((3, 13),)),)
    record = found("d", text, {"密码": None}, provenance=Provenance(withheld=withheld))
    made, shown = _shown(record, text, View(CONTACT, redact=True))
    assert SECRET not in shown
    assert made["withheld"][0]["text"] == "***"
