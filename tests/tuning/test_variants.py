"""Variants of gold: other values at their places, in text and data alike, and nothing else changed."""

from __future__ import annotations

import json
from collections.abc import Mapping

from extractor.annotation_formats import AnnotatedText
from extractor.data import Json
from extractor.text.json_pointer import scalars
from extractor.tuning.variants import variants
from tests.tuning.gold import texts


def _of(*rows: tuple[str, Mapping[str, Json]], seeds: int = 40) -> list[tuple[str, str]]:
    """Return all different variants of the first of some documents: text and data."""
    items = [AnnotatedText(str(number), text, data) for number, (text, data) in enumerate(rows)]
    made = [variants(items, str(seed))[0] for seed in range(seeds)]
    return sorted({(item.text or "", json.dumps(item.data, ensure_ascii=False)) for item in made})


def test_values_change_places_with_those_of_the_same_field() -> None:
    found = _of(
        ("王芳在北京。", {"人": ["王芳"], "地": ["北京"]}),
        ("欧阳修去过滁州", {"人": ["欧阳修"], "地": ["滁州"]}),
    )
    assert found == [
        ("欧阳修在北京。", '{"人": ["欧阳修"], "地": ["北京"]}'),
        ("欧阳修在滁州。", '{"人": ["欧阳修"], "地": ["滁州"]}'),
        ("王芳在北京。", '{"人": ["王芳"], "地": ["北京"]}'),
        ("王芳在滁州。", '{"人": ["王芳"], "地": ["滁州"]}'),
    ]


def test_numbers_change_with_the_way_in_which_they_are_written() -> None:
    found = _of(
        ("合计1,200.50元", {"项": [{"金额": 1200.5, "含税": True}]}),
        ("合计 三百 元", {"项": [{"金额": 300, "含税": False}]}),
    )
    assert found == [
        ("合计1,200.50元", '{"项": [{"金额": 1200.5, "含税": true}]}'),
        ("合计三百元", '{"项": [{"金额": 300, "含税": true}]}'),
    ]


def test_a_value_that_is_repeated_changes_everywhere_or_not_at_all() -> None:
    data = {"人": ["王芳", "王芳"]}
    assert _of(("王芳、王芳", data), ("李伟", {"人": ["李伟"]})) == [
        ("李伟、李伟", '{"人": ["李伟", "李伟"]}'),
        ("王芳、王芳", '{"人": ["王芳", "王芳"]}'),
    ]


def test_a_value_stays_that_lies_over_another_or_occurs_where_it_is_not_gold() -> None:
    over = ("北京大学", {"人": [], "地": ["北京"], "单位": ["北京大学"]})
    assert _of(over, ("滁州学院", {"地": ["滁州"], "单位": ["滁州学院"]})) == [
        (over[0], json.dumps(over[1], ensure_ascii=False))
    ]
    placed = AnnotatedText("1", "甲方张三，张三路1号", {"人": ["张三"]}, {"/人/0": ((2, 4),)})
    other = AnnotatedText("2", "李四", {"人": ["李四"]}, {"/人/0": ((0, 2),)})
    assert {variants([placed, other], str(seed))[0].text for seed in range(20)} == {placed.text}


def test_variants_follow_from_their_seed_and_hold_what_they_say() -> None:
    items = texts(20)
    assert variants(items, "1") == variants(items, "1") != variants(items, "2")
    for item in variants(items, "1"):
        for each in scalars(dict(item.data or {})):
            assert each.value is None or str(each.value) in (item.text or "")
