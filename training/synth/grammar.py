r"""A little pattern language, so that a line of text stands for thousands of sentences.

`(a|b|)` chooses, `x?` keeps `x` half of the time, `{slot}` is filled by the caller, `\` quotes the next character.
A slot is `{kind}` (a value that is to be found), `{!kind}` (a tempting wrong one) or the name of a filler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Text:
    """Literal text."""

    text: str


@dataclass(frozen=True)
class Slot:
    """A hole that the caller fills."""

    name: str


@dataclass(frozen=True)
class Choice:
    """One of several sequences."""

    options: tuple[Sequence, ...]


Node = Text | Slot | Choice
Sequence = tuple[Node, ...]
Fill = Callable[[str], str]


def parse(pattern: str) -> Sequence:
    """Read a whole pattern; an unbalanced bracket is an error."""
    options, end = _options(pattern, 0)
    if end != len(pattern) or len(options) != 1:
        raise ValueError(f"bracket or bar out of place in {pattern!r}")
    return options[0]


def _options(pattern: str, at: int) -> tuple[list[Sequence], int]:
    options: list[Sequence] = []
    nodes: list[Node] = []
    while at < len(pattern) and pattern[at] != ")":
        sign = pattern[at]
        if sign == "|":
            options.append(tuple(nodes))
            nodes = []
            at += 1
        elif sign == "?" and nodes:
            nodes[-1] = Choice(((nodes[-1],), ()))
            at += 1
        else:
            node, at = _atom(pattern, at)
            nodes.append(node)
    return [*options, tuple(nodes)], at


def _atom(pattern: str, at: int) -> tuple[Node, int]:
    sign = pattern[at]
    if sign == "(":
        options, end = _options(pattern, at + 1)
        if end >= len(pattern):
            raise ValueError(f"bracket not closed in {pattern!r}")
        return Choice(tuple(options)), end + 1
    if sign == "{":
        end = pattern.index("}", at)
        return Slot(pattern[at + 1 : end]), end + 1
    if sign == "\\":
        return Text({"t": "\t", "n": "\n"}.get(pattern[at + 1], pattern[at + 1])), at + 2
    return Text(sign), at + 1


def expand(sequence: Sequence, rng: Random, fill: Fill) -> str:
    """Write one sentence of the pattern."""
    out: list[str] = []
    for node in sequence:
        if isinstance(node, Text):
            out.append(node.text)
        elif isinstance(node, Slot):
            out.append(fill(node.name))
        else:
            out.append(expand(rng.choice(node.options), rng, fill))
    return "".join(out)


def slots(sequence: Sequence) -> Iterator[str]:
    """All slot names that can occur in a pattern."""
    for node in sequence:
        if isinstance(node, Slot):
            yield node.name
        elif isinstance(node, Choice):
            for option in node.options:
                yield from slots(option)


@cache
def words(name: str) -> tuple[str, ...]:
    """Return the words of `words/NAME.txt`."""
    return tuple((HERE / "words" / f"{name}.txt").read_text(encoding="utf-8").split())


@cache
def lines(name: str) -> tuple[str, ...]:
    """Return the non-empty lines of `frames/NAME.txt`."""
    text = (HERE / "frames" / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.split("\n") if line)


@cache
def patterns(name: str) -> tuple[Sequence, ...]:
    """Return the patterns of `frames/NAME.txt`, one a line."""
    return tuple(parse(line) for line in lines(name))
