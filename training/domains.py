"""Measures a model on documents of domains that it was not trained on: `python -m training.domains [MODEL]`.

Each row of `domains.jsonl`, `unseen.jsonl`, `fresh.jsonl` and `blind.jsonl` asks for fields of its own: values after a
label whose words may differ from the field's name, values in running sentences, and documents that lack half of what is
asked. The generator was worked on with the first in view. The others were written by people who had not seen the
generator, nor had those who wrote for it afterwards seen them; `unseen.jsonl` was in view when `contrasts` and the
pieces of English words were made, `fresh.jsonl` when tables under a title and forms in two languages were,
`blind.jsonl` only when the weights were ready.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import click

from extractor import Extractor
from extractor.data import Document, Json, Source
from extractor.evaluation import Annotation, Evaluation, evaluate
from extractor.evaluation.calibration import calibrate
from extractor.task.shorthand import schema_from_fields
from training.synth.concepts import domains
from training.synth.scenes import places_of_kind

FILES = tuple(
    Path(__file__).with_name(name) for name in ("domains.jsonl", "unseen.jsonl", "fresh.jsonl", "blind.jsonl")
)


def rows(path: Path) -> Iterator[dict[str, Json]]:
    """Yield the documents with their `group`, `fields` and `gold`."""
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


@cache
def trained_names() -> frozenset[str]:
    """Return the names of fields that the generator has, but for the bundled ones and those made of stems."""
    places = (place for english in (False, True) for same in places_of_kind(english).values() for place in same)
    concepts = (concept for domain in domains().values() for concept in domain.concepts)
    names = [*(each.names + each.foreign for each in places), *(own for each in concepts for own in each.names)]
    return frozenset(name for some in names for name in some)


@dataclass
class Group:
    """What documents of one group came to."""

    counts: Counter[str] = field(default_factory=Counter)
    """Of `fields`, those that are `right`; of `absent` ones, those that are `made up`."""
    pairs: list[tuple[float, bool]] = field(default_factory=list)
    """Confidence of each value that was found, and whether it is right."""

    def add(self, judged: Evaluation, gold: Iterable[Json], right: Iterable[bool]) -> None:
        values, good = list(gold), list(right)
        self.counts += Counter(fields=len(good), right=sum(good), absent=values.count(None))
        self.counts["made up"] += judged.made_up().where_null
        found = (each for each in judged.values if each.confidence is not None and each.verdict.outcome != "missed")
        self.pairs.extend((each.confidence or 0.0, each.verdict.right) for each in found)

    def __str__(self) -> str:
        right, fields, absent = self.counts["right"], self.counts["fields"], self.counts["absent"]
        table = calibrate(self.pairs, 0, 0)
        filled = f", absent fields filled {self.counts['made up']}/{absent}" if absent else ""
        return f"{right}/{fields} = {right / fields:.3f}{filled}, calibration error {table.error if table else 0:.3f}"


def measure(file: Path, model: str, prompt: str, wrong: bool) -> dict[str, Group]:
    """Extract from each document with its own fields. Return the groups of a file and `all`; show what is `wrong`."""
    groups: dict[str, Group] = {}
    for row in rows(file):
        with Extractor(schema_from_fields(row["fields"]), model, prompt) as extractor:
            record = next(iter(extractor.run([Document(row["id"], row["text"], Source("", ""))])))
        given = Annotation(row["id"], record.data, confidence=record.confidence or {}, text=row["text"])
        judged = evaluate([Annotation(row["id"], row["gold"], text=row["text"])], {row["id"]: given})
        right = dict(zip(judged.fields, judged.right()[0].tolist(), strict=True))
        for name in (row["group"], "all"):
            groups.setdefault(name, Group()).add(judged, row["gold"].values(), right.values())
        for name in (name for name, good in right.items() if wrong and not good):
            click.echo(f"{row['id']} {name}: {(record.data or {}).get(name)!r} instead of {row['gold'][name]!r}")
    return groups


@click.command()
@click.argument("model", default="demo")
@click.option(
    "--file",
    "files",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    default=FILES,
    help="Other documents of this form (repeatable).",
)
@click.option("--prompt", default="zh", show_default=True)
@click.option("--wrong", is_flag=True, help="Print each field that is not right.")
def main(model: str, files: tuple[Path, ...], prompt: str, wrong: bool) -> None:
    """Print the share of fields that are right by file and group, and the calibration of the values found."""
    for file in files:
        asked = [name for row in rows(file) for name in row["gold"]]
        known = sum(name in trained_names() for name in asked)
        click.echo(f"{file.name}: {known} of {len(asked)} names occur in training")
        for name, group in measure(file, model, prompt, wrong).items():
            click.echo(f"{file.name} {name:10} {group}")


if __name__ == "__main__":
    main()
