"""How long a schema takes to load, and its grammar to build, by its size: `python -m benchmarks.schemas`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import click
import llguidance

from benchmarks.machine import describe
from extractor.data import Json
from extractor.task.answer_schema import answer_schema
from extractor.task.task import make_task

TEXT = "合同编号 CK-5518-204，甲方兰亭咖啡有限公司，金额 1,200.50 元，日期 2024-10-14。" * 40


def flat(fields: int) -> Json:
    """Return a schema of so many strings."""
    return {"type": "object", "properties": {f"字段{number}": {"type": "string"} for number in range(fields)}}


def tree(children: int) -> Json:
    """Return a schema that refers to itself in so many properties."""
    names = {f"c{number}": {"$ref": "#/$defs/T"} for number in range(children)}
    node = {"type": "object", "properties": {"name": {"type": "string"}, **names}}
    return {"type": "object", "properties": {"root": {"$ref": "#/$defs/T"}}, "$defs": {"T": node}}


def nested(levels: int) -> Json:
    """Return a schema of objects in lists, so deep."""
    schema: Json = {"type": "object", "properties": {"名": {"type": "string"}}}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"名": {"type": "string"}, "下": {"type": "array", "items": schema}}}
    return schema


def shared(definitions: int) -> Json:
    """Return a schema of so many definitions, each of which refers to all later ones."""
    defs = {
        f"D{number}": {
            "type": "object",
            "properties": {
                "值": {"type": ["string", "number", "null"], "description": "x" * 60},
                **{
                    f"d{later}": {"$ref": f"#/$defs/D{later}"}
                    for later in range(number + 1, min(number + 8, definitions))
                },
            },
        }
        for number in range(definitions)
    }
    return {"type": "object", "properties": {"全": {"$ref": "#/$defs/D0"}}, "$defs": defs}


CASES = {
    "30 fields": flat(30),
    "600 fields": flat(600),
    "5,000 fields": flat(5000),
    "a tree of 1 child": tree(1),
    "a tree of 3 children": tree(3),
    "a tree of 10 children": tree(10),
    "lists in lists, 40 levels": nested(40),
    "400 definitions that refer on": shared(400),
}


def rows() -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"{describe()}. A text of {len(TEXT):,} characters."
    yield ""
    yield "| schema | KB | load, s | rules | grammar a document, ms | KB for a server |"
    yield "|---|---|---|---|---|---|"
    tokens = llguidance.LLTokenizer("byte")
    for name, schema in CASES.items():
        began = time.perf_counter()
        task = make_task(schema)
        rules = len(task.grammar.rules)
        loaded = time.perf_counter() - began
        began = time.perf_counter()
        grammar = llguidance.LLMatcher.grammar_from_lark(task.grammar.source(TEXT))
        matcher = llguidance.LLMatcher(tokens, grammar, log_level=0)
        built = time.perf_counter() - began
        assert not matcher.is_error(), matcher.get_error()
        size, served = (
            len(json.dumps(each, ensure_ascii=False).encode()) / 1000 for each in (schema, answer_schema(task))
        )
        yield f"| {name} | {size:,.1f} | {loaded:.2f} | {rules:,} | {1000 * built:,.1f} | {served:,.1f} |"


@click.command()
def main() -> None:
    """Print the table."""
    for line in rows():
        click.echo(line)


if __name__ == "__main__":
    main()
