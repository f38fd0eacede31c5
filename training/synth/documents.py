"""Whole examples: a schema, a document and the answer, for one seed and one number at a time."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from training.synth import basics
from training.synth.fields import CONTACT, CONTRACT, ORDER, Field, free, named, value
from training.synth.fillers import decoy, fill, sentence
from training.synth.grammar import expand, lines, parse, slots
from training.synth.layouts import LAYOUTS
from training.synth.lists import ner, people
from training.synth.statements import GOLD
from training.synth.tables import short
from training.synth.wish import Layout, Wish

SCENARIOS = 0.28
"""The share of contact and order examples that come from whole-document patterns."""
Answer = dict[str, str | list[str] | None]


@dataclass(frozen=True)
class Asked:
    """A field as the prompt shows it."""

    name: str
    title: str = ""
    description: str = ""
    type: str = "string"


@dataclass(frozen=True)
class Example:
    """One document with what is asked of it and what is right."""

    task: str
    layout: str
    text: str
    asked: tuple[Asked, ...]
    gold: Answer


def example(rng: Random, easy: bool = False) -> Example:
    """Draw a random example; one whose values do not all occur in its text is rejected and drawn again."""
    while True:
        found = _draw(rng, easy)
        if len(found.text) < 1200 and _sound(found):
            return found


def _sound(found: Example) -> bool:
    wanted: list[str] = []
    for given in found.gold.values():
        wanted += given if isinstance(given, list) else [given] if given is not None else []
    return all(v in found.text for v in wanted) and bool(found.text.strip()) and "\r" not in found.text


def _draw(rng: Random, easy: bool) -> Example:
    task = rng.choices(["contact", "order", "free", "contract", "person", "ner"], [34, 31, 25, 3, 3.5, 3.5])[0]
    if easy:
        task = rng.choice(["contact", "order", "free"])
    if not easy and task in {"contact", "order"} and rng.random() < SCENARIOS:
        return _scenario(rng, task)
    english = rng.random() < (0.16 if task != "ner" else 0.05)
    if task in {"person", "ner"}:
        return _with_lists(rng, task)
    fields = _fields(rng, task, english)
    topic = task if task in {"contact", "order"} else None
    if task == "free":
        topic = _topic(fields)
    wish = Wish(fields, topic, english, rng.random() * rng.choice([1, 1, 1, 1, 2, 4]), rng.choice([0.0, 0.5, 0.9, 1.0]))
    name, layout = ("short", short) if easy else _layout(rng)
    text = layout(rng, wish)
    if not easy and rng.random() < 0.03:
        text = _longer(rng, text, english)
    fields = _subset(rng, fields) if rng.random() < 0.12 else fields
    if task == "free" or rng.random() < 0.1:
        rng.shuffle(fields)
    asked = tuple(Asked(f.name, description=f.description) for f in fields)
    return Example(task, name, text, asked, {f.name: f.value for f in fields})


def _layout(rng: Random) -> tuple[str, Layout]:
    name = rng.choices(list(LAYOUTS), [weight for _, weight in LAYOUTS.values()])[0]
    return name, LAYOUTS[name][0]


def _longer(rng: Random, text: str, english: bool) -> str:
    """Return the same among paragraphs of something else."""
    room = rng.randint(200, 1100)
    parts = [text]
    while sum(map(len, parts)) < room:
        parts.insert(rng.randint(0, len(parts)), "，".join(sentence(rng, english) for _ in range(3)) + "。")
    return "\n".join(parts)


def _fields(rng: Random, task: str, english: bool) -> list[Field]:
    if task == "contact":
        return named(rng, CONTACT, rng.choice([0.1, 0.4, 0.6, 0.8]), english)
    if task == "order":
        return named(rng, ORDER, rng.choice([0.0, 0.1, 0.25, 0.5]), english)
    if task == "contract":
        return named(rng, CONTRACT, rng.choice([0.0, 0.2, 0.4]), english)
    return free(rng, english)


def _topic(fields: list[Field]) -> str | None:
    kinds = {f.kind for f in fields if not f.free}
    if kinds & set(CONTACT.values()):
        return "contact"
    return "order" if kinds & set(ORDER.values()) else None


def _subset(rng: Random, fields: list[Field]) -> list[Field]:
    return rng.sample(fields, rng.randint(1, len(fields)))


def _with_lists(rng: Random, task: str) -> Example:
    if task == "ner":
        text, found = ner(rng)
        asked = tuple(Asked(n, t, type="array") for n, t in (("PER", "人名"), ("LOC", "地名"), ("ORG", "机构名")))
    else:
        text, found = people(rng)
        asked = tuple(Asked(n, type="array") for n in ("姓名", "电话", "单位", "职务"))
    gold: Answer = {a.name: found[a.name] or None for a in asked}
    return Example(task, task, text, asked, gold)


def random_text(rng: Random, count: int) -> str:
    """Random characters, so that each has been seen by the tokenizer."""
    return "".join(rng.choices(basics.LEVEL_1, k=count))


def _scenario(rng: Random, topic: str) -> Example:
    """Return a whole document from one pattern: what the pattern does not state is absent."""
    rows = [line.split("\t", 1) for line in lines("scenarios")]
    pattern = parse(rng.choice([text for kind, text in rows if kind == topic]))
    said: dict[str, str] = {}
    english = all(name not in set(slots(pattern)) for name in ("name", "noun", "place", "sur"))

    def slot(name: str) -> str:
        kind = name.lstrip("!").rstrip("12")
        if name.startswith("!"):
            return said.setdefault(name, decoy(kind, rng, english)) if name[-1].isdigit() else decoy(kind, rng, english)
        if name in GOLD:
            return said.setdefault(name, value(rng, name, english))
        return said.setdefault(name, fill(name, rng)) if name in {"sur", "ename"} else fill(name, rng)

    text = expand(pattern, rng, slot)
    if rng.random() < 0.25:
        text = rng.choice([f"{text}\n{sentence(rng, english)}。", f"{sentence(rng, english)}。{text}"])
    fields = CONTACT if topic == "contact" else ORDER
    gold: Answer = {name: said.get(kind) for name, kind in fields.items()}
    return Example(topic, "scenario", text, tuple(Asked(name) for name in fields), gold)
