"""Clean forms of fields from anywhere: a label and a value each, of which only the label says what is meant.

The names are those of all scenes (`frames/scenes.txt`), mixed, so that nothing is known from what occurs together. The
label is another name for the same, or has lost the word that every form leaves out (`Pick-up` for `Pick-up date`). What
is absent is mostly of a kind that the form has.
"""

from __future__ import annotations

import re
from functools import cache
from random import Random

from training.synth.concept_values import concept_value
from training.synth.concepts import LISTS
from training.synth.contrasts import Row, contrasted, owned
from training.synth.fields import Field
from training.synth.fillers import sentence
from training.synth.names import shorter, varied
from training.synth.scenes import (
    FOREIGN,
    VAGUE,
    Place,
    column_gap,
    field_for,
    form_text,
    heading,
    is_measure,
    places_of_kind,
    synonyms,
    table_text,
    value_of,
)

_PLAIN = re.compile(
    "(日期|时间|姓名|名称|编号|号码|人员|人数|数量|金额|费用|地点|位置|方式|情况|人|日|数|号|名|量|费|师|员|率|时|于|到|为)$"
)
_PLAIN_EN = re.compile(
    r"(?i) (date|time|name|number|no\.|level|rate|size|price|cost|fee|site|place|type|by|on|at|count|value|address)$"
    r"|^(date|time|name|number|place|name|amount|cost|price|type|kind|total) (of|for|per) (the )?"
)
_LISTED = frozenset(
    "person thing foodname drug crop artname city brand colour material product symptom course job keyword".split()
)
"""Kinds of short texts of which a form often has several."""
_PHRASES = frozenset(
    "result method reason fix fault symptom freq dose terms packing storage cause remark weather status".split()
)
"""Kinds of short texts that go on after a comma."""
LISTS_OF_THEM = 0.22
CONTRASTS, OWNERS = 0.35, 0.35
"""How often a form has fields that only a word tells apart, and a person something of whose is asked for."""
BILINGUAL = 0.07
"""How many forms have each label in both languages."""
BLANK = 0.12
"""How many absent fields have a label without a value."""
PHRASES = 0.08
"""How many short texts go on after a comma."""
OWN = frozenset(
    "电话 联系电话 联系方式 手机 手机号 邮箱 电子邮箱 年龄 工号 部门 职务 地址 住址 Phone Tel. Telephone Email E-mail "
    "Age Department Position Address Mobile".split()
)
"""Names that a form has for something of a person without saying of which."""
_NUMBER_AND_UNIT = re.compile(
    r"(\d[\d,.]*) ?([a-zA-Z%℃°/²³]{1,5}|公斤|千克|克|吨|米|元|万元|小时|分钟|天|人|件|升|毫升|平方米|亩)"
)
"""A number with a unit, which a form may have in its label instead."""
_BARE = tuple("person dept desk phone email date money job city org plate code".split())
"""Kinds that are known by their looks, in the order that people write them in."""
_BARE_NAMES = {
    False: {
        "person": "姓名 员工 员工姓名 名字 人员", "dept": "部门 科室 所在部门 所属部门",
        "desk": "工位 座位 工位号 座位号", "phone": "电话 联系电话 手机", "email": "邮箱 电子邮件",
        "date": "日期 入职日期 时间", "money": "金额 工资 费用",
        "job": "职务 岗位 职位", "city": "城市 所在地 籍贯", "org": "单位 公司 工作单位", "plate": "车牌 车牌号",
        "code": "编号 工号 单号",
    },
    True: {
        "person": "Name Employee Person", "dept": "Department Dept. Team", "desk": "Desk Seat Workplace",
        "phone": "Phone Tel. Extension", "email": "Email E-mail", "date": "Date Joined Since",
        "money": "Amount Salary Fee",
        "job": "Position Role Job", "city": "City Town Office", "org": "Company Employer Firm", "plate": "Plate Car",
        "code": "ID Code No.",
    },
}  # fmt: skip


@cache
def _all(english: bool) -> list[Place]:
    return [place for places in places_of_kind(english).values() for place in places]


def _any(rng: Random, english: bool) -> Place:
    """Return what a form may state: as often from the list of synonyms as from all scenes."""
    return rng.choice(synonyms(english) if rng.random() < 0.5 else _all(english))


