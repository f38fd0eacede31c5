"""The table counts a grammar for each document and the tokens that may come at each step."""

from pathlib import Path

from benchmarks import grammar_share
from extractor.engine.constraint import Constraint


def test_each_part_is_counted_and_the_methods_are_as_before(checkpoint: Path) -> None:
    before = Constraint.masks
    head, _, *table = grammar_share.report(checkpoint, 2, 200, 3)
    assert "2 documents of 200 tokens, 3 fields" in head
    building, tokens = (line.split(" | ") for line in table[2:])
    assert building[:2] == ["| building", "2"]
    assert int(tokens[1]) > 2
    assert Constraint.masks is before
