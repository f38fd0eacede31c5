"""A model is measured on documents by the lines that a user would type."""

from __future__ import annotations

from pathlib import Path

from benchmarks.tuning import asked
from tests.tuning.gold import texts, write


def test_a_model_is_asked_about_the_documents_and_compared_with_their_gold(tmp_path: Path) -> None:
    gold = write(tmp_path / "gold.jsonl", texts(2))
    result = asked("demo", str(gold), "contact", tmp_path / "results.jsonl")
    assert result.gold == 4
    assert result.interval[0] <= result.f1 <= result.interval[1]
    assert result.row.count("|") == 3
