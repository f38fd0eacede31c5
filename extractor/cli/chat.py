"""`extractor chat`: talk to a model in a terminal, once, or with questions from a pipe."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from extractor.cli._options import label_demo
from extractor.errors import UsageError
from extractor.precisions import PRECISIONS

if TYPE_CHECKING:
    from extractor.chatglm3 import ChatGLM3

Turn = dict[str, Any]

_HELP = "/clear forgets the talk, /exit or Ctrl-D ends it, Ctrl-C stops an answer."


@click.command(
    epilog="""\b
Examples:
  extractor chat                                       talk; /clear forgets, /exit or Ctrl-D ends
  extractor chat "晚上睡不着应该怎么办"                one question, the answer on stdout
  printf '你好\\n再见\\n' | extractor chat               one line, one turn
  extractor chat -m chatglm3-6b --system "你是程序员" "用Python写一个冒泡排序"
"""
)
@click.argument("question", nargs=-1)
@click.option("-m", "--model", default="demo", show_default=True, help="A name (`extractor models list`) or a folder.")
@click.option("--system", help="What the model is told to be, before the talk.")
@click.option("--revision", help="A revision of the model on ModelScope instead of the pinned one.")
@click.option("--offline", is_flag=True, help="Never touch the network.")
@click.option("--precision", type=click.Choice(list(PRECISIONS)), default="half", show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--max-tokens", type=click.IntRange(1), default=1024, show_default=True, help="Longest answer.")
@click.option("--temperature", type=click.FloatRange(0), default=0.0, show_default=True, help="0 is greedy.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sampling, at a temperature above 0.")
def command(question: tuple[str, ...], model: str, system: str | None, **options: Any) -> None:
    """Talk to a model. Answers go to stdout, everything else to stderr."""
    label_demo(model, "It learned to extract, not to converse. To talk: -m chatglm3-6b")
    loading = {name: options.pop(name) for name in ("precision", "device", "revision", "offline")}
    from extractor.chatglm3 import ChatGLM3

    talk = _Talk(ChatGLM3.load(model, **loading), {"system": system, **options})
    if question:
        talk.ask(" ".join(question))
    elif sys.stdin.isatty():
        _converse(talk)
    else:
        _answer_lines(talk)


class _Talk:
    """A model and the turns so far."""

    def __init__(self, model: ChatGLM3, options: dict[str, Any]) -> None:
        self._model = model
        self._options = options
        self._history: list[Turn] = []

    def take(self, line: str) -> bool:
        """Carry out one line of input; False if it ends the talk."""
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
        """Print the answer as it comes and keep the turn. A tool call is printed as JSON."""
        answer = self._model.stream(question, self._history, **self._options)
        for text in answer:
            click.echo(text, nl=False)
            sys.stdout.flush()
        response = answer.response
        click.echo("" if isinstance(response, str) else json.dumps(response, ensure_ascii=False))
        self._history = answer.history


def _answer_lines(talk: _Talk) -> None:
    """One line of a pipe is one turn. It is read as UTF-8 whatever the console says."""
    for line in sys.stdin.buffer:
        if not talk.take(line.decode("utf-8", "replace")):
            return


def _converse(talk: _Talk) -> None:
    """Read questions from a terminal until the end. A stopped answer is forgotten, its question too."""
    with contextlib.suppress(ImportError):
        __import__("readline")
    click.echo(_HELP, err=True)
    for line in _lines():
        try:
            if not talk.take(line):
                return
        except KeyboardInterrupt:
            click.echo("\n(stopped)", err=True)
        except UsageError as error:
            click.echo(f"Error: {error}", err=True)


def _lines() -> Iterator[str]:
    with contextlib.suppress(EOFError):
        while True:
            if sys.stdout.isatty():
                yield input("\n> ")
            else:
                click.echo("\n> ", nl=False, err=True)
                yield input()
