"""Fields named after any stem: what matters is the ending of a name, and how sentences put a value beside the stem.

`frames/stems.txt` has one family of names a line: its endings, clauses that state a value, and both in English. A stem
is a word or two random characters. The document may call a field by another ending of the family, or by a part of the
name; what it lacks has the ending of a field that it has, or the stem of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

from training.synth import basics
from training.synth.concept_values import concept_value
from training.synth.fields import Field, Gold, number_of
from training.synth.grammar import Choice, Node, Sequence, Slot, Text, expand, lines, parse, words
from training.synth.names import shorter

_KINDS = {
    "person": ["person"], "org": ["org", "org", "team", "dept", "agency"], "date": ["date", "date", "datetime", "span"],
    "place": ["place", "city", "venue", "address", "room", "station"], "count": ["count", "quantity"],
    "money": ["money", "unitprice", "salary"], "code": ["code", "serial", "batch", "digits", "plate", "shelf"],
    "thing": ["thing", "title", "foodname", "crop", "drug", "artname", "model", "book", "material", "product"],
    "duration": ["duration"],
    "measure": ["weight", "temp", "percent", "volume", "power", "area", "dims", "concentration", "mileage"],
    "reason": ["reason"], "status": ["status", "result", "level", "colour", "method", "terms", "grade", "packing"],
    "phone": ["phone"], "list": ["people", "keywords"],
}  # fmt: skip


@dataclass(frozen=True)
class _Family:
    name: str
    endings: tuple[Sequence, Sequence]
    clauses: tuple[Sequence, Sequence]


@cache
def _families() -> dict[str, _Family]:
    rows = [line.split("\t") for line in lines("stems")]
    return {
        name: _Family(
            name, (parse("{S}" + zh), parse(en.replace("{s}", "{S}"))), (parse(f"({said})"), parse(f"({says})"))
        )
        for name, zh, said, en, says in rows
    }


def stem_fields(rng: Random, english: bool) -> tuple[list[Field], list[Field]]:
    """Return the fields of a document, and those that are asked for."""
    count = rng.choice([2, 3, 4, 5, 5, 6, 7])
    stems = [_stem(rng, english) for _ in range(rng.randint(1, count + 1))]
    families = list(_families().values())
    some = rng.choices(families, k=rng.randint(2, 6))
    used: set[str] = set()
    present: list[Field] = []
    while len(present) < count:
        family = rng.choice(some) if rng.random() < 0.6 else rng.choice(families)
        if found := _field(rng, rng.choice(stems), family, english, used):
            present.append(found)
        elif rng.random() < 0.3:
            stems.append(_stem(rng, english))
    asked = rng.sample(present, rng.randint((count + 2) // 2, count))
    absent: list[Field] = []
    for _ in range(rng.choice([0, 1, 2, 3, 3, 4, 5, 6])):
        stem = rng.choice(stems) if rng.random() < 0.5 else _stem(rng, english)
        if found := _field(rng, stem, rng.choice(some), english, used):
            absent.append(_without(found))
    asked += absent
    rng.shuffle(asked)
    return [*present, *absent], asked


def _stem(rng: Random, english: bool) -> str:
    if english:
        return " ".join(
            rng.choice([basics.latin(rng), rng.choice(words("words_en"))]) for _ in range(rng.choice([1, 1, 1, 2]))
        )
    if rng.random() < 0.5:
        return rng.choice(words("stems_zh"))
    return "".join(rng.choices(basics.LEVEL_1, k=rng.choice([1, 2, 2, 2, 2, 3])))


def _field(rng: Random, stem: str, family: _Family, english: bool, used: set[str]) -> Field | None:
    """Return a field of a family; None where the document has one that could be meant as well."""
    key = f"{stem}/{'who' if family.name in {'person', 'org'} else family.name}"
    names = family.endings[int(english)]
    name, label = (expand(names, rng, lambda _: stem) for _ in range(2))
    if english:
        name, label = (rng.choice([text.capitalize(), text, text.title()]) for text in (name, label))
    style = rng.random()
    if style < 0.35:
        label = name
    elif style < 0.6:
        label = _part(rng, name, stem, english)
    if key in used or name in used or label in used or any(label in each or each in label for each in used):
        return None
    used |= {key, name, label}
    value = concept_value(rng, rng.choice(_KINDS[family.name]), english)
    kind, gold = _typed(rng, family.name, value)
    clause = family.clauses[int(english)]
    return Field(name, "phrase", label, value, True, "", "", kind, gold, _filled(clause, stem, label))


def _part(rng: Random, name: str, stem: str, english: bool) -> str:
    """Return what a document may have left of a name, or put around it."""
    if english:
        last = rng.choice(stem.split())
        return rng.choice(
            [stem.capitalize(), stem, name.upper(), name.lower(), f"{name} (approx.)", f"The {name}", last.capitalize(),
             f"{rng.choice(words('words_en'))} {name}".capitalize()]
        )  # fmt: skip
    other = basics.junk(rng)
    return rng.choice(
        [stem if len(stem) > 1 else name, f"{other}{name}", f"{name}{other}", f"{stem}的{name[len(stem) :]}",
         " ".join(name), f"{name}（{other}）", f"{stem}{other}{name[len(stem) :]}", f"实际{name}", name[:-1],
         shorter(rng, name), shorter(rng, name)]
    )  # fmt: skip


def _typed(rng: Random, family: str, value: str) -> tuple[str, Gold]:
    if family == "list" and rng.random() < 0.7:
        items = [part for sign in "、，；" if sign in value for part in value.split(sign)]
        if items and not any(sign in part for part in items for sign in "、，； "):
            return "array", [*items]
    number = number_of(value) if family in {"count", "money", "measure"} and rng.random() < 0.55 else None
    if number is None:
        return "string", value
    return ("integer" if isinstance(number, int) and rng.random() < 0.6 else "number"), number


def _filled(pattern: Sequence, stem: str, label: str) -> Sequence:
    """Return a clause with its stem (`{S}`, `{s}`) and label (`{L}`) written out."""
    given = {"S": stem, "s": stem, "L": label}
    out: list[Node] = []
    for node in pattern:
        if isinstance(node, Choice):
            out.append(Choice(tuple(_filled(option, stem, label) for option in node.options)))
        else:
            out.append(Text(given[node.name]) if isinstance(node, Slot) and node.name in given else node)
    return tuple(out)


def _without(field: Field) -> Field:
    return Field(field.name, field.kind, field.label, None, True, "", "", field.type)
