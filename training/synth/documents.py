"""Whole examples: a schema, a document and the answer, for one seed and one number at a time."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from random import Random

from training.synth import basics
from training.synth.cards import card
from training.synth.concepts import Domain, concept_fields
from training.synth.fields import CONTACT, CONTRACT, ORDER, Field, Gold, free, named, value
from training.synth.fillers import decoy, fill, sentence
from training.synth.grammar import expand, lines, parse, slots
from training.synth.layouts import LAYOUTS
from training.synth.ledgers import columns, form, sentences
from training.synth.lists import ner, people
from training.synth.scenes import scene
from training.synth.statements import GOLD
from training.synth.stems import stem_fields
from training.synth.tables import short
from training.synth.wish import Layout, Wish

SCENARIOS = 0.28
"""The share of contact and order examples that come from whole-document patterns."""
ANY_DOMAIN = {
    "key_values": 3.0, "inline": 1.5, "header_table": 2.2, "table_and_words": 1.5, "narrative": 0.8, "letter": 0.4,
    "chat": 0.5, "config": 0.7, "two_records": 0.3, "sentences": 4.0, "form": 1.0, "columns": 1.0,
}  # fmt: skip
"""The layouts of documents of any domain, with their weights."""
ANY_NAMES = {"key_values": 3.0, "inline": 1.5, "header_table": 1.5, "form": 0.7, "sentences": 5.0, "config": 0.3}
CHOICES = 12
"""Of a hundred short texts under names that no bundled schema has, how many are asked for as a choice."""
LONGEST_CHOICE = 12
EASY = 0.15
"""The share of documents of any domain that are bare pairs."""
NO_SUBJECT = Domain((), (("",), ("",)))
Answer = dict[str, Gold]


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
        wanted += given if isinstance(given, list) else [given] if isinstance(given, str) else []
    return all(v in found.text for v in wanted) and bool(found.text.strip() and found.gold) and "\r" not in found.text


def _draw(rng: Random, easy: bool) -> Example:
    tasks = ["contact", "order", "free", "contract", "person", "ner", "domain", "stems", "scene", "card"]
    task = rng.choices(tasks, [8, 6, 2, 1, 2, 2, 7, 6, 36, 30])[0]
    if easy:
        task = rng.choice(["contact", "order", "free", "domain", "domain", "stems", "stems", "stems"])
    if not easy and task in {"contact", "order"} and rng.random() < SCENARIOS:
        return _scenario(rng, task)
    english = rng.random() < (0.16 if task != "ner" else 0.05)
    if task in {"person", "ner"}:
        return _with_lists(rng, task)
    if task == "domain":
        return _any_domain(rng, rng.random() < 0.3, easy)
    if task in {"scene", "card"}:
        text, fields = scene(rng, rng.random() < 0.42) if task == "scene" else card(rng, rng.random() < 0.4)
        return _example(task, task, text, fields)
    if task == "stems":
        return _any_names(rng, rng.random() < 0.3, easy)
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
    return _example(task, name, text, fields)


def _example(task: str, layout: str, text: str, fields: list[Field]) -> Example:
    asked = tuple(Asked(f.name, f.title, f.description, _shown_type(f)) for f in fields)
    return Example(task, layout, text, asked, {f.name: f.gold for f in fields})


def _shown_type(field: Field) -> str:
    """Return the type as a prompt shows it; some short texts are one of a choice, as a prompt says of an enum."""
    draw = zlib.crc32(f"{field.name}/{field.label}/{field.value}".encode()) % 100
    is_short = field.free and field.type == "string" and len(field.value or "") <= LONGEST_CHOICE
    return "enum" if is_short and draw < CHOICES else field.type


def _any_domain(rng: Random, english: bool, easy: bool) -> Example:
    """Return a document of any domain with its own names of fields."""
    domain, there, asked = concept_fields(rng, english)
    layout = rng.choices(list(ANY_DOMAIN), list(ANY_DOMAIN.values()))[0]
    if easy or rng.random() < EASY:
        return _example("domain", "short", short(rng, Wish(there, None, english, 0.0, 0.0)), asked)
    if layout == "columns":
        text, listed = columns(rng, there, english)
        names = {field.name for field in asked}
        fields = [field for field in listed if field.name in names]
        return _example("domain", layout, text, fields or listed)
    own = {"sentences": sentences(domain), "form": form}
    wish = Wish(there, None, english, rng.random() * rng.choice([0, 0.2, 0.5, 1, 2]), 0.0)
    text = own[layout](rng, wish) if layout in own else LAYOUTS[layout][0](rng, wish)
    if rng.random() < 0.03:
        text = _longer(rng, text, english)
    return _example("domain", layout, text, asked)


def _any_names(rng: Random, english: bool, easy: bool) -> Example:
    """Return a document whose fields are named after stems, which sentences use as words."""
    there, asked = stem_fields(rng, english)
    if easy or rng.random() < EASY:
        return _example("stems", "short", short(rng, Wish(there, None, english, 0.0, 0.0)), asked)
    name = rng.choices(list(ANY_NAMES), list(ANY_NAMES.values()))[0]
    layout = sentences(NO_SUBJECT) if name == "sentences" else form if name == "form" else LAYOUTS[name][0]
    wish = Wish(there, None, english, rng.random() * rng.choice([0.1, 0.3, 1]), 0.0)
    return _example("stems", name, layout(rng, wish), asked)


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
