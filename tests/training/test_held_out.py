"""Generated documents that were not trained on are reproducible, and the product's answers to them are judged."""

from __future__ import annotations

from itertools import islice

from extractor.evaluation import Annotation
from training.held_out import answers, held_out, judge, schema, score
from training.synth.documents import Asked, Example

PHONE, MAIL = Asked("手机号"), Asked("邮箱", description="联系邮箱")
DOCUMENT = Example("free", "letter", "手机号18888888888", (PHONE, MAIL), {"手机号": "18888888888", "邮箱": None})


def test_the_documents_are_reproducible_and_ask_for_strings_only() -> None:
    first, second = (list(islice(held_out(), 30)) for _ in range(2))
    assert first == second
    assert {asked.type for found in first for asked in found.asked} == {"string"}


def test_the_schema_asks_for_the_fields_in_order() -> None:
    assert list(schema(DOCUMENT.asked)["properties"].items()) == [
        ("手机号", {"type": "string", "description": ""}),
        ("邮箱", {"type": "string", "description": "联系邮箱"}),
    ]


def test_right_made_up_and_missed_fields_are_counted() -> None:
    counts = {"fields": 2, "right": 2, "made up": 0, "missed": 0}
    assert judge(DOCUMENT, Annotation("", {"手机号": "18888888888"})) == counts
    wrong = judge(DOCUMENT, Annotation("", {"手机号": None, "邮箱": "a@b.cn"}))
    assert wrong == counts | {"right": 0, "made up": 1, "missed": 1}
    assert judge(DOCUMENT, Annotation("", None)) == counts | {"right": 0, "missed": 1}


def test_the_product_answers_each_document_and_scores_add_up_by_layout() -> None:
    other = Example("contact", "book", "邮箱a@b.cn", (MAIL,), {"邮箱": "a@b.cn"})
    found = list(answers([DOCUMENT, other, DOCUMENT], "demo", "zh"))
    assert [example for example, _ in found] == [DOCUMENT, DOCUMENT, other]
    scores = score(found)
    assert {name: counts["fields"] for name, counts in scores.items()} == {
        "free letter": 4,
        "bundled book": 1,
        "all": 5,
    }
    assert scores["free letter"]["right"] == 4
