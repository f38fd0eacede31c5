"""Measures a model on generated documents it was not trained on: `python -m training.held_out [MODEL]`.

The product extracts and judges (`extractor.Extractor`, `extractor.evaluation`). Only the documents are made here, many
with fields of their own, so that no single schema fits them all. Files of documents that share a schema are measured
with `extractor run` and `extractor evaluate`: see the README.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count, islice
from random import Random

import click

from extractor import Extractor
from extractor.data import Document, Json, Source
from extractor.evaluation import Annotation, evaluate
from training.synth.documents import Asked, Example, example

Scores = dict[str, Counter[str]]
"""By group of documents: how many `fields`, how many of them `right` (value or null), `made up`, `missed`."""


def held_out() -> Iterator[Example]:
    """Yield documents with string fields only, without end, from seeds that training never uses."""
    for number in count():
        found = example(Random(f"held out/{number}"))
        if all(asked.type == "string" for asked in found.asked):
            yield found


def group(found: Example) -> str:
    """Return the layout, and whether the fields are those of a bundled schema or have random names."""
    return f"{'free' if found.task == 'free' else 'bundled'} {found.layout}"


def schema(asked: Iterable[Asked]) -> dict[str, Json]:
    """Return the JSON Schema that asks for these fields."""
    properties = {each.name: {"type": "string", "description": each.description} for each in asked}
    return {"type": "object", "properties": properties}


def answers(examples: Iterable[Example], model: str, prompt: str) -> Iterator[tuple[Example, Annotation]]:
    """Yield each example with what the product extracts from its text."""
    by_fields: dict[tuple[Asked, ...], list[Example]] = {}
    for each in examples:
        by_fields.setdefault(each.asked, []).append(each)
    for asked, group_of in by_fields.items():
        with Extractor(schema(asked), model, prompt) as extractor:
            documents = [Document(str(at), each.text, Source("", "")) for at, each in enumerate(group_of)]
            yield from ((group_of[int(record.id)], Annotation("", record.data)) for record in extractor.run(documents))


def judge(found: Example, given: Annotation) -> Counter[str]:
    """Count the fields of one document that are right, made up and missed."""
    evaluation = evaluate([Annotation(given.id, found.gold)], {given.id: given})
    values = {name: (given.data or {}).get(name) for name in found.gold}
    return Counter(
        {
            "fields": len(found.gold),
            "right": int(evaluation.right("exact").sum()),
            "made up": sum(values[name] is not None for name, gold in found.gold.items() if gold is None),
            "missed": sum(values[name] is None for name, gold in found.gold.items() if gold is not None),
        }
    )


def score(judged: Iterable[tuple[Example, Annotation]]) -> Scores:
    """Add up the counts by group and over all."""
    scores: Scores = {}
    for found, given in judged:
        counts = judge(found, given)
        for name in (group(found), "all"):
            scores.setdefault(name, Counter()).update(counts)
    return scores


@click.command()
@click.argument("model", default="demo")
@click.option("--documents", default=400, show_default=True)
@click.option("--prompt", default="zh", show_default=True)
def main(model: str, documents: int, prompt: str) -> None:
    """Print the accuracy of MODEL by layout."""
    scores = score(answers(islice(held_out(), documents), model, prompt))
    for name, counts in sorted(scores.items()):
        share = counts["right"] / counts["fields"]
        errors = f"made up {counts['made up']}, missed {counts['missed']}"
        click.echo(f"{name:24} {share:.3f} ({counts['right']}/{counts['fields']}, {errors})")


if __name__ == "__main__":
    main()
