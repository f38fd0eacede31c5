"""`extractor tune`: a model learns from gold."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from extractor.annotation_formats import AnnotatedText, Notes, shaped
from extractor.cli import _options
from extractor.cli._annotated_texts import texts
from extractor.cli._console import set_logging
from extractor.cli._pipelines import load
from extractor.cli._requests import command as request_command
from extractor.config import DisplayConfig, ModelConfig, TaskConfig
from extractor.errors import UsageError
from extractor.ingest import ReadOptions
from extractor.task.task import Task

if TYPE_CHECKING:
    from extractor.tuning.measuring import Measure
    from extractor.tuning.training import Trainer
    from extractor.tuning.tuning import Plan, Tuning

EXAMPLES = """\b
Examples:
  extractor tune gold.jsonl -s contact -o tuned                      all weights of the bundled model
  extractor run inbox -s contact -m tuned -o results.jsonl
  extractor tune gold.jsonl -s contact -m chatglm3-6b -o my-lora     a LoRA
  extractor run inbox -s contact -m chatglm3-6b --adapter my-lora -o results.jsonl
  extractor tune gold.jsonl -s contact -o tuned --plan               only say how long it would take
"""


@dataclass(frozen=True, slots=True)
class TuneRequest:
    """All of `extractor tune`."""

    gold: str
    out: Path
    schema: str | None
    fields: str | None
    prompt: str
    examples: str | None
    model: str
    adapters: tuple[str, ...]
    offline: bool
    device: str
    full: bool | None
    epochs: int | None
    rate: float | None
    batch_tokens: int
    held_out: float
    seed: int
    root: str
    read: ReadOptions
    only_plan: bool
    display: DisplayConfig


@request_command(TuneRequest, epilog=EXAMPLES, short_help="Fine-tune a model on gold.")
@click.argument("gold")
@click.option("-o", "--output", "out", type=click.Path(path_type=Path), required=True, help="Folder for the result.")
@click.option("-s", "--schema", help="The schema of the runs that the model is tuned for.")
@click.option("--fields", help="Fields in shorthand instead of a schema.")
@click.option("-p", "--prompt", default="zh", show_default=True, help="The prompt of those runs.")
@click.option("--examples", metavar="FILE", help="Examples that their prompts show.")
@click.option("-m", "--model", default="demo", show_default=True, help="The model to begin with: a name or a folder.")
@click.option("--adapter", "adapters", multiple=True, metavar="DIR", help="A LoRA to merge into it before.")
@click.option("--offline", is_flag=True, help="Never touch the network.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--full/--lora",
    "full",
    default=None,
    help="Train all weights, or a LoRA beside them.  [default: all up to a thousand million]",
)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Rounds over the gold.  [default: what suits the number of documents]"
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="[default: what suits the model's size]")
@click.option("--batch-tokens", type=click.IntRange(min=1), default=2048, show_default=True, help="Tokens of a step.")
@click.option("--held-out", type=float, default=0.1, show_default=True, help="Share of the gold to measure with.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order, and of what is held out.")
@click.option("--root", default="", help="Folder that the paths in results start from, to read documents again.")
@click.option("--plan", "only_plan", is_flag=True, help="Say what it would do and how long it would take; no more.")
@_options.reading
@_options.display
def command(request: TuneRequest) -> None:
    """Fine-tune a model on GOLD (corrected results, or annotations in a format of `convert`) and write it to a folder.

    It learns the prompts that a run with the same options asks. A part of the gold is held out; the epoch that is best
    there is kept. A tuning that was killed goes on with the same line.
    """
    set_logging(request.display)
    if request.out.exists() and (not request.out.is_dir() or any(request.out.iterdir())):
        raise UsageError(f"{request.out} is not empty, and nothing is ever overwritten: choose a new folder.")
    task = load(TaskConfig(request.schema, request.fields, request.prompt, request.examples))
    notes = Notes()
    tuning = _tuning(request, task, _gold(request, task, notes), notes)
    checkpoint = request.out.with_name(f".{request.out.name}.checkpoint")
    trainer = tuning.trainer(checkpoint)
    _say(request, _plan_lines(tuning.plan(trainer)) + [f"Note: {line}" for line in notes.lines()])
    if not request.only_plan:
        _tune(request, tuning, trainer, checkpoint)


def _gold(request: TuneRequest, task: Task, notes: Notes) -> list[AnnotatedText]:
    """Return the documents of the gold that have a text and an answer."""
    found = (shaped(item, task, notes) for item in texts(request.gold, None, request.root, request.read, notes))
    kept = []
    for item in found:
        if item.text is None or item.data is None:
            notes.add("documents without a text or an answer, left out")
        else:
            kept.append(item)
    return kept


def _tuning(request: TuneRequest, task: Task, items: list[AnnotatedText], notes: Notes) -> Tuning:
    from extractor.tuning.tuning import TuneConfig, Tuning  # torch takes a while

    model = ModelConfig(request.model, device=request.device, offline=request.offline, adapters=request.adapters)
    config = TuneConfig(
        None if request.full is None else not request.full,
        request.epochs,
        request.rate,
        request.batch_tokens,
        request.held_out,
        request.seed,
    )
    return Tuning(items, task, model, config, notes)


def _plan_lines(plan: Plan) -> list[str]:
    kind = f"a LoRA of {plan.trained:,} beside" if plan.lora else "all of"
    return [
        f"Learns from {plan.documents:,} documents: {plan.prompts:,} prompts, {plan.tokens:,} tokens an epoch; "
        f"{plan.held_out:,} documents are held out",
        f"Trains     {kind} {plan.parameters:,} weights, {plan.epochs} epochs, rate {plan.rate:.2g}",
        f"Estimate   {plan.bytes / 1e9:.1f} GB of memory, {_duration(plan.seconds)}",
    ]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _tune(request: TuneRequest, tuning: Tuning, trainer: Trainer, checkpoint: Path) -> None:
    done = trainer.done
    base = tuning.measured()
    _say(request, [f"Before     {_told(base)}", *([f"Resumed after {done} batches"] if done else [])])
    hidden = request.display.quiet or not sys.stderr.isatty()
    with tqdm(total=trainer.total, initial=done, unit="batch", disable=hidden, dynamic_ncols=True) as bar:

        def on_batch(loss: float) -> None:
            bar.set_postfix({**bar_state, "loss": f"{loss:.3f}"}, refresh=False)
            bar.update()

        def on_measure(row: Mapping[str, float]) -> None:
            bar_state["held-out F1"] = f"{row.get('f1', 0):.3f}" if "f1" in row else "at the end"
            bar.clear()
            _say(request, [_epoch_line(row)])

        bar_state: dict[str, str] = {}
        trainer.run(tuning.hooks(checkpoint, on_batch=on_batch, on_measure=on_measure))
    tuning.write(request.out, trainer, base)
    after = tuning.measured_at(request.out)
    checkpoint.unlink(missing_ok=True)
    _say(request, [f"After      {_told(after)}", f"Written to {request.out}: {tuning.usage(request.out)}"])
    if after.f1 <= base.f1:
        _say(
            request, ["It is no better than before on the held-out documents: more gold, or another --rate, may help."]
        )


def _epoch_line(row: Mapping[str, float]) -> str:
    f1 = f", F1 {row['f1']:.3f}, {row['made_up']:.0f} made up" if "f1" in row else ""
    return f"Epoch {row['epoch']:<4.0f} held-out loss {row['loss']:.3f}{f1}"


def _told(measure: Measure) -> str:
    return f"held-out F1 {measure.f1:.3f}, {measure.made_up} values made up where the gold has none"


def _say(request: TuneRequest, lines: list[str]) -> None:
    if not request.display.quiet:
        for line in lines:
            click.echo(line, err=True)
