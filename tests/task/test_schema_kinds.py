"""Schemas as strangers bring them: each keyword reaches the grammar, the validator, a server and the places."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import llguidance
import pytest

from extractor.data import Json
from extractor.errors import SchemaError
from extractor.task.answer_schema import answer_schema
from extractor.task.task import Schema, Task, make_task

FOLDER = Path(__file__).parent / "schemas"
BYTES = llguidance.LLTokenizer("byte")
C = {"type": "object", "properties": {"手机号": {"type": "string"}}}


def a_schema(**properties: Json) -> Schema:
    return {"type": "object", "properties": properties}


def takes(task: Task, text: str, data: Json) -> bool:
    """Whether the grammar lets a model write these data, every property named."""
    source = llguidance.LLMatcher.grammar_from_lark(task.grammar.source(text))
    matcher = llguidance.LLMatcher(BYTES, source, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    written = (" " + json.dumps(task.completed(data), ensure_ascii=False)).encode()
    return bool(matcher.validate_tokens(list(written)) == len(written) and _ends(matcher, written))


def _ends(matcher: llguidance.LLMatcher, written: bytes) -> bool:
    return bool(matcher.consume_tokens(list(written)) and matcher.is_accepting())


# ruff: noqa: E501
RIGHT: list[tuple[str, Schema, str, Json]] = [
    ("allOf of one reference", a_schema(x={"allOf": [{"$ref": "#/$defs/C"}], "description": "d"}) | {"$defs": {"C": C}},
     "手机号138", {"x": {"手机号": "138"}}),
    ("allOf of bounds", a_schema(n={"allOf": [{"type": "integer"}, {"minimum": 1}]}), "3", {"n": 3}),
    ("a definition with a Chinese name", a_schema(x={"$ref": "#/$defs/公司"}) | {"$defs": {"公司": C}},
     "手机号138", {"x": {"手机号": "138"}}),
    ("a percent-encoded reference", a_schema(x={"$ref": "#/$defs/%E5%85%AC%E5%8F%B8"}) | {"$defs": {"公司": C}},
     "手机号138", {"x": {"手机号": "138"}}),
    ("an anchor", a_schema(x={"$ref": "#c"}) | {"$defs": {"C": {**C, "$anchor": "c"}}}, "138", {"x": {"手机号": "138"}}),
    ("an identifier", a_schema(x={"$ref": "c.json"}) | {"$id": "http://a.cn/root.json", "$defs": {"C": {**C, "$id": "c.json"}}},
     "138", {"x": {"手机号": "138"}}),
    ("an index into an array", a_schema(x={"anyOf": [C, {"type": "null"}]}, y={"$ref": "#/properties/x/anyOf/0"}),
     "138", {"x": None, "y": {"手机号": "138"}}),
    ("the whole schema again", a_schema(名={"type": "string"}, 子={"$ref": "#"}), "甲乙", {"名": "甲", "子": {"名": "乙", "子": None}}),
    ("maxItems 1", a_schema(l={"type": "array", "items": {"type": "string"}, "maxItems": 1}), "a@b", {"l": ["a@b"]}),
    ("maxItems 0", a_schema(l={"type": "array", "items": {"type": "string"}, "maxItems": 0}), "a", {"l": []}),
    ("minItems", a_schema(l={"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3}), "5 5 4", {"l": [5, 5, 4]}),
    ("a map of numbers", a_schema(费={"type": "object", "additionalProperties": {"type": "number"}}), "运费1,200元", {"费": {"运费": 1200}}),
    ("a map by pattern", a_schema(级={"type": "object", "patternProperties": {"^项": {"enum": ["高", "低"]}}}), "项甲", {"级": {"项甲": "高"}}),
    ("properties and a map", a_schema(x={**C, "additionalProperties": {"type": "integer"}}), "138 3",
     {"x": {"手机号": "138", "数": 3}}),
    ("a tuple", a_schema(区={"type": "array", "prefixItems": [{"type": "number"}, {"type": "number"}]}), "3到1,500", {"区": [3, 1500]}),
    ("a tuple of draft 7", a_schema(区={"type": "array", "items": [{"type": "number"}, {"type": "string"}], "additionalItems": False}),
     "3元", {"区": [3, "元"]}),
    ("constants as alternatives", a_schema(史={"oneOf": [{"const": "有"}, {"const": "无"}]}), "过敏史：无", {"史": "无"}),
    ("an enum of any type", a_schema(v={"enum": [1, "a", True, None, {"k": [1]}]}), "x", {"v": {"k": [1]}}),
    ("several types", a_schema(v={"type": ["string", "integer"]}), "第3号", {"v": 3}),
    ("several types, the other one", a_schema(v={"type": ["string", "integer"]}), "第3号", {"v": "号"}),
    ("nullable of OpenAPI", a_schema(l={"type": "array", "items": {"type": "integer", "nullable": True}}), "3", {"l": [3, None]}),
    ("nullable of what is null", a_schema(a={"anyOf": [{"type": "string"}, {"type": "null", "nullable": True}]}), "甲", {"a": "甲"}),
    ("annotations that no draft allows", a_schema(a={"type": "string", "deprecated": "use b", "examples": "x", "description": None}),
     "甲", {"a": "甲"}),
    ("exclusive bounds of draft 4", a_schema(n={"type": "integer", "minimum": 3, "exclusiveMinimum": True}), "4", {"n": 4}),
    ("a format that nobody knows", a_schema(手机号={"type": "string"}, 类={"type": "string", "x-ground": "none", "format": "phone"}),
     "138", {"手机号": "138", "类": "甲"}),
    ("a pattern that looks ahead", a_schema(a={"type": "string"}, 类={"type": "string", "x-ground": "none", "pattern": "^(?=.*甲).+$"}),
     "138", {"a": "138", "类": "甲类"}),
    ("not", a_schema(a={"type": "string"}, 类={"type": "string", "x-ground": "none", "not": {"enum": ["x"]}}), "138", {"a": "138", "类": "甲"}),
    ("if, then, else", a_schema(a={"type": "string"}, n={"type": "integer"}) | {"if": {"required": ["a"]}, "then": {"required": ["n"]}},
     "甲3", {"a": "甲", "n": 3}),
    ("a Unicode class in a pattern", a_schema(a={"type": "string", "pattern": r"^\p{Han}+$"}), "张三 Tom", {"a": "张三"}),
    ("an empty string that is allowed", a_schema(a={"type": "string", "minLength": 0}), "x", {"a": ""}),
    ("empty text for nothing", a_schema(a={"type": "string"}), "x", {"a": ""}),
    ("a reference to where OpenAPI keeps schemas", a_schema(人={"$ref": "#/components/schemas/人"})
     | {"components": {"schemas": {"人": {"type": "object", "properties": {"上级": {"$ref": "#/components/schemas/人"}, "名": {"$ref": "#/components/schemas/名"}}}, "名": {"type": "string"}}}},
     "甲 乙", {"人": {"上级": {"上级": None, "名": "乙"}, "名": "甲"}}),
    ("a reference to a group of definitions", a_schema(a={"$ref": "#/definitions/v1/C"}) | {"definitions": {"v1": {"C": C}}}, "138", {"a": {"手机号": "138"}}),
    ("a reference to a neighbour of properties", a_schema(a={"$ref": "#/C"}) | {"C": C}, "138", {"a": {"手机号": "138"}}),
    ("a required name that nothing describes", a_schema(a={"type": "string"}) | {"required": ["b"], "additionalProperties": True}, "甲 乙", {"a": "甲", "b": "乙"}),
    ("anything at all", a_schema(a={"type": "object"}, b={"type": "string"}), "x", {"a": {"k": [1, {"z": None}]}, "b": "x"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "schema", "text", "data"), RIGHT, ids=[kind for kind, *_ in RIGHT])
def test_a_right_answer_can_be_written_and_is_accepted(kind: str, schema: Schema, text: str, data: Json) -> None:
    task = make_task(schema)
    assert takes(task, text, data)
    assert task.problems(data) == ()
    server = make_task({**answer_schema(task), "title": kind})
    assert server.problems(task.completed(data)) == ()


WRONG: list[tuple[str, Schema, str, Json]] = [
    ("allOf of bounds", a_schema(n={"allOf": [{"type": "integer"}, {"minimum": 1}]}), "0", {"n": 0}),
    ("maxItems 1", a_schema(l={"type": "array", "items": {"type": "string"}, "maxItems": 1}), "ab cd", {"l": ["ab", "cd"]}),
    ("the other field keeps to the text", a_schema(手={"type": "string"}, 类={"type": "string", "format": "int64"}), "138", {"手": "139", "类": None}),
    ("a tuple that ends", a_schema(区={"type": "array", "prefixItems": [{"type": "number"}], "items": False}), "3 4", {"区": [3, 4]}),
    ("a constant", a_schema(v={"const": "甲"}), "乙", {"v": "乙"}),
    ("a map by pattern", a_schema(级={"type": "object", "patternProperties": {"^项": {"enum": ["高"]}}}), "项甲", {"级": {"项甲": "中"}}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "schema", "text", "data"), WRONG, ids=[kind for kind, *_ in WRONG])
def test_a_wrong_answer_cannot_be_written(kind: str, schema: Schema, text: str, data: Json) -> None:
    assert not takes(make_task(schema), text, data)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({**a_schema(手机号={"type": "string"}), "required": ["电话"], "additionalProperties": False}, "required names '电话'"),
        ({**a_schema(手机号={"type": "string"}), "required": ["电话"]}, "required names '电话', which no property describes: "),
        (a_schema(a={"enum": []}), "/properties/a: enum"),
        (a_schema(a={"type": "string", "minLength": 5, "maxLength": 3}), "minLength"),
        (a_schema(a={"type": "array", "minItems": 2, "maxItems": 1}), "minItems"),
        (a_schema(a={"type": "number", "minimum": 2, "maximum": 1}), "minimum"),
        (a_schema(a={"allOf": [{"type": "string"}, {"type": "number"}]}), "type"),
        ({"type": "object", "properties": {"子": {"$ref": "#"}}, "required": ["子"]}, "requires itself"),
        ({**a_schema(a={"type": "string"}), "allOf": [{"$ref": "#"}]}, "itself"),
        (a_schema(a={"$ref": "#/$defs/p"}) | {"$defs": {"p": {"$ref": "#/$defs/q"}, "q": {"$ref": "#/$defs/p"}}}, "itself"),
        (a_schema(a={"type": "string", "pattern": "(["}), "regular expression"),
        (a_schema(default={"$ref": "http://127.0.0.1:9/x.json"}), "nothing is fetched"),
        (a_schema(enum={"$ref": "file:///etc/passwd"}), "nothing is fetched"),
        (a_schema(a={"$ref": "other.json"}), "nothing is fetched"),
        (a_schema(a={"$ref": "#/required"}) | {"required": ["a"]}, "not a schema"),
        (a_schema(**{"\ud800": {"type": "string"}}), "surrogate"),
    ],
)  # fmt: skip
def test_what_nothing_can_satisfy_is_refused_by_keyword_and_place(schema: Schema, words: str) -> None:
    with pytest.raises(SchemaError, match=words.replace("(", r"\(")):
        make_task(schema)


@pytest.mark.parametrize(
    "more",
    [
        {"additionalProperties": True},
        {"additionalProperties": {"type": "string"}},
        {"patternProperties": {"^电": {"type": "string"}}},
    ],
)
def test_a_required_name_is_asked_for_where_the_schema_says_that_there_are_others(more: Schema) -> None:
    task = make_task({**a_schema(手机号={"type": "string"}), "required": ["电话"], **more})
    assert takes(task, "手机号1，电话2", {"手机号": "1", "电话": "2"})
    assert [problem.code for problem in task.problems({"手机号": "1"})] == ["required"]


@pytest.mark.parametrize("depth", [10_000])
def test_a_schema_nested_without_end_is_refused(depth: int) -> None:
    schema: Json = {"type": "string"}
    for _ in range(depth):
        schema = a_schema(a=schema)
    with pytest.raises(SchemaError, match="nested"):
        make_task(schema)


PYDANTIC: Mapping[str, tuple[str, Json]] = {
    "Event": (
        "Launch on 2024-03-05 14:05, for two hours",
        {"title": "Launch", "start": "2024-03-05T14:05:00", "length": "PT2H"},
    ),
    "Invoice": (
        "Invoice A7 of 2024-03-05: pen 2.5 x 3, ink 4; total 11.5",
        {"number": "A7", "issued": "2024-03-05", "total": 11.5,
         "items": [{"name": "pen", "price": 2.5, "quantity": 3}, {"name": "ink", "price": "4"}]},
    ),
    "Node": ("root: left, right", {"name": "root", "children": [{"name": "left"}, {"name": "right", "children": []}]}),
    "PersonAddr": ("Ann, 5 High St, York 123456", {"name": "Ann", "home": {"street": "5 High St", "city": "York", "zip": "123456"}}),
    "Pet": ("Ann has a dog, a terrier", {"owner": "Ann", "pet": {"kind": "dog", "breed": "terrier"}}),
    "WithEnum": ("Bo, admin, 高", {"name": "Bo", "role": "admin", "level": "高"}),
    "selfref_root": ("a: b", {"name": "a", "children": [{"name": "b"}]}),
}  # fmt: skip


@pytest.mark.parametrize("name", PYDANTIC)
def test_what_pydantic_writes_is_taken(name: str) -> None:
    task = make_task(json.loads((FOLDER / f"{name}.json").read_text("utf-8")))
    text, data = PYDANTIC[name]
    assert takes(task, text, _completed(task, data, task.compiled.root_name))
    assert task.problems(data) == ()
    assert task.unconstrained == ()


def _completed(task: Task, value: Json, name: str) -> Json:
    """A value with all that its schema names, as a model writes it."""
    node = task.walk.settle(name, value)
    if isinstance(value, list):
        return [_completed(task, item, str(task.walk.item(node, at))) for at, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    return {
        each: None if value.get(each) is None else _completed(task, value[each], sub)
        for each, sub in node.properties.items()
    }


@pytest.mark.parametrize("data", ['{"类": "Point", "x": 3}', '{"类": "Polygon", "y": 3}', '{"类": "Line", "z": 3}'])
def test_every_alternative_at_the_root_can_be_written(data: str) -> None:
    pairs = (("Point", "x"), ("Polygon", "y"), ("Line", "z"))
    branches = [a_schema(类={"const": word}, **{name: {"type": "integer"}}) for word, name in pairs]
    task = make_task({"type": "object", "oneOf": branches})
    matcher = llguidance.LLMatcher(BYTES, llguidance.LLMatcher.grammar_from_lark(task.grammar.source("x")), log_level=0)
    assert matcher.validate_tokens(list(f" {data}".encode())) == len(f" {data}".encode())
    assert _ends(matcher, f" {data}".encode())


def test_what_the_grammar_cannot_express_is_named_by_field() -> None:
    task = make_task(
        a_schema(
            名={"type": "string"},
            类={"type": "string", "x-ground": "none", "pattern": "^(?=.*甲).+$"},
            表={"type": "array", "items": a_schema(码={"type": "string", "not": {"const": "x"}})},
        )
    )
    assert task.unconstrained == ("/类", "/表")


def test_a_tree_with_three_children_has_a_rule_a_node() -> None:
    task = make_task(json.loads((FOLDER / "tree3.json").read_text("utf-8")))
    assert len(task.grammar.rules) < 12
    assert len(json.dumps(answer_schema(task))) < 1_200
    leaf = {"name": "b", "a": None, "b": None, "c": None}
    assert takes(task, "a b", {"root": {"name": "a", "a": leaf, "b": None, "c": leaf}})


def test_many_properties_are_loaded_in_linear_time() -> None:
    began = time.perf_counter()
    task = make_task(a_schema(**{f"p{number}": {"type": "string"} for number in range(600)}))
    assert len(task.fields) == 600
    assert len(task.grammar.rules) < 610
    assert time.perf_counter() - began < 30


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^(a+)+$", "a" * 40 + "!"),
        (r"^(a|aa)+$", "a" * 60 + "!"),
        (r"^(?:[a-z0-9]+_?)+$", "a" * 60 + "!"),
        (r"^([a-zA-Z0-9]+[._-]?)+@[a-z]+\.com$", "a" * 60),
    ],
)
def test_a_pattern_that_backtracks_without_end_is_a_problem_and_no_hang(pattern: str, text: str) -> None:
    task = make_task(a_schema(a={"type": "string", "x-ground": "none", "pattern": pattern}))
    began = time.perf_counter()
    assert len(task.problems({"a": text})) == 1
    assert time.perf_counter() - began < 20


def test_hundreds_of_items_that_backtrack_without_end_take_seconds() -> None:
    """At a second each this would run into the limit of the test."""
    items: Json = {"type": "array", "items": {"type": "string", "x-ground": "none", "pattern": "^(b|bb)+$"}}
    problems = make_task(a_schema(a=items)).problems({"a": ["b" * 60 + "!"] * 300})
    assert len(problems) == 300
    assert {problem.message.partition(": ")[2] for problem in problems} == {
        "takes too long to check: simplify the pattern"
    }


def test_many_required_names_and_hostile_patterns_are_loaded_in_seconds() -> None:
    schema = {**a_schema(a={"type": "string"}), "patternProperties": {"^(c|cc)+$": {"type": "string"}}}
    names = [f"{'c' * 60}{number}!" for number in range(300)]
    task = make_task({**schema, "required": names, "additionalProperties": False})
    assert [each.name for each in task.fields] == ["a"]
