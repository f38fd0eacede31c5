"""`extractor prompts`: the bundled prompt templates, and the prompt that a template makes of a document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from extractor import backends
from extractor.chatglm3 import resolve
from extractor.chatglm3.chat_tokenizer import ChatTokenizer, load_tokenizer
from extractor.cli import _single_document
from extractor.cli._completion import FILE, MODEL, PROMPT, SCHEMA
from extractor.cli._lists import as_json, print_list
from extractor.cli._pipelines import load
from extractor.cli._requests import Option
from extractor.cli._requests import command as request_command
from extractor.config import DEFAULT_BACKEND, ModelConfig, TaskConfig
from extractor.data import Document, Json, Prompt
from extractor.errors import InputError
from extractor.ingest import ReadOptions
from extractor.pipeline import Pipeline
from extractor.task.bundled import PROMPTS
from extractor.task.task import digest


@click.group(
    short_help="Show prompt templates, and what they make of a document.",
    epilog="""\b
Examples:
  extractor prompts list
  extractor prompts list --json
  extractor prompts show zh > my-prompt.jinja     to start your own from: extractor run ... -p my-prompt.jinja
  extractor prompts show my-prompt.jinja --render letter.txt -s contact
""",
)
def command() -> None:
    """Show the bundled prompt templates (Jinja2), and what a template makes of a document."""


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """A template to show, or a `file` to render with it."""

    name: str
    file: str | None
    schema: str | None
    fields: str | None
    examples: str | None
    chunk: int
    model: str
    offline: bool
    as_json: bool
    verbose: bool


@command.command("list")
@as_json
def list_(as_json: bool) -> None:
    """List the bundled prompts with their hash, which is in every record, and their first line."""
    texts = {name: PROMPTS.load(name)[1] for name in PROMPTS.names()}
    print_list(
        ({"name": name, "prompt_hash": digest(text), "first_line": _first_line(text)} for name, text in texts.items()),
        as_json,
        lambda row: f"{row['name']:6} {row['prompt_hash']}  {row['first_line'][:80]}",
    )


def _first_line(template: str) -> str:
    return next((line for line in template.splitlines() if line and not line.startswith("{")), "")


@request_command(
    PromptRequest,
    name="show",
    epilog="""\b
Examples:
  extractor prompts show zh
  extractor prompts show zh --render letter.txt -s contact             what the model reads, and how many tokens it is
  extractor prompts show zh --render letter.txt -s contact --json      with the ids and pieces of the tokens
""",
)
@click.argument("name", type=PROMPT)
@click.option(
    "--render", "file", type=FILE, metavar="FILE", help="Show what the template makes of this document (- for stdin)."
)
@click.option("-s", "--schema", type=SCHEMA, help="What to extract: a bundled schema or a .json file.")
@click.option("--fields", help='What to extract, in shorthand: "姓名, 年龄:integer".')
@click.option("--examples", metavar="FILE", help="JSONL of correct answers to show, as for `run`.")
@click.option(
    "--chunk",
    cls=Option,
    aliases=("--part",),
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Which chunk of a long document to show.",
)
@click.option("-m", "--model", type=MODEL, default="demo", show_default=True, help="The model whose tokens to count.")
@click.option("--offline", is_flag=True, help="Never touch the network.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: messages, token ids and pieces.")
@click.option("-v", "--verbose", is_flag=True, help="Show each token with its id.")
def show(request: PromptRequest) -> None:
    """Print a template, or the exact prompt that it makes of a document, as the model reads it."""
    if request.file is None:
        click.echo(PROMPTS.load(request.name)[1].rstrip("\n"))
        return
    prompts = _prompts(request, request.file)
    if request.chunk > len(prompts):
        raise click.UsageError(
            f"{request.file} is split into {len(prompts)} chunks; there is no chunk {request.chunk}."
        )
    tokenizer = load_tokenizer(resolve(request.model, offline=request.offline).path)
    rendered = _Rendered.of(prompts[request.chunk - 1], tokenizer)
    if request.as_json:
        shown = {"chunks": len(prompts), "chunk": request.chunk, **rendered.as_json()}
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    click.echo("\n".join(rendered.tokens() if request.verbose else rendered.text()))
    count = f"{len(rendered.ids):,} tokens of {request.model}"
    click.echo(f"Chunk {request.chunk} of {len(prompts)}: {count}.", err=True)


command.add_command(show)


def _prompts(request: PromptRequest, file: str) -> Sequence[Prompt]:
    """Return the first prompts about a document, one for each chunk."""
    task = load(TaskConfig(request.schema, request.fields, request.name, request.examples))
    backend = backends.make(DEFAULT_BACKEND, ModelConfig(request.model, offline=request.offline))
    return Pipeline(task, backend).prompts(_document(file))


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A prompt and its tokens: those of the chat format, of the text, and the newline that an answer begins with."""

    prompt: Prompt
    ids: list[int]
    pieces: list[str]

    @classmethod
    def of(cls, prompt: Prompt, tokenizer: ChatTokenizer) -> _Rendered:
        """Return the prompt with its tokens."""
        ids = tokenizer.answer_prompt(prompt.messages)
        names = {number: name for name, number in tokenizer.special.items()}
        pieces = [names.get(each) or tokenizer.piece_bytes(each).decode("utf-8", "backslashreplace") for each in ids]
        return cls(prompt, ids, pieces)

    def text(self) -> Iterator[str]:
        """Yield the turns, each under the token of its role."""
        for message in self.prompt.messages:
            yield f"<|{message.role}|>"
            yield message.content
        yield "<|assistant|>"

    def tokens(self) -> Iterator[str]:
        """Yield a line for each token: its id and its piece."""
        for number, piece in zip(self.ids, self.pieces, strict=True):
            yield f"{number:6}  {json.dumps(piece, ensure_ascii=False)}"

    def as_json(self) -> dict[str, Json]:
        """Return messages and tokens."""
        return {
            "prompt": self.prompt.task.prompt,
            "prompt_hash": digest(self.prompt.task.template),
            "messages": [{"role": message.role, "content": message.content} for message in self.prompt.messages],
            "tokens": len(self.ids),
            "ids": self.ids,
            "pieces": self.pieces,
        }


def _document(file: str) -> Document:
    """Return the one document of a file. Raise InputError where it cannot be read."""
    advice = "Put the one to look at into a file of its own."
    found = _single_document.only_one(file, ReadOptions(stdin="text"), advice)
    if isinstance(found, Document):
        return found
    raise InputError(f"{file} cannot be read: {found.problem.message}.")