def card(rng: Random, english: bool) -> tuple[str, list[Field]]:
    """Return a form and the fields that are asked for."""
    style = rng.random()
    if style < 0.07:
        return _bare(rng, english)
    if style < 0.24:
        return _table(rng, english)
    count, used, rows = rng.choice([2, 3, 4, 5, 5, 6, 7, 8, 9]), set[str](), list[Row]()
    both = rng.random() < BILINGUAL
    kinds: list[str] = []
    absent: list[Field] = []
    for _ in range(count):
        again = kinds and rng.random() < 0.35
        place = rng.choice(places_of_kind(english)[rng.choice(kinds)]) if again else _any(rng, english)
        if row := _row(rng, place, english, used, both):
            rows.append(row)
            kinds.append(place.kind)
            if place.kind == "person" and rng.random() < OWNERS:
                more, missing = _owner(rng, row, place, english, bool(used & OWN))
                rows, absent = [*rows[:-1], *more], [*absent, *missing]
    if rng.random() < CONTRASTS:
        more, missing = _contrasts(rng, _any(rng, english), english, used)
        rows, absent = [*rows, *more], [*absent, *missing]
    fields = [field for _, _, field in rows]
    missing = _absent(rng, kinds, english, used)
    for field in missing:
        if rng.random() < BLANK:
            rows.insert(rng.randint(0, len(rows)), (field.name, rng.choice(["", "", "-", "—", "/", "N/A"]), field))
    text = _form(rng, rows, english)
    if rng.random() < 0.2:
        note = rng.choice(["Note", "Remarks", "NB"] if english else ["备注", "注", "说明"])
        text = f"{text}\n{note}{': ' if english else '：'}{sentence(rng, english)}"
    fields = rng.sample(fields, rng.randint((len(fields) + 1) // 2, len(fields)))
    fields += [*absent, *missing]
    rng.shuffle(fields)
    return text, list({field.name: field for field in fields}.values())


def _contrasts(rng: Random, place: Place, english: bool, used: set[str]) -> tuple[list[Row], list[Field]]:
    """Return rows that only a word tells apart, and fields for those of the kind that the form lacks."""
    name = rng.choice(place.names)
    if _clashes(set(place.names), used):
        return [], []
    label = _label(rng, name, place.names, english)
    used |= {name, label, *place.names}
    return contrasted(rng, name, label, lambda: value_of(rng, place.kind, english), english)


def _form(rng: Random, rows: list[Row], english: bool) -> str:
    keys = [str(number) for number in range(len(rows))]
    labels = {key: label for key, (label, _, _) in zip(keys, rows, strict=True)}
    values = {key: value for key, (_, value, _) in zip(keys, rows, strict=True)}
    return form_text(rng, keys, labels, values, english)


def _owner(rng: Random, row: Row, place: Place, english: bool, taken: bool) -> tuple[list[Row], list[Field]]:
    """Let something of a person be asked for: it stands behind the name, in a row of its own, or nowhere."""
    label, value, field = row
    if taken or field.type != "string" or field.value is None:
        return [row], []
    name, there = rng.choice(place.names), rng.random() < 0.5
    shown, asked = owned(rng, name, value, english, there)
    if not there or rng.random() < 0.5:
        return [(label, shown, field)], [asked]
    attribute = asked.name.removeprefix(name).removeprefix("'s")
    return [row, (label + attribute, asked.value or "", asked)], []


def _row(rng: Random, place: Place, english: bool, used: set[str], both: bool = False) -> Row | None:
    """Return a label, a value and the field that asks for it; None where another one could be meant as well.

    The label is in `both` languages where a form is.
    """
    name = _name(rng, place)
    label = _label(rng, name if name in place.names else rng.choice(place.names), place.names, english)
    if not label or _clashes({label, *place.names}, used):
        return None
    used |= {label, name, *place.names}
    value = value_of(rng, place.kind, english != (both and rng.random() < 0.4))
    if both and (others := [each for each in place.foreign if each.isascii() != label.isascii()]):
        other = rng.choice(others).replace("_", " ")
        label += rng.choice([" ", " ", " / ", "/"]) + (other[:1].upper() + other[1:] if other.isascii() else other)
    if place.kind in _LISTED and rng.random() < LISTS_OF_THEM:
        return label, *_several(rng, name, place.kind, value, english)
    if place.kind in _PHRASES and rng.random() < PHRASES:
        more = [value_of(rng, rng.choice(sorted(_PHRASES)), english) for _ in range(rng.choice([1, 1, 2]))]
        value = (", " if english else "，").join([value, *more])
    parts = _NUMBER_AND_UNIT.fullmatch(value) if is_measure(place.kind, value) else None
    if parts and rng.random() < 0.2:
        value, unit = parts.groups()
        label += rng.choice([f"({unit})", f" ({unit})", f" [{unit}]"] if english else [f"（{unit}）", f"({unit})"])
    return label, value, field_for(rng, name, place.kind, value)


def _name(rng: Random, place: Place) -> str:
    return rng.choice(place.foreign if place.foreign and rng.random() < FOREIGN else place.names)


def _clashes(names: set[str], used: set[str]) -> bool:
    return any(one.lower() in other.lower() or other.lower() in one.lower() for one in names for other in used)


def _label(rng: Random, name: str, names: tuple[str, ...], english: bool) -> str:
    style = rng.random()
    if style < 0.25:
        return name
    if style < 0.45:
        return rng.choice(names)
    if style < 0.75:
        return _without_kind(name, english)
    return shorter(rng, name) if style < 0.9 else varied(rng, name, english)


def _without_kind(name: str, english: bool) -> str:
    """Return a name without the word that says what kind of value it has."""
    left = (_PLAIN_EN if english else _PLAIN).sub("", name, count=1)
    if english:
        return left[:1].upper() + left[1:]
    return left if len(left) > 1 else name


def _several(rng: Random, name: str, kind: str, value: str, english: bool) -> tuple[str, Field]:
    """Return a list as a form writes it, and the field that asks for its items."""
    sign = rng.choice([", ", ", ", "; ", " / "] if english else ["、", "、", "、", "，", " / ", " "])
    drawn = (value_of(rng, kind, english) for _ in range(rng.choice([1, 2, 2, 3])))
    items = [item for item in dict.fromkeys([value, *drawn]) if sign.strip() not in item and " " not in item]
    if len(items) < 2:
        return value, field_for(rng, name, kind, value)
    text = sign.join(items)
    asked, gold = ("array", items) if rng.random() < 0.8 else ("string", text)
    return text, Field(name, "phrase", name, text, True, "", "", asked, gold)


def _absent(rng: Random, kinds: list[str], english: bool, used: set[str]) -> list[Field]:
    """Return fields that the form does not have, most of them of a kind that it has."""
    fields = []
    for _ in range(rng.choice([0, 1, 1, 2, 3, 4, 5])):
        tempted = kinds and rng.random() < 0.7
        place = rng.choice(places_of_kind(english)[rng.choice(kinds)]) if tempted else _any(rng, english)
        name = _name(rng, place)
        if name.lower() in VAGUE or _clashes({name, *place.names}, used):
            continue
        used |= {name, *place.names}
        if place.kind in _LISTED | LISTS and rng.random() < LISTS_OF_THEM:
            fields.append(Field(name, "phrase", name, None, True, "", "", "array"))
        else:
            fields.append(field_for(rng, name, place.kind, None))
    return fields


def _table(rng: Random, english: bool) -> tuple[str, list[Field]]:
    """Return a table of several rows below a few pairs, and fields that ask for its columns."""
    used, kinds = set[str](), list[str]()
    pairs, columns = [], []
    above = rng.choice([0, 0, 1, 2])
    for number in range(rng.choice([2, 3, 4, 5, 6, 7, 8, 9])):
        place = _any(rng, english)
        row = _row(rng, place, english, used)
        if not row or row[2].type == "array":
            continue
        kinds.append(place.kind)
        if number < above:
            pairs.append(row)
        else:
            columns.append((place, row))
    head = _form(rng, pairs, english) if pairs else heading(rng, english).rstrip("\n") if rng.random() < 0.7 else ""
    count = rng.choice([1, 2, 2, 3, 3, 4, 5])
    cells, fields = [], [field for _, _, field in pairs if rng.random() < 0.8]
    for place, (label, value, field) in columns:
        values = [value, *(value_of(rng, place.kind, english) for _ in range(count - 1))]
        cells.append([label, *values])
        if rng.random() < 0.8:
            fields.append(
                field if count == 1 else Field(field.name, "phrase", field.name, "", True, "", "", "array", values)
            )
    rows = list(zip(*cells, strict=True))
    gap = column_gap(rng, (cell for row in rows for cell in row), english) or "\t"
    fields += [field for field in _absent(rng, kinds, english, used) if rng.random() < 0.6]
    rng.shuffle(fields)
    return "\n".join([*([head] if head else []), *([table_text(rng, rows, gap)] if rows else [])]), fields


def _bare(rng: Random, english: bool) -> tuple[str, list[Field]]:
    """Return values alone, with a comma or a space between them, of kinds that are known by their looks."""
    kinds = sorted(rng.sample(_BARE, rng.choice([2, 3, 3, 4])), key=_BARE.index)
    if rng.random() < 0.3:
        rng.shuffle(kinds)
    fields, names = [], _BARE_NAMES[english]
    for kind in kinds:
        value = concept_value(rng, kind, english)
        fields.append(field_for(rng, rng.choice(names[kind].split()), kind, value))
    sign = rng.choice([", ", ", ", "; ", "\t", " | "] if english else ["，", "，", ",", "、", " ", "\t", "；", " | "])
    text = sign.join(field.value or "" for field in fields)
    others = [kind for kind in _BARE if kind not in kinds]
    fields += [
        field_for(rng, rng.choice(names[kind].split()), kind, None)
        for kind in rng.sample(others, rng.choice([0, 0, 1]))
    ]
    if rng.random() < 0.4:
        rng.shuffle(fields)
    return text + rng.choice(["", "", "." if english else "。"]), fields
