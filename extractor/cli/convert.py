"""`extractor convert`: annotations and results from one format into another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import click

from extractor import annotation_formats, backends
from extractor.annotation_formats import (
    GOLD,
    AnnotatedText,
    AnnotationFormat,
    Ask,
    Notes,
    WriteOptions,
    find_format,
    format_of_output,
    shaped,
)
from extractor.cli import _options, _outputs
from extractor.cli._annotated_texts import texts
from extractor.cli._completion import FILE
from extractor.cli._console import set_logging
from extractor.cli._pipelines import load
from extractor.cli._requests import command as request_command
from extractor.config import DEFAULT_BACKEND, STREAM, DisplayConfig, ModelConfig, TaskConfig
from extractor.data import Document, Prompt
from extractor.errors import InputError
from extractor.ingest import ReadOptions
from extractor.pipeline import Pipeline
from extractor.task.task import Task

EXAMPLES = """\b
Examples:
  extractor convert results.jsonl tasks.json --to label-studio      predictions, for people to correct
  extractor convert export.json gold.jsonl                          what they have corrected, as gold
  extractor convert train.conll gold.jsonl -s ner                   as the schema wants it
  extractor convert gold.jsonl annotations --to brat                a folder of .txt and .ann
  extractor convert gold.jsonl sft.json --to llama-factory -s contact -m chatglm3-6b

\b
Formats:
"""


def _listed() -> str:
    found = annotation_formats.formats().values()
    return "".join(f"  {each.name:24}{each.title}\n" for each in found)


@dataclass(frozen=True, slots=True)
class ConvertRequest:
    """All of `extractor convert`."""

    source: str
    output: str
    source_format: str | None
    target_format: str | None
    schema: str | None
    fields: str | None
    prompt: str
    examples: str | None
    model: str
    offline: bool
    root: str
    read: ReadOptions
    overwrite: bool

    @property
    def asks(self) -> bool:
        """Whether a schema is given."""
        return self.schema is not None or self.fields is not None


@request_command(ConvertRequest, epilog=EXAMPLES + _listed(), short_help="Convert annotations and results.")
@click.argument("source", type=FILE, metavar="INPUT")
@click.argument("output", type=FILE, default=STREAM)
@click.option(
    "--to", "target_format", metavar="FORMAT", help="What to write.  [default: what the suffix says, else gold]"
)
@click.option("--from", "source_format", metavar="FORMAT", help="What INPUT is.  [default: what its content shows]")
@click.option("-s", "--schema", help="Bring values into the form of this schema: a string where it asks for one.")
@click.option("--fields", help="Fields in shorthand instead of a schema.")
@click.option("-p", "--prompt", default="zh", show_default=True, help="The prompt of the run, for llama-factory.")
@click.option("--examples", metavar="FILE", help="Examples that the prompt shows, for llama-factory.")
@click.option("-m", "--model", default="demo", show_default=True, help="Whose context a prompt has to fit, likewise.")
@click.option("--offline", is_flag=True, help="Never touch the network.")
@click.option("--root", default="", help="Folder that the paths in results start from, to read documents again.")
@_options.reading
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT.")
def command(request: ConvertRequest) -> None:
    """Convert annotations or results from INPUT to OUTPUT (a file, a folder for brat, - for stdout).

    Formats of entities hold a label and a place for each value; what they cannot hold is said with counts. Results hold
    no text: their documents are read again.
    """
    set_logging(DisplayConfig())
    target = _target(request)
    _outputs.check(request.output, request.source, folder=target.folder, overwrite=request.overwrite)
    notes = Notes()
    task = _task(request) if request.asks else None
    found = texts(request.source, request.source_format, request.root, request.read, notes)
    items = (shaped(item, task, notes) for item in found) if task else found
    written = _Counted(target.takes(items, notes))
    _outputs.write(
        request.output, target.write(written, WriteOptions(notes, task, _asking(request, task) if task else None))
    )
    click.echo(f"Documents written ({target.name}): {written.count}", err=True)
    for line in notes.lines():
        click.echo(f"Note: {line}", err=True)
    if not written.count:
        raise InputError(f"{request.source}: no document could be converted.")


def _target(request: ConvertRequest) -> AnnotationFormat:
    if request.target_format:
        return find_format(request.target_format)
    return find_format(GOLD) if request.output == STREAM else format_of_output(request.output)


def _task(request: ConvertRequest) -> Task:
    return load(TaskConfig(request.schema, request.fields, request.prompt, request.examples))


def _asking(request: ConvertRequest, task: Task) -> Ask:
    """Return what tells the prompts of a run; the tokenizer is loaded when it is asked, the model never."""
    pipelines: list[Pipeline] = []

    def ask(document: Document) -> tuple[Prompt, ...]:
        if not pipelines:
            backend = backends.make(DEFAULT_BACKEND, ModelConfig(request.model, offline=request.offline))
            pipelines.append(Pipeline(task, backend))
        return pipelines[0].prompts(document)

    return ask


class _Counted(Iterator[AnnotatedText]):
    """An iterator that knows how many it has given."""

    def __init__(self, items: Iterator[AnnotatedText]) -> None:
        self._items, self.count = items, 0

    def __next__(self) -> AnnotatedText:
        item = next(self._items)
        self.count += 1
        return item
