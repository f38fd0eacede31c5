"""Short clean reports of what happened: sentences with a value in each clause, or the same as a form.

`frames/scenes.txt` has one scene a line: language, clauses with slots, and for each slot its kind of value and the
names that a field for it may have (after `~` those of the other language and of programmers). A kind is one of
`frames/concept_values.txt` or a pattern in brackets. A clause may be left out, so that what it states is absent from a
text that has much like it; what no clause states is always absent; other absent fields come from other scenes. Slots
without a name are values of something else. `frames/synonyms.txt` has more names, for forms: language, kind, names,
foreign names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from random import Random

from training.synth import basics
from training.synth.concept_values import concept_value, fill, pattern_value
from training.synth.concepts import LISTS, typed
from training.synth.contrasts import owned
from training.synth.fields import Field, number_of
from training.synth.fillers import sentence
from training.synth.grammar import Sequence, expand, lines, parse, slots, words
from training.synth.names import identifier, shorter, varied

_INTEGERS = frozenset(["num", "few"])
_NUMBERS = frozenset("num few money price percent weight mu area temp yieldkg agenum rain mileage quantity".split())
_MEASURE = re.compile(r"-?\d[\d,]*(\.\d+)? ?[^\d\s\-/]{1,4}")
"""A number with a unit."""
_SIGNS = ("：", "：", "：", "：", ":", " ", "为", "　　", "\t", "　")
"""What stands between a Chinese label and its value."""
VAGUE = frozenset(
    "负责人 联系人 经办人 当事人 姓名 地点 日期 时间 地址 编号 人数 费用 金额 价格 原因 单价 总数 数量 年龄 电话 职务 "
    "date place time price cost name location person contact number phone reason total amount age where town item "
    "result".split()
)
"""Names of fields that mean something in nearly every text: they are not asked for where they would be absent."""


FOREIGN = 0.2
"""How often a field is asked for under a name of the other language, where it has one."""
BILINGUAL = 0.05
"""How often a label is followed by its name in the other language."""
OTHER_CASE = 0.2
"""How often an English name is in other case, or as programmers write it."""
OWNERS = 0.25
"""How often something of a person is asked for."""
TABLES, PAIRS = 0.26, 0.16
"""How many forms are a table: a heading row and a row of values; a row for each value."""
TEMPTED = 0.6
"""The share of absent fields of other scenes for which the text has a value of their kind."""
MIXED = 0.05
"""How often a name stands in a text of the other language."""
MIXABLE = frozenset("person org thing brand venue city team".split())


@dataclass(frozen=True)
class Place:
    """A slot: the kind of its value, and what a field for it may be called."""

    kind: str
    names: tuple[str, ...]
    foreign: tuple[str, ...] = ()
    """Names in the other language, and those of programmers."""

    @classmethod
    def read(cls, kind: str, names: str, foreign: str = "") -> Place:
        return cls(kind, tuple(names.split("|")), tuple(foreign.split("|")) if foreign else ())


@dataclass(frozen=True)
class _Scene:
    """A line of the file."""

    clauses: tuple[Sequence, ...]
    places: dict[str, Place]


@cache
def _scenes() -> dict[bool, tuple[_Scene, ...]]:
    found: dict[bool, list[_Scene]] = {False: [], True: []}
    for line in lines("scenes"):
        language, text, said = line.split("\t")
        places = {}
        for part in said.split(";"):
            name, rest = part.split("=", 1)
            kind, names = rest.rsplit(":", 1)
            places[name] = Place.read(kind, *names.split("~"))
        found[language == "en"].append(_Scene(tuple(parse(f"({each})") for each in text.split(" / ")), places))
    return {english: tuple(scenes) for english, scenes in found.items()}


@cache
def places_of_kind(english: bool) -> dict[str, list[Place]]:
    """Return the places of all scenes and what forms state, by the kind of their values."""
    found: dict[str, list[Place]] = {}
    for each in _scenes()[english]:
        for place in each.places.values():
            found.setdefault(place.kind, []).append(place)
    for place in synonyms(english):
        found.setdefault(place.kind, []).append(place)
    return found


@cache
def synonyms(english: bool) -> list[Place]:
    """Return what forms state, with the names that it has on them."""
    rows = (line.split("\t") for line in lines("synonyms"))
    return [Place.read(*rest) for language, *rest in rows if (language == "en") == english]


def scene(rng: Random, english: bool) -> tuple[str, list[Field]]:
    """Return a text and the fields that are asked for."""
    chosen = rng.choice(_scenes()[english])
    places = chosen.places
    kept = [clause for clause in chosen.clauses if rng.random() < 0.8] or [chosen.clauses[0]]
    values = {name: value_of(rng, places[name].kind, english) for name in _slots(kept) if name in places}
    asked = _names(rng, places)
    shown, owns = _owners(rng, chosen, values, english)
    text, stated = _text(rng, chosen, kept, shown, english)
    present = [name for name in values if name in stated]
    most = min(len(present), rng.choice([3, 4, 5, 6, 7, 8]))
    wanted = rng.sample(present, rng.randint(min(1 + most // 2, most), most))
    absent = [name for name in places if name not in present and rng.random() < 0.7]
    absent = rng.sample(absent, min(len(absent), rng.choice([1, 2, 3, 4, 5])))
    fields = [field_for(rng, asked[name], places[name].kind, values[name]) for name in wanted]
    fields += [field_for(rng, asked[name], places[name].kind, None) for name in absent]
    fields += [owned_by if slot in stated else replace(owned_by, value=None) for slot, owned_by in owns]
    fields += _strangers(rng, chosen, english)
    rng.shuffle(fields)
    return text, list({field.name: field for field in fields}.values())


def _owners(
    rng: Random, chosen: _Scene, values: dict[str, str], english: bool
) -> tuple[dict[str, str], list[tuple[str, Field]]]:
    """Return the values, some persons with something of theirs behind the name, and the fields that ask for it."""
    persons = [slot for slot in values if chosen.places[slot].kind == "person"]
    if not persons or rng.random() > OWNERS:
        return values, []
    shown, fields = dict(values), []
    for slot in rng.sample(persons, min(len(persons), rng.choice([1, 1, 2]))):
        name = rng.choice(chosen.places[slot].names)
        shown[slot], field = owned(rng, name, values[slot], english, rng.random() < 0.5)
        fields.append((slot, field))
    return shown, fields


def _text(
    rng: Random, chosen: _Scene, kept: list[Sequence], values: dict[str, str], english: bool
) -> tuple[str, set[str]]:
    """Return the clauses as prose, as a form or one after the other, and the names of the slots that they state."""
    labels = {name: _label(rng, chosen.places[name], english) for name in values}
    style = rng.random()
    split = len(kept) if style < 0.62 else 0 if style < 0.88 else rng.randint(1, len(kept))
    text, stated = _prose(rng, kept[:split], values, english)
    listed = [name for name in _slots(kept[split:]) if name in values]
    text = "\n".join(part for part in (text, form_text(rng, listed, labels, values, english)) if part)
    if rng.random() < 0.15:
        stop = ". " if english else "。"
        text = rng.choice([f"{sentence(rng, english)}{stop}{text}", f"{text}\n{sentence(rng, english)}"])
    return text, stated | set(listed)


def _strangers(rng: Random, chosen: _Scene, english: bool) -> list[Field]:
    """Return fields of other scenes, which are absent: most of them of a kind that this one has as well."""
    taken = {name for place in chosen.places.values() for name in place.names}
    fields = []
    kinds = sorted({place.kind for place in chosen.places.values()} & places_of_kind(english).keys())
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
        tempted = kinds and rng.random() < TEMPTED
        other = rng.choice(
            places_of_kind(english)[rng.choice(kinds)] if tempted else [*rng.choice(_scenes()[english]).places.values()]
        )
        name = rng.choice(other.names)
        if name.lower() not in VAGUE and not taken & set(other.names):
            taken |= set(other.names)
            fields.append(field_for(rng, name, other.kind, None))
    return fields


def _names(rng: Random, places: dict[str, Place]) -> dict[str, str]:
    """Return a name of its own for each slot."""
    found: dict[str, str] = {}
    for slot, place in places.items():
        names = place.foreign if rng.random() < FOREIGN else place.names
        free = [name for name in names or place.names if name not in found.values()]
        found[slot] = rng.choice(free or [f"{place.names[0]} {slot}"])
    return found


def value_of(rng: Random, kind: str, english: bool) -> str:
    if kind in MIXABLE and rng.random() < MIXED:
        english = not english
    return pattern_value(rng, kind) if kind.startswith("(") else concept_value(rng, kind, english)


def _slots(clauses: list[Sequence]) -> list[str]:
    """Return the names of all slots, each once."""
    return list(dict.fromkeys(name for clause in clauses for name in slots(clause)))


def _prose(rng: Random, clauses: list[Sequence], values: dict[str, str], english: bool) -> tuple[str, set[str]]:
    """Return running text, and the names of the slots that it states."""
    said: set[str] = set()

    def slot(name: str) -> str:
        said.add(name)
        return values.get(name) or fill(rng, name)

    text = ""
    for clause in clauses:
        part = expand(clause, rng, slot).strip()
        if english and (not text or text.endswith((". ", ".\n"))):
            part = part[:1].upper() + part[1:]
        text += part + rng.choice([". ", ". ", ", ", "; ", ", and ", ".\n"] if english else list("，，，。。；"))
    text = text.removesuffix(", and ").rstrip(",;. \n，；。")
    return (text + ("." if english else "。") if text else ""), said


def _label(rng: Random, place: Place, english: bool) -> str:
    """Return what a form calls a field: one of its names, as it is, shortened or changed."""
    name, style = rng.choice(place.names), rng.random()
    if place.foreign and rng.random() < BILINGUAL:
        return f"{name} {rng.choice(place.foreign).replace('_', ' ').capitalize()}"
    return varied(rng, name, english) if style < 0.12 else shorter(rng, name) if style < 0.3 else name


def form_text(rng: Random, names: list[str], labels: dict[str, str], values: dict[str, str], english: bool) -> str:
    """Return labels with their values: in lines, in one line or below each other, sometimes in another order."""
    if rng.random() < 0.4:
        names = rng.sample(names, len(names))
    head = heading(rng, english) if names and rng.random() < 0.35 else ""
    said = [values[name] for name in names]
    if len(names) > 1 and rng.random() < TABLES and (gap := column_gap(rng, [*labels.values(), *said], english)):
        return head + table_text(rng, [[each[name] for name in names] for each in (labels, values)], gap)
    if names and rng.random() < PAIRS:
        return head + _pairs(rng, [(labels[name], values[name]) for name in names], english)
    sign = rng.choice([": ", ": ", ": ", " - ", ":", "\t", "  "] if english else _SIGNS)
    ends = ["\n"] * 3 + (["; ", ", ", " | "] if english else ["；", "，", " | ", "　"])
    end = rng.choice([each for each in ends if not each.strip() or not any(each.strip() in value for value in said)])
    return head + (end if sign.strip() else "\n").join(f"{labels[name]}{sign}{values[name]}" for name in names)


def column_gap(rng: Random, cells: Iterable[str], english: bool) -> str:
    """Return what stands between the columns of a table of these cells; nothing where each could be part of a cell."""
    gaps = [" | ", " | ", "\t", "|", ","] if english else [" | ", " | ", "\t", "|", ",", " ｜ ", "｜", "　　"]
    gap = rng.choice(gaps)
    return "" if any((gap.strip() or gap) in cell for cell in cells) else gap


def table_text(rng: Random, cells: Iterable[Iterable[str]], gap: str) -> str:
    """Return rows of cells, the first of which is the heading, with or without the rules of Markdown."""
    rows = [list(row) for row in cells]
    left, right = ("| ", " |") if gap == " | " and rng.random() < 0.6 else ("", "")
    drawn = [left + gap.join(row) + right for row in rows]
    if left and rng.random() < 0.7:
        drawn.insert(1, "|" + rng.choice(["---|", " --- |", ":--|"]) * len(rows[0]))
    return "\n".join(drawn)


def _pairs(rng: Random, pairs: list[tuple[str, str]], english: bool) -> str:
    """Return a table of two columns, a label and its value in each row, mostly with a heading row."""
    heads = (
        ["Item,Entry", "Field,Value", "Item,Details", ","] if english else ["项目,内容", "字段,值", "栏目,说明", ","]
    )
    rows = ["| " + " | ".join(each) + " |" for each in [rng.choice(heads).split(","), *pairs]]
    rows.insert(1, "|" + rng.choice(["---|", " --- |"]) * 2)
    return "\n".join(rows if rng.random() < 0.85 else rows[2:])


def heading(rng: Random, english: bool) -> str:
    """Return the first line of a form: what it is, and sometimes whose or of when."""
    if english:
        what = " ".join(rng.choice(words("words_en")) for _ in range(rng.choice([1, 1, 2]))).capitalize()
        title = f"{what} {rng.choice(['form', 'sheet', 'record', 'note', 'card', 'log', 'slip', 'ticket', 'report'])}"
    else:
        subjects = [basics.junk(rng) + basics.junk(rng), rng.choice(words("nouns_zh")), rng.choice(words("stems_zh"))]
        title = rng.choice(subjects) + rng.choice(
            ["登记表", "记录", "单", "卡", "通知", "确认单", "日志", "证书", "档案"]
        )
    style = rng.random()
    if style < 0.35:
        gap = rng.choice([" - ", ", ", ": "] if english else ["", " ", "　"])
        title = concept_value(rng, "org", english) + gap + title
    if 0.25 < style < 0.45:
        when = fill(rng, "edate" if english else "date")
        title += rng.choice([", {}", " ({})", " {}"] if english else ["（{}）", "　{}", " {}"]).format(when)
    if english:
        return (title.upper() if rng.random() < 0.25 else title) + rng.choice([":", "", ""]) + "\n"
    return rng.choice(["{}", "{}", "【{}】", "{}："]).format(title) + "\n"


def is_measure(kind: str, value: str) -> bool:
    """Whether a value of a kind is a number, or one with a unit."""
    return kind in _NUMBERS or (kind.startswith("(") and bool(_MEASURE.fullmatch(value)))


def field_for(rng: Random, name: str, kind: str, value: str | None) -> Field:
    if kind in LISTS:
        asked, listed = typed(rng, kind, value or concept_value(rng, kind, name.isascii()))
        return Field(name, "phrase", name, value, True, "", "", asked, None if value is None else listed)
    if name.isascii() and rng.random() < OTHER_CASE:
        name = rng.choice([name.lower(), name.upper(), name.title(), *[identifier(rng, (name,))] * 3])
    drawn = value or value_of(rng, kind, name.isascii())
    likely = 0.6 if kind in _INTEGERS else 0.35 if is_measure(kind, drawn) else 0.0
    number = number_of(drawn) if rng.random() < likely else None
    if number is None:
        return Field(name, "phrase", name, value, True)
    asked = "integer" if isinstance(number, int) and rng.random() < 0.7 else "number"
    return Field(name, "phrase", name, value, True, "", "", asked, None if value is None else number)
