"""`extractor plan`: what a run would do and how long it would take."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import click
from tqdm import tqdm

from extractor import ingest
from extractor.cli import _options
from extractor.cli._completion import FILE
from extractor.cli._console import duration, label_demo, set_logging
from extractor.cli._pipelines import open_pipeline
from extractor.cli._requests import command as request_command
from extractor.config import ExtractionRequest
from extractor.data import Document, FailedDocument, Json
from extractor.estimate import Plan, Probe, estimate, probe, survey
from extractor.pipeline import Pipeline

EXAMPLES = """\b
Examples:
  extractor plan inbox -s contact                    count, and measure for a few seconds
  extractor plan inbox -s contact --probe 0          count only: the model is not loaded
  extractor plan inbox -s contact -m chatglm3-6b --json | jq .seconds
"""

_MOST_LISTED = 10
_SAMPLED_BATCHES = 2
_INDENT = " " * 14


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest(ExtractionRequest):
    """All of `extractor plan`; `seconds` is the time to measure for."""

    inputs: tuple[str, ...]
    limit: int | None
    seconds: float
    as_json: bool


@request_command(PlanRequest, epilog=EXAMPLES, short_help="Count what a run would do, and estimate its time.")
@click.argument("inputs", type=FILE, nargs=-1, required=True, metavar="INPUT...")
@_options.task
@_options.model
@_options.answers
@_options.reading
@_options.limit
@click.option(
    "--probe",
    "seconds",
    type=click.FloatRange(min=0),
    default=15,
    show_default=True,
    help="Seconds to measure for; 0 counts only.",
)
@_options.json_flag
@_options.display
def command(request: PlanRequest) -> None:
    """Count files, tokens and prompts of a run, and estimate its time from a short measured probe.

    Takes the options of `run`. Nothing is written.
    """
    set_logging(request.display)
    documents = ingest.read(request.inputs, request.read)
    pipeline = open_pipeline(request)
    plan = survey(_counted(documents, request), pipeline, _sample_size(request))
    measured = probe(pipeline.backend, plan.sample, request.seconds) if plan.sample else None
    if request.as_json:
        click.echo(json.dumps(_as_json(plan, pipeline, measured), ensure_ascii=False, indent=2))
        return
    if not request.display.quiet:
        label_demo(pipeline.backend.name)
    click.echo("\n".join(_lines(plan, pipeline, measured)))


def _counted(
    documents: Iterator[Document | FailedDocument], request: PlanRequest
) -> Iterator[Document | FailedDocument]:
    """Yield the documents under a progress bar."""
    hidden = request.display.quiet or not sys.stderr.isatty()
    yield from tqdm(itertools.islice(documents, request.limit), unit="doc", leave=False, disable=hidden)


def _sample_size(request: PlanRequest) -> int:
    """Return the number of prompts to draw for the probe."""
    return _SAMPLED_BATCHES * request.model.batch_size if request.seconds else 0


def _as_json(plan: Plan, pipeline: Pipeline, measured: Probe | None) -> Mapping[str, Json]:
    return {
        **plan.as_json(),
        "model": pipeline.backend.name,
        "tokens_of_text_per_prompt": pipeline.budget.chunk,
        "probe": asdict(measured) if measured else None,
        "seconds": estimate(plan, measured) if measured and measured.prompts else None,
    }


def _lines(plan: Plan, pipeline: Pipeline, measured: Probe | None) -> Iterator[str]:
    yield from _input_lines(plan)
    yield from _prompt_lines(plan, pipeline)
    yield f"Time        {_time(plan, measured)}"


def _input_lines(plan: Plan) -> Iterator[str]:
    characters = plan.as_json()["characters"]
    yield f"Files       {plan.files.total():,}: {_counts(plan.files)}"
    yield f"Documents   {plan.documents:,}, of which {len(plan.unreadable):,} cannot be read"
    yield from _listed([f"{each.id}: {each.problem.code}: {each.problem.message}" for each in plan.unreadable])
    yield f"Encodings   {_counts(plan.encodings)}"
    yield f"Characters  {characters['all']:,} (median {characters['median']:,.0f}, longest {characters['longest']:,})"


def _prompt_lines(plan: Plan, pipeline: Pipeline) -> Iterator[str]:
    yield f"Tokens      {plan.tokens:,} of text; {plan.prompt_tokens:,} with the instructions"
    room = pipeline.budget.chunk
    yield f"Prompts     {plan.prompts:,} for {pipeline.backend.name}, each with up to {room:,} tokens of text"
    if plan.groups > 1:
        yield f"{_INDENT}in {plan.groups} groups of fields: one answer cannot hold them all"
    if plan.passes > 1:
        yield f"{_INDENT}in {plan.passes} passes; fewer where one finds nothing new"
    yield f"Do not fit  {len(plan.split):,} documents, which are split into chunks"
    yield from _listed([f"{each.id}: {each.characters:,} characters in {each.chunks:,} chunks" for each in plan.split])


def _listed(lines: list[str]) -> Iterator[str]:
    """Yield the first lines, indented, and how many more there are."""
    yield from (f"{_INDENT}{line}" for line in lines[:_MOST_LISTED])
    if len(lines) > _MOST_LISTED:
        yield f"{_INDENT}... and {len(lines) - _MOST_LISTED:,} more (--json has all)"


def _counts(counter: Mapping[str, int]) -> str:
    largest_first = sorted(counter.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {count:,}" for name, count in largest_first) or "none"


def _time(plan: Plan, measured: Probe | None) -> str:
    if not plan.prompts:
        return "none: there is nothing to ask about"
    if measured is None:
        return "not measured (--probe 15 measures for 15 seconds)"
    if not measured.prompts:
        return f"unknown: no prompt was answered in {measured.seconds:.0f} s. Give it longer: --probe 120"
    return (
        f"about {duration(estimate(plan, measured))}, without retries (measured: "
        f"{measured.prompts} prompts with {measured.tokens:,} tokens in {measured.seconds:.1f} s, "
        f"loading in {measured.loading:.1f} s)"
    )
