"""`extractor prompts`: the bundled prompt templates, and what a template makes of a document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from extractor import backends
from extractor.chatglm3 import Tokenizer, resolve
from extractor.cli import _options, _single_document
from extractor.config import ModelConfig
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
  extractor prompts show zh > my-prompt.jinja     a start for your own: extractor run ... -p my-prompt.jinja
  extractor prompts show my-prompt.jinja --render letter.txt -s contact
""",
)
def command() -> None:
    """Show the bundled prompt templates (Jinja2), and what a template makes of a document."""


@command.command("list")
def list_() -> None:
    """List the bundled prompts with their hash, which is in every record, and their first line."""
    for name in PROMPTS.names():
        text = PROMPTS.load(name)[1]
        first = next((line for line in text.splitlines() if line and not line.startswith("{")), "")
        click.echo(f"{name:6} {digest(text)}  {first[:80]}")


@command.command(
    epilog="""\b
Examples:
  extractor prompts show zh
  extractor prompts show zh --render letter.txt -s contact             what the model reads, and how many tokens it is
  extractor prompts show zh --render letter.txt -s contact --json      with the ids and pieces of the tokens
"""
)
@click.argument("name")
@click.option("--render", "file", metavar="FILE", help="Show what the template makes of this document (- for stdin).")
@click.option("-s", "--schema", help="What is asked for: a bundled name or a .json file.")
@click.option("--fields", help='What is asked for, on the spot: "姓名, 年龄:integer".')
@click.option("--examples", metavar="FILE", help="JSONL of right answers to show, as for `run`.")
@click.option(
    "--part", type=click.IntRange(min=1), default=1, show_default=True, help="Of a document in several parts."
)
@click.option("-m", "--model", default="demo", show_default=True, help="Whose tokens to count.")
@click.option("--offline", is_flag=True, help="Never touch the network.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: messages, token ids and pieces.")
@click.option("-v", "--verbose", is_flag=True, help="Show each token with its id.")
def show(name: str, file: str | None, **options: Any) -> None:
    """Print a template, or the exact prompt that it makes of a document, as the model reads it."""
    if file is None:
        click.echo(PROMPTS.load(name)[1].rstrip("\n"))
        return
    task = _options.make_task_from({**options, "prompt": name})
    config = ModelConfig(options["model"], offline=options["offline"])
    prompts = Pipeline(task, backends.make("chatglm3", config)).prompts(_document(file))
    if options["part"] > len(prompts):
        raise click.UsageError(f"{file} is asked about in {len(prompts)} parts; there is no part {options['part']}.")
    tokenizer = Tokenizer(resolve(config.model, offline=config.offline).path)
    rendered = _Rendered.of(prompts[options["part"] - 1], tokenizer)
    if options["as_json"]:
        shown = {"parts": len(prompts), "part": options["part"], **rendered.as_json()}
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    click.echo("\n".join(rendered.tokens() if options["verbose"] else rendered.text()))
    click.echo(f"Part {options['part']} of {len(prompts)}: {len(rendered.ids):,} tokens of {config.model}.", err=True)


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A prompt and its tokens: those of the chat format, of the text, and the newline that an answer begins with."""

    prompt: Prompt
    ids: list[int]
    pieces: list[str]

    @classmethod
    def of(cls, prompt: Prompt, tokenizer: Tokenizer) -> _Rendered:
        ids = [*tokenizer.chat_prompt(prompt.messages), *tokenizer.encode("\n")]
        names = {number: name for name, number in tokenizer.special.items()}
        pieces = [names.get(each) or tokenizer.piece_bytes(each).decode("utf-8", "backslashreplace") for each in ids]
        return cls(prompt, ids, pieces)

    def text(self) -> Iterator[str]:
        """The turns, each under the token of its role."""
        for message in self.prompt.messages:
            yield f"<|{message.role}|>"
            yield message.content
        yield "<|assistant|>"

    def tokens(self) -> Iterator[str]:
        for number, piece in zip(self.ids, self.pieces, strict=True):
            yield f"{number:6}  {json.dumps(piece, ensure_ascii=False)}"

    def as_json(self) -> dict[str, Json]:
        return {
            "prompt": self.prompt.task.prompt,
            "prompt_hash": digest(self.prompt.task.template),
            "messages": [{"role": message.role, "content": message.content} for message in self.prompt.messages],
            "tokens": len(self.ids),
            "ids": self.ids,
            "pieces": self.pieces,
        }


def _document(file: str) -> Document:
    """The one document of a file. Raises InputError where it cannot be read."""
    advice = "Put the one to look at into a file of its own."
    found = _single_document.only_one(file, ReadOptions(stdin="text"), advice)
    if isinstance(found, Document):
        return found
    raise InputError(f"{file} cannot be read: {found.problem.message}.")
