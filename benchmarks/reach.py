"""How much of the schemas and values of strangers is taken: `python -m benchmarks.reach FOLDER`.

FOLDER holds files like those of maskbench in guidance-ai/jsonschemabench: a `schema`, and `tests` (`valid`, `data`).
For each valid instance a text is made up that holds its values; the instance is written as a model is asked to, every
property in order with null for what it lacks, and the grammar must take it. Members that the schema does not describe
are not asked for: they are left out, and the instances counted. Nothing is fetched.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import llguidance

from benchmarks.machine import describe
from extractor.data import Json
from extractor.errors import SchemaError
from extractor.task.task import Task, make_task

TOKENS = llguidance.LLTokenizer("byte")
MOST_READINGS = 4
"""Alternatives that an instance is written as, where several accept it."""


@dataclass
class Reach:
    """The counts over all files, and the longest time to load a schema and compile its grammar."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    def add(self, schema: Json, tests: list[dict[str, Json]]) -> None:
        """Count a schema and its instances, if it is one of an object."""
        objects = [test["data"] for test in tests if test["valid"] and isinstance(test["data"], dict)]
        if not _is_of_objects(schema, objects):
            return
        self.counts.update(schemas=1, instances=len(objects))
        began = time.perf_counter()
        try:
            task = make_task(schema)
        except SchemaError:
            return
        self.counts["taken"] += 1
        _takes(task, "nothing", b"")
        self.slowest = max(self.slowest, time.perf_counter() - began)
        for data in objects:
            self.counts.update(_judged(task, data))

    def rows(self) -> Iterator[str]:
        """Yield the lines of the table."""
        found = self.counts
        taken, reached = found["taken"] / found["schemas"], found["reached"] / found["instances"]
        yield "| object schemas | taken | valid instances | reached | with members not described | slowest, s |"
        yield "|---|---|---|---|---|---|"
        yield (
            f"| {found['schemas']:,} | {found['taken']:,} ({taken:.1%}) | {found['instances']:,} "
            f"| {found['reached']:,} ({reached:.1%}) | {found['beyond']:,} | {self.slowest:.2f} |"
        )


def _is_of_objects(schema: Json, objects: list[Json]) -> bool:
    types = schema.get("type") if isinstance(schema, dict) else None
    return "object" in types if types else bool(objects)


def _judged(task: Task, data: Json) -> list[str]:
    """Return `reached` for an instance that can be written, and `beyond` if something of it was left out for that."""
    text = "\n".join(_words(data)) or "nothing"
    for reading in range(MOST_READINGS):
        written = _Written(task, reading)
        answer = json.dumps(written.value(data, task.compiled.root_name), ensure_ascii=False)
        if _takes(task, text, f" {answer}".encode()):
            return ["reached", "beyond"] if written.beyond else ["reached"]
    return []


def _takes(task: Task, text: str, written: bytes) -> bool:
    grammar = llguidance.LLMatcher.grammar_from_lark(task.grammar.source(text))
    matcher = llguidance.LLMatcher(TOKENS, grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return bool(matcher.consume_tokens(list(written)) and matcher.is_accepting())


def _words(data: Json) -> Iterator[str]:
    """Yield all that a text must hold: names, strings and numbers."""
    if isinstance(data, dict):
        for name, value in data.items():
            yield name
            yield from _words(value)
    elif isinstance(data, list):
        for item in data:
            yield from _words(item)
    elif data is not None:
        yield data if isinstance(data, str) else json.dumps(data)


@dataclass
class _Written:
    """An instance as a model is asked to write it. `reading` says which of the alternatives that accept a value."""

    task: Task
    reading: int
    beyond: bool = False

    def value(self, value: Json, name: str | None) -> Json:
        if name is None or not isinstance(value, dict | list):
            return value
        walk = self.task.walk
        node = walk.settle(name, value)
        if self.reading and walk.schema[name].alternatives:
            options = list(walk.validator.accepting(list(walk.schema.options(walk.schema[name])), value)) or [node]
            node = options[self.reading % len(options)]
        if isinstance(value, list):
            return [self.value(item, walk.item(node, index)) for index, item in enumerate(value)]
        written = {each: self.value(value.get(each), sub) for each, sub in node.properties.items()}
        for each in value.keys() - node.properties.keys():
            if (sub := walk.member(node, each)) is None:
                self.beyond = True
            else:
                written[each] = self.value(value[each], sub)
        return written


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--files", default=1056, show_default=True, help="How many files to draw.")
@click.option("--seed", default=12, show_default=True, help="Which ones.")
def main(folder: Path, files: int, seed: int) -> None:
    """Print the table."""
    names = sorted(folder.glob("*.json"))
    random.Random(seed).shuffle(names)
    reach = Reach()
    for name in names[:files]:
        try:
            given = json.loads(name.read_text("utf-8"))
        except ValueError:  # one of the published files is not JSON
            continue
        reach.add(given["schema"], given["tests"])
    click.echo(f"{describe()}.\n")
    click.echo("\n".join(reach.rows()))


if __name__ == "__main__":
    main()
