"""`extractor evaluate`: results against gold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

from extractor.cli import _evaluation_tables, _options
from extractor.cli._row_files import Row, rows, source_of
from extractor.data import Json
from extractor.errors import InputError
from extractor.evaluation import (
    EVERYTHING,
    Answer,
    Comparison,
    Evaluation,
    Resampling,
    Scope,
    answer,
    compare,
    evaluate_all,
)
from extractor.evaluation.summary import as_json, comparison_as_json, wrong_as_json
from extractor.ingest.reload import reload
from extractor.task.json_pointer import escape_pointer
from extractor.task.task import Task, load_task

EXAMPLES = """\b
Examples:
  extractor evaluate results.jsonl gold.jsonl
  extractor evaluate results.jsonl gold.jsonl -s contact --wrong    with every value that is wrong
  extractor evaluate new.jsonl gold.jsonl --compare old.jsonl       is new better, and where do they differ
  extractor evaluate results.jsonl gold.jsonl --json | jq .overall.normalized.micro.f1

\b
A row of GOLD has an `id` and `data` (field to value), or `text` and `entities` with `type`, `start` and `end`.
"""

_RESAMPLING = Resampling()


@click.command(epilog=EXAMPLES, short_help="Compare results with gold.")
@click.argument("results")
@click.argument("gold")
@click.option("-s", "--schema", help="The schema of the run: its fields count, and its x-ground says what is made up.")
@click.option("--compare", "other", metavar="RESULTS", help="Another run: is the difference more than luck, and where?")
@click.option("--common", is_flag=True, help="Leave out documents that the results lack; else nothing is found there.")
@click.option("--wrong", is_flag=True, help="Show every value that is wrong or missed.")
@click.option("--root", default="", help="Folder that the paths in the results start from, to read documents again.")
@_options.read_options
@click.option("--resamples", type=click.IntRange(min=1), default=_RESAMPLING.resamples, show_default=True)
@click.option("--seed", type=int, default=_RESAMPLING.seed, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(results: str, gold: str, **options: Any) -> None:
    """Compare results with gold: precision, recall and F1 by field, what is made up, and what confidence is worth."""
    _options.set_logging(quiet=False, verbose=False)
    found = [_Results.read(path) for path in (results, options["other"]) if path]
    expected = _gold(gold)
    if options["common"]:
        expected = {name: row for name, row in expected.items() if all(name in each.rows for each in found)}
    resampling = Resampling(options["resamples"], options["seed"])
    report = _evaluate(_answers(expected, gold, _texts(expected, found[0], options)), found, options, resampling)
    if options["as_json"]:
        click.echo(json.dumps(report.as_json(resampling, options["wrong"]), ensure_ascii=False, indent=2))
    else:
        click.echo(report.as_text(resampling, options["wrong"]))


@dataclass(frozen=True, slots=True)
class _Results:
    """The rows of a run by id; where there are several of an id, the last one counts, as for a restart."""

    path: str
    rows: Mapping[str, Row]
    replaced: int

    @classmethod
    def read(cls, path: str) -> _Results:
        found: dict[str, Row] = {}
        count = 0
        for _, row in rows(path):
            found[str(row["id"])] = row
            count += 1
        return cls(path, found, count - len(found))


@dataclass(frozen=True, slots=True)
class _Report:
    """What is printed: one run, or two and how they compare."""

    results: Sequence[_Results]
    coverages: Sequence[_evaluation_tables.Coverage]
    evaluations: Sequence[Evaluation]
    comparison: Comparison | None

    def as_json(self, resampling: Resampling, wrong: bool) -> dict[str, Json]:
        shown = [
            {"results": each.path, **asdict(coverage), **as_json(evaluation, resampling)}
            | ({"wrong": wrong_as_json(evaluation)} if wrong else {})
            for each, coverage, evaluation in zip(self.results, self.coverages, self.evaluations, strict=True)
        ]
        if self.comparison is None:
            return shown[0]
        return {**shown[0], "other": shown[1], "comparison": comparison_as_json(self.comparison)}

    def as_text(self, resampling: Resampling, wrong: bool) -> str:
        first = self.evaluations[0]
        parts = [_evaluation_tables.coverage(self.coverages[0]), _evaluation_tables.evaluation(first, resampling)]
        parts += [_evaluation_tables.wrong(first)] if wrong else []
        if self.comparison is not None:
            name = self.results[1].path
            parts += [
                f"{name}: {_evaluation_tables.coverage(self.coverages[1])}",
                _evaluation_tables.comparison(self.comparison, name),
            ]
        return "\n\n".join(parts)


def _evaluate(
    gold: Sequence[Answer], found: Sequence[_Results], options: Mapping[str, Any], resampling: Resampling
) -> _Report:
    given = [{name: answer(row, f"{each.path}: {name}") for name, row in each.rows.items()} for each in found]
    task = load_task(options["schema"]) if options["schema"] else None
    evaluations = evaluate_all(gold, given, _scope(task) if task else EVERYTHING)
    comparison = _compare(evaluations, given, resampling) if len(given) > 1 else None
    coverages = [_coverage(gold, answers, each.replaced) for answers, each in zip(given, found, strict=True)]
    return _Report(found, coverages, evaluations, comparison)


def _compare(
    evaluations: Sequence[Evaluation], given: Sequence[Mapping[str, Answer]], resampling: Resampling
) -> Comparison:
    return compare(evaluations[0], evaluations[1], (given[0], given[1]), resampling)


def _gold(path: str) -> dict[str, Row]:
    """The rows of the gold by id. Raises InputError where two have the same."""
    gold: dict[str, Row] = {}
    for where, row in rows(path):
        if str(row["id"]) in gold:
            raise InputError(f"{where}: the id {row['id']!r} stands there before. Which of the two is the gold?")
        gold[str(row["id"])] = row
    return gold


def _answers(expected: Mapping[str, Row], path: str, texts: Mapping[str, str]) -> list[Answer]:
    return [answer(row, f"{path}: {name}", texts.get(name)) for name, row in expected.items()]


def _texts(expected: Mapping[str, Row], found: _Results, options: Mapping[str, Any]) -> dict[str, str]:
    """The documents that the gold does not hold itself, from where the results say they are, as far as they are."""
    sources = {
        name: source
        for name, row in expected.items()
        if row.get("text") is None and (source := source_of(found.rows.get(name, {}))) is not None
    }
    read_options = _options.make_read_options(options)
    return {name: text for name, text in reload(sources, options["root"], read_options) if isinstance(text, str)}


def _scope(task: Task) -> Scope:
    def grounded(data: Mapping[str, Json]) -> set[str]:
        return {leaf.pointer for leaf in task.leaves(data) if leaf.ground != "none"}

    return Scope(tuple(escape_pointer(field.name) for field in task.fields), grounded)


def _coverage(gold: Sequence[Answer], given: Mapping[str, Answer], replaced: int) -> _evaluation_tables.Coverage:
    names = {each.id for each in gold}
    return _evaluation_tables.Coverage(
        gold=len(gold),
        failed=tuple(each.id for each in gold if each.id in given and given[each.id].data is None),
        missing=tuple(each.id for each in gold if each.id not in given),
        extra=tuple(name for name in given if name not in names),
        replaced=replaced,
    )
