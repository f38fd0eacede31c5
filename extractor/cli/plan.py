"""`extractor plan`: what a run would do and how long it would take."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import click
from tqdm import tqdm

from extractor import backends, ingest
from extractor.cli import _options
from extractor.estimate import LONGEST_LISTED, Plan, Probe, estimate, probe, survey
from extractor.pipeline import Pipeline

EXAMPLES = """\b
Examples:
  extractor plan inbox -s contact                    count, and measure for a few seconds
  extractor plan inbox -s contact --probe 0          count only: the model is not loaded
  extractor plan inbox -s contact -m chatglm3-6b --json | jq .seconds
"""


@click.command(epilog=EXAMPLES, short_help="Count what a run would do, and estimate its time.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@_options.task_options
@_options.model_options
@_options.server_options
@_options.ask_options
@_options.read_options
@click.option("--limit", type=click.IntRange(min=0), help="Look at so many documents only.")
@click.option("--probe", "seconds", type=click.FloatRange(min=0), default=15, show_default=True, help="Seconds of it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@_options.talk_options
def command(inputs: tuple[str, ...], seconds: float, as_json: bool, **options: Any) -> None:
    """Count files, tokens and prompts of a run, and estimate its time from a short measured probe.

    Takes the options of `run`. Nothing is written.
    """
    _options.set_logging(options["quiet"], options["verbose"])
    task = _options.make_task_from(options)
    documents = ingest.read(inputs, _options.make_read_options(options))
    config = _options.model_config(options)
    pipeline = Pipeline(task, backends.make(options["backend"], config), _options.run_config(options))
    pipeline.check()
    hidden = options["quiet"] or not sys.stderr.isatty()
    counted = tqdm(itertools.islice(documents, options["limit"]), unit="doc", leave=False, disable=hidden)
    plan = survey(counted, pipeline, 2 * config.batch_size if seconds else 0)
    measured = probe(pipeline.backend, plan.sample, seconds) if plan.sample else None
    if as_json:
        click.echo(json.dumps(_as_json(plan, pipeline, measured), ensure_ascii=False, indent=2))
        return
    if not options["quiet"]:
        _options.label_demo(pipeline.backend.name)
    click.echo("\n".join(_lines(plan, pipeline, measured)))


def _as_json(plan: Plan, pipeline: Pipeline, measured: Probe | None) -> Mapping[str, Any]:
    return {
        **plan.as_json(),
        "model": pipeline.backend.name,
        "tokens_of_text_per_prompt": pipeline.budget.chunk,
        "probe": asdict(measured) if measured else None,
        "seconds": estimate(plan, measured) if measured and measured.prompts else None,
    }


def _lines(plan: Plan, pipeline: Pipeline, measured: Probe | None) -> Iterator[str]:
    counts = plan.as_json()
    characters = counts["characters"]
    yield f"Files       {plan.files.total():,}: {_counts(plan.files)}"
    yield f"Documents   {plan.documents:,}, of which {len(plan.unreadable):,} cannot be read"
    for each in plan.unreadable[:LONGEST_LISTED]:
        yield f"              {each.id}: {each.problem.code}: {each.problem.message}"
    if len(plan.unreadable) > LONGEST_LISTED:
        yield f"              ... and {len(plan.unreadable) - LONGEST_LISTED:,} more (--json has all)"
    yield f"Encodings   {_counts(plan.encodings)}"
    yield f"Characters  {characters['all']:,} (median {characters['median']:,.0f}, longest {characters['longest']:,})"
    yield f"Tokens      {plan.tokens:,} of text; {plan.prompt_tokens:,} with the instructions"
    room = pipeline.budget.chunk
    yield f"Prompts     {plan.prompts:,} for {pipeline.backend.name}, each with up to {room:,} tokens of text"
    if plan.groups > 1:
        yield f"              in {plan.groups} groups of fields: one answer cannot hold them all"
    if plan.passes > 1:
        yield f"              in {plan.passes} passes; fewer where one finds nothing new"
    yield f"Do not fit  {len(plan.cut):,} documents, which are asked about in parts"
    for cut in plan.cut[:LONGEST_LISTED]:
        yield f"              {cut.id}: {cut.characters:,} characters in {cut.parts:,} parts"
    if len(plan.cut) > LONGEST_LISTED:
        yield f"              ... and {len(plan.cut) - LONGEST_LISTED:,} more (--json has all)"
    yield f"Time        {_time(plan, measured)}"


def _counts(counter: Mapping[str, int]) -> str:
    return (
        ", ".join(f"{name} {count:,}" for name, count in sorted(counter.items(), key=lambda pair: -pair[1])) or "none"
    )


def _time(plan: Plan, measured: Probe | None) -> str:
    if not plan.prompts:
        return "none: there is nothing to ask about"
    if measured is None:
        return "not measured (--probe 15 measures for 15 seconds)"
    if not measured.prompts:
        return f"not known: no prompt was answered in {measured.seconds:.0f} s. Give it longer: --probe 120"
    return (
        f"about {_duration(estimate(plan, measured))}, without what has to be asked again (measured: "
        f"{measured.prompts} prompts with {measured.tokens:,} tokens in {measured.seconds:.1f} s, "
        f"loading in {measured.loading:.1f} s)"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
