"""Fields of any domain: what people call a thing, the other names it goes by, and the values it takes.

`frames/concepts.txt` has one concept a line: domain, kind, names, English names, clauses that state it without a name.
`frames/concept_values.txt` has the patterns of each kind's values. A document has some concepts of one domain; what is
asked for are some of these, under the same or another name, and some that the document does not have although it has
others of the same kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from random import Random

from training.synth.concept_values import concept_value
from training.synth.fields import Field, Gold, number_of
from training.synth.grammar import Sequence, lines, parse
from training.synth.names import identifier, varied

LISTS = frozenset(["people", "keywords"])
NUMBERS = frozenset(
    "count quantity money percent temp weight volume power area mu mileage unitprice concentration meter energyuse "
    "agenum score credit rain energy ph floors".split()
)
YES = {"是": True, "可以": True, "有": True, "yes": True, "否": False, "不可以": False, "无": False, "no": False}
_SPLIT = re.compile(r"[、，；,;]\s*|\s+and\s+")


@dataclass(frozen=True)
class Concept:
    """One thing that documents of a domain state: names and clauses in Chinese (0) and English (1)."""

    domain: str
    kind: str
    names: tuple[tuple[str, ...], tuple[str, ...]]
    clauses: tuple[Sequence | None, Sequence | None]


@dataclass(frozen=True)
class Domain:
    """The concepts that occur together, and what sentences about them begin with."""

    concepts: tuple[Concept, ...]
    subjects: tuple[tuple[str, ...], tuple[str, ...]]


@cache
def domains() -> dict[str, Domain]:
    """Read `frames/concepts.txt`."""
    found: dict[str, list[Concept]] = {}
    subjects: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for line in lines("concepts"):
        first, second, third, fourth, *clauses = line.split("\t")
        if first == "@":
            subjects[second] = (tuple(third.split("|")), tuple(fourth.split("|")))
            continue
        zh, en = [parse(f"({clause})") if clause.strip() else None for clause in (*clauses, "", "")][:2]
        names = (tuple(third.split("|")), tuple(fourth.split("|")))
        found.setdefault(first, []).append(Concept(first, second, names, (zh, en)))
    return {name: Domain(tuple(concepts), subjects[name]) for name, concepts in found.items()}


def concept_fields(rng: Random, english: bool) -> tuple[Domain, list[Field], list[Field]]:
    """Return a domain, the fields of a document, and those that are asked for."""
    domain = rng.choice(list(domains().values()))
    concepts = list(domain.concepts)
    rng.shuffle(concepts)
    count = rng.choice([2, 3, 4, 5, 6, 6, 7, 8, 9, 10])
    there, missing = concepts[:count], concepts[count:]
    taken = {name for each in there for names in each.names for name in names}
    missing = [each for each in missing if not taken & {*each.names[0], *each.names[1]}]
    kinds = {each.kind for each in there}
    missing.sort(key=lambda each: each.kind not in kinds and rng.random() < 0.7)
    style = _Style(english, rng.random() < 0.12, rng.choice([0.2, 0.5, 0.9]), rng.random())
    used: set[str] = set()
    present = [found for each in there if (found := _field(rng, each, style, used)) and found.value is not None]
    asked = rng.sample(present, rng.randint((2 * len(present) + 2) // 3, len(present))) if present else []
    share = rng.choice([0.0, 0.15, 0.3, 0.5, 0.7, 0.7, 1.0, 1.0])
    absent = missing[: min(6, round(share * max(2, len(asked))))]
    if share >= 0.5:
        asked = asked[: max(1, len(asked) - len(absent) // 2)]
    nothing = [found for each in absent if (found := _field(rng, each, style, used, absent=True))]
    asked = [*asked, *nothing]
    rng.shuffle(asked)
    return domain, [*present, *nothing], asked


@dataclass(frozen=True)
class _Style:
    """How a document and its schema name things."""

    english: bool
    foreign: bool
    """The fields have names of the other language."""
    same: float
    """How often the document calls a field by the name that is asked for."""
    identifiers: float


def _field(rng: Random, concept: Concept, style: _Style, used: set[str], absent: bool = False) -> Field | None:
    """Return a field of a concept; None where its name is taken."""
    own = concept.names[int(style.english)]
    asked = concept.names[int(style.english != style.foreign)]
    name = rng.choice(asked)
    if rng.random() < 0.12:
        name = varied(rng, name, style.english != style.foreign)
    label = name if rng.random() < style.same and not style.foreign else rng.choice(own)
    if rng.random() < 0.18:
        label = varied(rng, label, style.english)
    if name in used or label in used:
        return None
    used |= {name, label}
    title = description = ""
    if style.identifiers < 0.1:
        title, name = name, identifier(rng, concept.names[1])
    elif style.identifiers < 0.2 and style.english != style.foreign:  # the names are English
        name = identifier(rng, (name,))
    elif rng.random() < 0.06:
        description = rng.choice(own)
    if name in used and title:
        return None
    used.add(name)
    value = concept_value(rng, concept.kind, style.english)
    kind, gold = typed(rng, concept.kind, value)
    return Field(
        name, concept.kind, label, None if absent else value, True, description, title, kind,
        None if absent else gold, concept.clauses[int(style.english)],
    )  # fmt: skip


def typed(rng: Random, kind: str, value: str) -> tuple[str, Gold]:
    """Return the type that is asked for and the value in it."""
    if kind in LISTS and rng.random() < 0.75:
        items = [part for part in _SPLIT.split(value) if part]
        if not (kind == "people" and " " in value and items == [value]):
            return "array", items
    if kind == "yesno" and value in YES and rng.random() < 0.6:
        return "boolean", YES[value]
    if kind in NUMBERS and rng.random() < 0.55 and (number := number_of(value)) is not None:
        whole = isinstance(number, int) and rng.random() < 0.6
        return ("integer" if whole else "number"), number
    return "string", value
