"""`extractor chat`: a conversation in a terminal, one question, or questions from a pipe."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from extractor import precisions
from extractor.cli._console import label_demo
from extractor.errors import UsageError

if TYPE_CHECKING:
    from extractor.chatglm3 import ChatGLM3

Turn = dict[str, Any]

_HELP = "/clear forgets the conversation, /exit or Ctrl-D ends it, Ctrl-C stops an answer."


@click.command(
    epilog="""\b
Examples:
  extractor chat                                       a conversation; /clear forgets, /exit or Ctrl-D ends
  extractor chat "晚上睡不着应该怎么办"                one question, the answer on stdout
  printf '你好\\n再见\\n' | extractor chat               one line, one turn
  extractor chat -m chatglm3-6b --system "你是程序员" "用Python写一个冒泡排序"
"""
)
@click.argument("question", nargs=-1)
@click.option("-m", "--model", default="demo", show_default=True, help="A name (`extractor models list`) or a folder.")
@click.option("--system", help="System prompt.")
@click.option(
    "--adapter", "adapters", multiple=True, metavar="DIR", help="A LoRA to merge or a P-Tuning prefix to use."
)
@click.option("--revision", help="A revision of the model on ModelScope instead of the pinned one.")
@click.option("--offline", is_flag=True, help="Never touch the network.")
@click.option("--precision", type=click.Choice(precisions.names()), default="half", show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--max-tokens", type=click.IntRange(1), default=1024, show_default=True, help="Maximum length of an answer."
)
@click.option("--temperature", type=click.FloatRange(0), default=0.0, show_default=True, help="0 is greedy.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of sampling, at a temperature above 0.")
def command(question: tuple[str, ...], model: str, system: str | None, **options: Any) -> None:
    """Chat with a model. Answers go to stdout, everything else to stderr."""
    label_demo(model, "It was trained to extract, not to chat. To chat: -m chatglm3-6b")
    loading = {name: options.pop(name) for name in ("precision", "device", "revision", "offline", "adapters")}
    from extractor.chatglm3 import ChatGLM3

    conversation = _Conversation(ChatGLM3.load(model, **loading), {"system": system, **options})
    if question:
        conversation.ask(" ".join(question))
    elif sys.stdin.isatty():
        _converse(conversation)
    else:
        _answer_lines(conversation)


class _Conversation:
    """A model and the turns so far."""

    def __init__(self, model: ChatGLM3, options: dict[str, Any]) -> None:
        self._model = model
        self._options = options
        self._history: list[Turn] = []

    def handle(self, line: str) -> bool:
        """Answer one line of input or carry out its command; False if it ends the conversation."""
        text = line.strip()
        if text == "/exit":
            return False
        if text == "/clear":
            self._history = []
        elif text.startswith("/"):
            click.echo(_HELP, err=True)
        elif text:
            self.ask(text)
        return True

    def ask(self, question: str) -> None:
        """Print the answer as it is decoded and keep the turn. A tool call is printed as JSON."""
        answer = self._model.stream(question, self._history, **self._options)
        for text in answer:
            click.echo(text, nl=False)
            sys.stdout.flush()
        response = answer.response
        click.echo("" if isinstance(response, str) else json.dumps(response, ensure_ascii=False))
        self._history = answer.history


def _answer_lines(conversation: _Conversation) -> None:
    """Answer each line of a pipe as a turn. It is read as UTF-8 whatever the console's encoding."""
    for line in sys.stdin.buffer:
        if not conversation.handle(line.decode("utf-8", "replace")):
            return


def _converse(conversation: _Conversation) -> None:
    """Read questions from a terminal until the end. A stopped answer is forgotten together with its question."""
    with contextlib.suppress(ImportError):
        __import__("readline")
    click.echo(_HELP, err=True)
    for line in _lines():
        try:
            if not conversation.handle(line):
                return
        except KeyboardInterrupt:
            click.echo("\n(stopped)", err=True)
        except UsageError as error:
            click.echo(f"Error: {error}", err=True)


def _lines() -> Iterator[str]:
    """Yield what is typed; the prompt goes to stderr where stdout is redirected."""
    with contextlib.suppress(EOFError):
        while True:
            if sys.stdout.isatty():
                yield input("\n> ")
            else:
                click.echo("\n> ", nl=False, err=True)
                yield input()
