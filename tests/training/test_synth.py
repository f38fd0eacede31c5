"""The synthetic documents: reproducible, true to their answers, and none of the documents used for measuring."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from random import Random

import pytest

from training.domains import FILES, rows, trained_names
from training.synth.concept_values import concept_value
from training.synth.concepts import domains
from training.synth.contrasts import contrasted, owned
from training.synth.documents import Example, example
from training.synth.fields import number_of
from training.synth.grammar import expand, parse
from training.synth.layouts import LAYOUTS
from training.synth.scenes import places_of_kind, value_of

TRAINING = Path(__file__).parents[2] / "training"
COMMON = frozenset(
    "headache|peach|director|Washed|Rotterdam|O negative|13:00|swallow|red panda|Felixstowe|Halifax|gluten|white|Anwen|"
    "Gethin|Checkout|Halloran|Winifred|staging".split("|")
)
"""Words that nobody can keep out of either side."""


def made(count: int, seed: str = "test") -> list[Example]:
    return [example(Random(f"{seed}/{number}")) for number in range(count)]


def strings(found: Example) -> list[str]:
    values = [v for v in found.gold.values() if v is not None]
    return [s for v in values for s in ([v] if isinstance(v, str) else v if isinstance(v, list) else [])]


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


def test_most_of_the_examples_have_fields_that_no_schema_has() -> None:
    tasks = [found.task for found in made(400)]
    assert 0.6 < sum(map(tasks.count, ("free", "domain", "stems", "scene", "card"))) / len(tasks) < 0.9


def test_every_kind_of_concept_has_values_in_both_languages() -> None:
    for domain in domains().values():
        for concept in domain.concepts:
            for english in (False, True):
                assert concept_value(Random(1), concept.kind, english)


@pytest.mark.parametrize("english", [False, True])
def test_everything_that_scenes_and_forms_state_has_names_and_values(english: bool) -> None:
    for kind, places in places_of_kind(english).items():
        assert value_of(Random(1), kind, english)
        assert all(name == name.strip() != "" for place in places for name in (*place.names, *place.foreign))


@pytest.mark.parametrize("english", [False, True])
def test_what_only_a_word_tells_apart_is_stated_or_absent(english: bool) -> None:
    for number in range(40):
        numbers = map(str, count(1000))
        rows, absent = contrasted(Random(number), "Name", "Label", lambda values=numbers: next(values), english)
        assert len({field.name for _, _, field in rows} | {field.name for field in absent}) == len(rows) + len(absent)
        assert all(field.gold == value for _, value, field in rows)
        assert all(field.gold is None for field in absent)


@pytest.mark.parametrize("english", [False, True])
def test_what_a_person_has_stands_behind_the_name_or_is_absent(english: bool) -> None:
    for number in range(40):
        shown, field = owned(Random(number), "Owner", "Li Wei", english, there=True)
        assert isinstance(field.gold, str)
        assert shown.startswith("Li Wei")
        assert field.gold in shown
        assert owned(Random(number), "Owner", "Li Wei", english, there=False)[1].gold is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("1,200.50元", 1200.5), ("-18℃", -18), ("3人", 3), ("30kW", 30), ("12千克", 12), ("3万元", None), ("2-8℃", None),
     ("80×60", None), ("无", None)],
)  # fmt: skip
def test_the_one_plain_number_of_a_text(text: str, number: float | None) -> None:
    assert number_of(text) == number


def test_the_domains_for_measuring_are_not_those_for_training() -> None:
    names = {name for domain in domains().values() for each in domain.concepts for own in each.names for name in own}
    fields = [name for file in FILES for row in rows(file) for name in row["gold"]]
    assert sum(name in names for name in fields) < len(fields) / 9


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_readme_says_how_many_of_the_names_for_measuring_occur_in_training(file: Path) -> None:
    fields = [name for row in rows(file) for name in row["gold"]]
    known = sum(name in trained_names() for name in fields)
    assert f"{known} of {len(fields)}" in (TRAINING / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", ["dev.jsonl", *(file.name for file in FILES)])
def test_no_document_used_for_measuring_is_generated_or_quoted(file: str) -> None:
    """No value of them occurs in the word lists or sentence frames, but for a common word."""
    sources = "".join(p.read_text(encoding="utf-8") for p in (TRAINING / "synth").rglob("*.txt"))
    generated = {found.text for found in made(100)}
    for line in (TRAINING / file).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        values = [v for value in row["gold"].values() for v in (value if isinstance(value, list) else [value])]
        texts = [v for v in values if isinstance(v, str) and len(v) > 4 and v not in COMMON]
        assert not [text for text in texts if text in sources]
        assert row["text"] not in generated


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
