"""`extractor evaluate`: results against gold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import click

from extractor.annotation_formats import JsonRow, Notes, read_rows, source_of
from extractor.cli import _options
from extractor.cli._completion import FILE
from extractor.cli._console import set_logging
from extractor.cli._requests import command as request_command
from extractor.config import DisplayConfig
from extractor.data import Json
from extractor.errors import InputError
from extractor.evaluation import (
    EVERYTHING,
    Annotation,
    Comparison,
    Coverage,
    Evaluation,
    Resampling,
    Scope,
    compare,
    evaluate_all,
    read_annotation,
    tables,
)
from extractor.evaluation.summary import as_json, comparison_as_json, wrong_as_json
from extractor.ingest import ReadOptions
from extractor.ingest.reload import reload
from extractor.task.task import Task, load_task

EXAMPLES = """\b
Examples:
  extractor evaluate results.jsonl gold.jsonl
  extractor evaluate results.jsonl gold.jsonl -s contact --wrong    with every value that is wrong
  extractor evaluate new.jsonl gold.jsonl --compare old.jsonl       is the new run better, and where do they differ
  extractor evaluate results.jsonl gold.jsonl --json | jq .overall.normalized.micro.f1

\b
A row of GOLD has an `id` and `data` (field to value), or `text` and `entities` with `type`, `start` and `end`. Either
side may be in any format of `extractor convert` as well; the content shows which.
"""

_RESAMPLING = Resampling()

Rows = Iterator[tuple[str, JsonRow]]
"""Rows, each with its place for messages."""


@dataclass(frozen=True, slots=True)
class EvaluateRequest:
    """All of `extractor evaluate`; `other` are the results of another run to compare with."""

    results: str
    gold: str
    schema: str | None
    other: str | None
    common: bool
    wrong: bool
    root: str
    read: ReadOptions
    resamples: int
    seed: int
    as_json: bool

    def rows(self, path: str, notes: Notes, task: Task | None) -> Rows:
        """Return the rows of a file in whatever format."""
        return read_rows(path, notes, max_bytes=self.read.max_bytes, task=task)

    @property
    def resampling(self) -> Resampling:
        """The bootstrap."""
        return Resampling(self.resamples, self.seed)


@request_command(EvaluateRequest, epilog=EXAMPLES, short_help="Compare results with gold.")
@click.argument("results", type=FILE)
@click.argument("gold", type=FILE)
@click.option("-s", "--schema", help="The schema of the run: its fields count, and its x-ground says what is made up.")
@click.option("--compare", "other", metavar="RESULTS", help="Another run: is the difference significant, and where?")
@click.option("--common", is_flag=True, help="Leave out documents that the results lack; else nothing is found there.")
@click.option("--wrong", is_flag=True, help="Show every value that is wrong or missed.")
@click.option("--root", default="", help="Folder that the paths in the results start from, to read documents again.")
@_options.reading
@click.option(
    "--resamples",
    type=click.IntRange(min=1),
    default=_RESAMPLING.resamples,
    show_default=True,
    help="Bootstrap resamples behind intervals and p values.",
)
@click.option("--seed", type=int, default=_RESAMPLING.seed, show_default=True, help="Seed of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(request: EvaluateRequest) -> None:
    """Compare results with gold: precision, recall and F1 by field, made-up values, calibration of the confidence."""
    set_logging(DisplayConfig())
    notes, task = Notes(), load_task(request.schema) if request.schema else None
    runs = [_Results.of(path, request.rows(path, notes, task)) for path in (request.results, request.other) if path]
    rows_of_gold = _gold(request.rows(request.gold, notes, task))
    if request.common:
        rows_of_gold = {name: row for name, row in rows_of_gold.items() if all(name in run.rows for run in runs)}
    texts = _texts(rows_of_gold, runs[0], request)
    gold = [read_annotation(row, f"{request.gold}: {name}", texts.get(name)) for name, row in rows_of_gold.items()]
    report = _evaluate(gold, runs, request, task)
    if request.as_json:
        click.echo(json.dumps(report.as_json(request), ensure_ascii=False, indent=2))
    else:
        click.echo(report.as_text(request))
    for line in notes.lines():
        click.echo(f"Note: {line}", err=True)


@dataclass(frozen=True, slots=True)
class _Results:
    """The rows of a run by id; where there are several of an id, the last one counts, as when a run resumes."""

    path: str
    rows: Mapping[str, JsonRow]
    replaced: int

    @classmethod
    def of(cls, path: str, rows: Rows) -> _Results:
        """Return the rows of a file."""
        found: dict[str, JsonRow] = {}
        count = 0
        for _, row in rows:
            found[str(row["id"])] = row
            count += 1
        return cls(path, found, count - len(found))


@dataclass(frozen=True, slots=True)
class _Report:
    """What is printed: one run, or two and how they compare."""

    results: Sequence[_Results]
    coverages: Sequence[Coverage]
    evaluations: Sequence[Evaluation]
    comparison: Comparison | None

    def as_json(self, request: EvaluateRequest) -> dict[str, Json]:
        """Return all of it."""
        shown = [
            {"results": each.path, **asdict(coverage), **as_json(evaluation, request.resampling)}
            | ({"wrong": wrong_as_json(evaluation)} if request.wrong else {})
            for each, coverage, evaluation in zip(self.results, self.coverages, self.evaluations, strict=True)
        ]
        if self.comparison is None:
            return shown[0]
        return {**shown[0], "other": shown[1], "comparison": comparison_as_json(self.comparison)}

    def as_text(self, request: EvaluateRequest) -> str:
        """Return tables."""
        first = self.evaluations[0]
        parts = [tables.coverage(self.coverages[0])]
        parts += [tables.evaluation(first, request.resampling)]
        parts += [tables.wrong(first)] if request.wrong else []
        if self.comparison is not None:
            name = self.results[1].path
            parts += [
                f"{name}: {tables.coverage(self.coverages[1])}",
                tables.comparison(self.comparison, name),
            ]
        return "\n\n".join(parts)


def _evaluate(
    gold: Sequence[Annotation], runs: Sequence[_Results], request: EvaluateRequest, task: Task | None
) -> _Report:
    given = [{name: read_annotation(row, f"{run.path}: {name}") for name, row in run.rows.items()} for run in runs]
    scope = Scope.of(task) if task else EVERYTHING
    evaluations = evaluate_all(gold, given, scope)
    coverages = [Coverage.of(gold, annotations, run.replaced) for annotations, run in zip(given, runs, strict=True)]
    comparison = None
    if len(given) > 1:
        comparison = compare(evaluations[0], evaluations[1], (given[0], given[1]), request.resampling)
    return _Report(runs, coverages, evaluations, comparison)


def _gold(rows: Rows) -> dict[str, JsonRow]:
    """Return the rows of the gold by id. Raise InputError where two have the same."""
    gold: dict[str, JsonRow] = {}
    for where, row in rows:
        if str(row["id"]) in gold:
            raise InputError(f"{where}: an earlier row has the id {row['id']!r}, too. Which of the two is the gold?")
        gold[str(row["id"])] = row
    return gold


def _texts(gold: Mapping[str, JsonRow], run: _Results, request: EvaluateRequest) -> dict[str, str]:
    """Return the documents that the gold does not hold itself, as far as they are where the results say."""
    sources = {
        name: source
        for name, row in gold.items()
        if row.get("text") is None and (source := source_of(run.rows.get(name, {}))) is not None
    }
    return {name: text for name, text in reload(sources, request.root, request.read) if isinstance(text, str)}
