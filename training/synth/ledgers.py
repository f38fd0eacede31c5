"""Documents of any domain: sentences about one thing, forms of two pairs a row, tables of many rows."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from training.synth.concept_values import concept_value
from training.synth.concepts import Domain
from training.synth.fields import Field
from training.synth.fillers import sentence, stray_label, stray_value
from training.synth.statements import absent, by_label
from training.synth.tables import around
from training.synth.wish import Layout, Wish, title

_ENDS = ("。", "。", "。\n", "；")
_ENDS_EN = (". ", ". ", ".\n", "; ")


def sentences(domain: Domain) -> Layout:
    """Return the layout of running sentences about the domain's subject, a few values in each."""

    def write(rng: Random, wish: Wish) -> str:
        left = [field for field in wish.fields if field.value is not None]
        rng.shuffle(left)
        out = []
        while left:
            size = rng.choice([1, 1, 2, 2, 3, 4])
            clauses = [by_label(rng, field, wish.english) for field in left[:size]]
            left = left[size:]
            subject = rng.choice(domain.subjects[int(wish.english)])
            out.append(_joined(rng, subject, clauses, wish.english))
        for field in wish.fields:
            if field.value is None and rng.random() < 0.2:
                out.insert(rng.randint(0, len(out)), absent(rng, field, wish.english))
        for _ in range(rng.randint(0, int(1 + 3 * wish.noise))):
            out.insert(rng.randint(0, len(out)), sentence(rng, wish.english))
        ends = _ENDS_EN if wish.english else _ENDS
        head = f"{title(rng, wish)}\n" if rng.random() < 0.4 else ""
        return head + "".join(part + rng.choice(ends) for part in out)

    return write


def _joined(rng: Random, subject: str, clauses: list[str], english: bool) -> str:
    if english:
        text = rng.choice([", ", ", ", " and ", "; "]).join(clauses)
        lead = (
            ""
            if not subject
            else rng.choice([f"The {subject}, ", f"The {subject} is ", "", f"This {subject} was ", f"Our {subject}: "])
        )
        return lead + text
    lead = (
        ""
        if not subject
        else rng.choice([subject, subject, "", f"{subject}，", f"据了解，{subject}", f"{subject}已", f"本次{subject}"])
    )
    return lead + rng.choice(["，", "，", "、", "，并", "，且"]).join(clauses)


def form(rng: Random, wish: Wish) -> str:
    """Return a form: two or three labels with their values in each row."""
    pairs = [(f.label, f.value) for f in wish.fields if f.value is not None]
    pairs += [(f.label, rng.choice(["", "/", "—", " "])) for f in wish.fields if f.value is None and rng.random() < 0.4]
    pairs += [(stray_label(rng, wish.english), stray_value(rng, wish.english)) for _ in range(rng.randint(0, 2))]
    if rng.random() < 0.6:
        rng.shuffle(pairs)
    width, sign = rng.choice([2, 2, 3]), rng.choice([" | ", "\t", "|", "    "])
    edge = "| " if sign == " | " and rng.random() < 0.5 else ""
    rows = [[part or "" for pair in pairs[at : at + width] for part in pair] for at in range(0, len(pairs), width)]
    return around(rng, wish, "\n".join(edge + sign.join(row) + edge[::-1] for row in rows))


def columns(rng: Random, fields: list[Field], english: bool) -> tuple[str, list[Field]]:
    """Return a table of several rows, and its fields with a list of each column's values."""
    count = rng.choice([2, 2, 3, 4])
    there = [field for field in fields if field.value is not None][:5]
    cells = [
        [field.value or "", *(concept_value(rng, field.kind, english) for _ in range(count - 1))] for field in there
    ]
    sign = rng.choice([" | ", " | ", "\t", ",", "|"])
    cells = [[cell.replace(sign.strip() or "\t", " ") for cell in column] for column in cells]
    edge = "| " if sign == " | " and rng.random() < 0.5 else ""
    lines_ = [[field.label for field in there], *map(list, zip(*cells, strict=True))]
    text = [edge + sign.join(row) + edge[::-1] for row in lines_]
    if edge:
        text.insert(1, "|" + "---|" * len(there))
    listed = {
        field.name: replace(field, type="array", typed=list(column)) for field, column in zip(there, cells, strict=True)
    }
    others = [replace(field, type="array", typed=None) for field in fields if field.value is None]
    return "\n".join(text), [*listed.values(), *others]
