"""The synthetic documents: reproducible, true to their answers, and none of the documents used for measuring."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from training.synth.documents import Example, example
from training.synth.grammar import expand, parse
from training.synth.layouts import LAYOUTS

TRAINING = Path(__file__).parents[2] / "training"


def made(count: int, seed: str = "test") -> list[Example]:
    return [example(Random(f"{seed}/{number}")) for number in range(count)]


def strings(found: Example) -> list[str]:
    values = [v for v in found.gold.values() if v is not None]
    return [s for v in values for s in ([v] if isinstance(v, str) else v)]


def test_the_same_seed_gives_the_same_documents() -> None:
    assert made(50) == made(50)


def test_another_seed_gives_other_documents() -> None:
    assert made(20) != made(20, "other")


def test_every_value_occurs_in_its_document() -> None:
    for found in made(400):
        assert all(value in found.text for value in strings(found))


def test_every_field_asked_for_has_an_answer_and_an_absent_list_is_null() -> None:
    for found in made(400):
        assert [a.name for a in found.asked] == list(found.gold)
        assert [] not in found.gold.values()


def test_every_layout_occurs() -> None:
    assert {found.layout for found in made(400)} >= set(LAYOUTS)


def test_a_fair_share_of_the_fields_is_absent() -> None:
    values = [v for found in made(400) for v in found.gold.values()]
    assert 0.2 < sum(v is None for v in values) / len(values) < 0.5


def test_a_fair_share_of_the_examples_has_free_fields() -> None:
    tasks = [found.task for found in made(400)]
    assert 0.2 < tasks.count("free") / len(tasks) < 0.45


def test_no_document_used_for_measuring_is_generated_or_quoted() -> None:
    """No value of the development set occurs in the word lists or sentence frames."""
    sources = "".join(p.read_text(encoding="utf-8") for p in (TRAINING / "synth").rglob("*.txt"))
    for line in (TRAINING / "dev.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert not [v for v in row["gold"].values() if v and len(v) > 4 and v in sources]
        assert row["text"] not in {found.text for found in made(100)}


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("a(b|c)", {"ab", "ac"}),
        ("a(b(c|d)|)", {"abc", "abd", "a"}),
        ("xy?", {"xy", "x"}),
        ("(ab)?c", {"abc", "c"}),
        (r"\(\?\)", {"(?)"}),
        ("{n}!", {"7!"}),
    ],
)
def test_a_pattern_expands_to_exactly_these_texts(pattern: str, texts: set[str]) -> None:
    sequence = parse(pattern)
    assert {expand(sequence, Random(n), lambda name: "7") for n in range(60)} == texts


@pytest.mark.parametrize("pattern", ["(a", "a)", "a|b"])
def test_an_unbalanced_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="bracket"):
        parse(pattern)
