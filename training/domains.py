"""Measures a model on documents of domains that it was not trained on: `python -m training.domains [MODEL]`.

`domains.jsonl` was written by hand. Each row asks for fields of its own: values after a label whose words may differ
from the field's name, values in running sentences, and documents that lack half of what is asked.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from extractor import Extractor
from extractor.data import Document, Json, Source
from extractor.evaluation import Annotation, evaluate
from extractor.evaluation.calibration import calibrate
from extractor.task.shorthand import schema_from_fields

ROWS = Path(__file__).with_name("domains.jsonl")


def rows(path: Path = ROWS) -> Iterator[dict[str, Json]]:
    """Yield the documents with their `group`, `fields` and `gold`."""
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


@click.command()
@click.argument("model", default="demo")
@click.option(
    "--file", type=click.Path(path_type=Path, exists=True), default=ROWS, help="Other documents of this form."
)
@click.option("--prompt", default="zh", show_default=True)
@click.option("--wrong", is_flag=True, help="Print each field that is not right.")
def main(model: str, file: Path, prompt: str, wrong: bool) -> None:
    """Print the share of fields that are right by group, and the calibration of the values found."""
    counts: dict[str, Counter[str]] = {}
    pairs: dict[str, list[tuple[float, bool]]] = {}
    for row in rows(file):
        with Extractor(schema_from_fields(row["fields"]), model, prompt) as extractor:
            record = next(iter(extractor.run([Document(row["id"], row["text"], Source("", ""))])))
        given = Annotation(row["id"], record.data, confidence=record.confidence or {}, text=row["text"])
        judged = evaluate([Annotation(row["id"], row["gold"], text=row["text"])], {row["id"]: given})
        right = dict(zip(judged.fields, judged.right()[0].tolist(), strict=True))
        for group in (row["group"], "all"):
            mine = counts.setdefault(group, Counter())
            mine["fields"] += len(right)
            mine["right"] += sum(right.values())
            mine["absent"] += sum(value is None for value in row["gold"].values())
            mine["made up"] += judged.made_up().where_null
            pairs.setdefault(group, []).extend(
                (each.confidence, each.verdict.right)
                for each in judged.values
                if each.confidence is not None and each.verdict.outcome != "missed"
            )
        for name, good in right.items():
            if wrong and not good:
                found = (record.data or {}).get(name)
                click.echo(f"{row['id']} {name}: {found!r} instead of {row['gold'][name]!r}")
    for group, mine in counts.items():
        table = calibrate(pairs[group], 0, 0)
        click.echo(
            f"{group:10} {mine['right'] / mine['fields']:.3f} ({mine['right']}/{mine['fields']}), absent fields filled "
            f"{mine['made up']}/{mine['absent']}, calibration error {table.error if table else 0:.3f}"
        )


if __name__ == "__main__":
    main()
