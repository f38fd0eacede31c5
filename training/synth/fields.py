"""Fields: what is asked for, what the document calls it, and the value (or none)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from random import Random

from training.synth import basics, places, values
from training.synth.grammar import Sequence, expand, lines, parse, words

CONTACT = {"手机号": "phone", "邮箱": "email", "账号": "account", "密码": "password"}
ORDER = {"订单号": "order", "日期": "date", "金额": "amount", "收货人": "person", "地址": "address"}
CONTRACT = {
    "合同编号": "contract_no",
    "甲方": "party_a",
    "乙方": "party_b",
    "签订日期": "sign_date",
    "合同金额": "sum",
    "履行期限": "term",
}
FREE = [
    "phrase",
    "phrase",
    "phrase",
    "measure",
    "measure",
    "code",
    "code",
    "company",
    "english",
    "name",
    "name",
    "date",
    "amount",
    "order",
    "account",
    "password",
    "email",
    "phone",
    "address",
    "english_name",
    "host",
    "landline",
    "english_company",
    "english_address",
]


_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")
Gold = str | int | float | bool | list[str] | None


@dataclass(frozen=True)
class Field:
    """One field of one document; `value` is None where the document must not have it."""

    name: str
    kind: str
    label: str
    value: str | None
    """As the document writes it."""
    free: bool = False
    description: str = ""
    title: str = ""
    type: str = "string"
    typed: Gold = None
    """The value in its type, where that is not a string."""
    clause: Sequence | None = None
    """A pattern that states the value `{V}` without a label."""

    @property
    def gold(self) -> Gold:
        return self.value if self.type == "string" else self.typed


@cache
def _labels() -> dict[tuple[str, str], Sequence]:
    rows = [line.split("\t") for line in lines("labels")]
    return {(kind, language): parse(pattern) for kind, language, pattern in rows}


def label(rng: Random, kind: str, english: bool) -> str:
    """Return what a document might call a field of this kind."""
    pattern = _labels()[kind, "en" if english else "zh"]
    return expand(pattern, rng, str)


def value(rng: Random, kind: str, english: bool) -> str:
    """Return a value as a document of this language has it."""
    if english and kind in {"person", "name"}:
        return values.english_name(rng) if rng.random() < 0.85 else values.chinese_name(rng)
    if english and kind == "address":
        return places.english_address(rng)
    if english and kind in {"phrase", "term"}:
        return values.english_phrase(rng)
    if english and kind in {"company", "party_a", "party_b"}:
        return values.english_company(rng)
    return values.KINDS[kind](rng)


def free_label(rng: Random, english: bool) -> str:
    """Return the name of a field that exists only in this document."""
    if english:
        parts = [basics.latin(rng) for _ in range(rng.choice([1, 1, 2]))]
        return rng.choice([" ", "_", " "]).join(parts).capitalize() if rng.random() < 0.6 else "_".join(parts)
    style = rng.random()
    if style < 0.45:
        return "".join(rng.choices(basics.LEVEL_1, k=rng.choice([2, 2, 3, 4])))
    if style < 0.65:
        return rng.choice(words("nouns_zh")) + rng.choice(
            ["编号", "名称", "单价", "日期", "人", "地址", "型号", "数量", "号码", "代码", "等级", "颜色"]
        )
    if style < 0.85:
        return rng.choice(words("stray_labels"))
    return basics.junk(rng) + rng.choice(
        ["号", "人", "名", "日", "额", "量", "地", "者", "码", "方", "率", "时间", "单位"]
    )


def named(rng: Random, names: dict[str, str], missing: float, english: bool) -> list[Field]:
    """Return the bundled fields of a schema; account and password go together most of the time."""
    out = []
    together = rng.random() < missing
    for name, kind in names.items():
        absent = rng.random() < missing
        if kind in {"account", "password"} and rng.random() < 0.85:
            absent = together
        own = label(rng, kind, english)
        doc_label = name if not english and rng.random() < 0.25 else own
        out.append(Field(name, kind, doc_label, None if absent else value(rng, kind, english)))
    return out


def free(rng: Random, english: bool) -> list[Field]:
    """Fields with names nobody has seen; some keep a known meaning under another name."""
    out: list[Field] = []
    seen: set[str] = set()
    for _ in range(rng.choice([2, 3, 3, 4, 4, 5, 5, 6, 7])):
        known = rng.random() < 0.2
        kind = rng.choice([*CONTACT.values(), *ORDER.values()]) if known else rng.choice(FREE)
        name = label(rng, kind, english) if known else free_label(rng, english)
        if name in seen or (known and kind in seen):
            continue
        seen |= {name, kind} if known else {name}
        doc_label = label(rng, kind, english) if known and rng.random() < 0.5 else name
        shown, description = _described(rng, name, doc_label)
        wanted = None if rng.random() < 0.25 else value(rng, kind, english)
        number = number_of(wanted or "") if kind in {"measure", "amount"} and rng.random() < 0.5 else None
        asked = "string" if number is None else "integer" if isinstance(number, int) else "number"
        out.append(Field(shown, kind, doc_label, wanted, not known, description, "", asked, number))
    return out


def _described(rng: Random, name: str, doc_label: str) -> tuple[str, str]:
    """Move the label into the description of some fields."""
    style = rng.random()
    if style < 0.06:
        return rng.choice(["f", "字段", "key", "项"]) + str(rng.randint(1, 20)), doc_label
    if style < 0.12:
        return name, rng.choice([f"{doc_label}的内容", f"文中的{doc_label}", f"{doc_label}，照抄", f"the {doc_label}"])
    return name, ""


def number_of(text: str) -> int | float | None:
    """Return the one plain number of a text."""
    if re.search(
        r"[万亿千百零/×*～<]|\d[-–]\d|\d[kK]\b", text.replace("千克", "").replace("千瓦", "").replace("/", "")
    ):
        return None
    found = _NUMBER.findall(text)
    if len(found) != 1:
        return None
    plain = found[0].replace(",", "")
    return float(plain) if "." in plain else int(plain)
