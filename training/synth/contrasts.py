"""What a careless reader takes for what is asked: the same of another time or side, what belongs to somebody else.

`上次检修日期` is no `下次检修日期`, and the phone number behind one person is not the other's. Documents state one or
several of such a group, and schemas ask for them and for those that are not there. `frames/contrasts.txt` has the
groups: words before a name that make others of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random

from training.synth.concept_values import concept_value
from training.synth.fields import Field
from training.synth.grammar import lines

ATTRIBUTES = {
    False: {
        "电话": "phone", "手机": "phone", "手机号": "phone", "联系电话": "phone", "邮箱": "email", "年龄": "agenum",
        "工号": "code", "部门": "dept", "职务": "job", "住址": "address",
    },
    True: {
        "phone": "phone", "phone number": "phone", "tel.": "phone", "email": "email", "age": "agenum",
        "staff number": "code", "department": "dept", "job": "job", "address": "address",
    },
}  # fmt: skip
"""What a person has, with the kind of its values."""
_BRACKETS = {
    False: ("{}（{}）", "{}（{}）", "{}({})", "{}，{}", "{} {}"),
    True: ("{} ({})", "{} ({})", "{}, {}", "{} - {}"),
}
_SAID = {
    False: {
        "phone": ("电话{}", "手机{}", "{}"),
        "agenum": ("{}",),
        "email": ("邮箱{}", "{}"),
        "code": ("工号{}", "编号{}"),
    },
    True: {"phone": ("tel. {}", "phone {}", "{}"), "agenum": ("aged {}", "{}"), "code": ("staff no. {}", "no. {}")},
}
Row = tuple[str, str, Field]
"""A label, the value as it is shown, and the field that asks for it."""


@cache
def _groups(english: bool) -> list[list[str]]:
    rows = (line.split("\t") for line in lines("contrasts"))
    return [words.split(",") for language, words in rows if (language == "en") == english]


def contrasted(
    rng: Random, name: str, label: str, value_of: Callable[[], str], english: bool
) -> tuple[list[Row], list[Field]]:
    """Return rows of one name under some words of a group, and fields for those words that the document lacks."""
    words = rng.choice(_groups(english))
    there = rng.sample(words, rng.randint(1, len(words)))
    rows: list[Row] = []
    absent = []
    for word in words:
        asked = _qualified(word, name, english)
        if word in there:
            value = value_of()
            rows.append((_qualified(word, label, english), value, Field(asked, "phrase", asked, value, True)))
        elif rng.random() < 0.75:
            absent.append(Field(asked, "phrase", asked, None, True))
    rng.shuffle(rows)
    return rows, absent


def _qualified(word: str, name: str, english: bool) -> str:
    return f"{word} {name[:1].lower()}{name[1:]}" if english else f"{word}{name}"


def owned(rng: Random, name: str, value: str, english: bool, there: bool) -> tuple[str, Field]:
    """Return a person with something of theirs behind the name, and the field that asks for it.

    Where it is not `there`, the person stands alone and the field is absent.
    """
    attribute, kind = rng.choice(list(ATTRIBUTES[english].items()))
    asked = f"{name}{rng.choice([' ', chr(39) + 's '])}{attribute}" if english else name + attribute
    if not there:
        return value, Field(asked, "phrase", asked, None, True)
    owns = concept_value(rng, kind, english)
    said = rng.choice(_SAID[english].get(kind, ("{}",))).format(owns)
    return rng.choice(_BRACKETS[english]).format(value, said), Field(asked, "phrase", asked, owns, True)
