"""Sentences that state values: by label, by a clue word, or by saying what is not meant."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from random import Random

from training.synth.fields import Field, label
from training.synth.fillers import decoy, fill
from training.synth.grammar import Sequence, expand, lines, parse, patterns, slots

CLAUSES = 0.6
"""How often a field that can be stated without its label is."""
BARE = 2
"""Index in patterns("labelled_zh") of the frame with nothing between label and value."""


def by_label(rng: Random, field: Field, english: bool) -> str:
    """State a field with its label or, where it has one, with a clause of its own."""
    if field.clause and rng.random() < CLAUSES:
        return expand(field.clause, rng, lambda _: field.value or "")
    frames = patterns("labelled_en") if english else patterns("labelled_zh")
    value = field.value or ""
    chosen = frames[rng.randrange(2)] if rng.random() < 0.35 else rng.choice(frames)
    if chosen is patterns("labelled_zh")[BARE] and field.label[-1:].isascii() and value[:1].isascii():
        chosen = frames[1]
    given = {"L": field.label, "V": value, "X": decoy(field.kind, rng, english)}
    return expand(chosen, rng, lambda name: given[name] if name in given else fill(name, rng))


@cache
def _none_frames(english: bool) -> dict[str, list[Sequence]]:
    out: dict[str, list[Sequence]] = {}
    for line in lines("null_en" if english else "null_zh"):
        kind, pattern = line.split("\t")
        out.setdefault(kind, []).append(parse(pattern))
    return out


def absent(rng: Random, field: Field, english: bool) -> str:
    """Say that a field is not there."""
    special = _none_frames(english).get(field.kind, [])
    if special and not field.free and rng.random() < 0.7:
        return expand(rng.choice(special), rng, lambda name: fill(name, rng))
    frames = patterns("none_en") if english else patterns("none_zh")
    return expand(rng.choice(frames), rng, lambda name: field.label if name == "L" else fill(name, rng))


@cache
def _frames(topic: str, english: bool) -> tuple[tuple[frozenset[str], Sequence], ...]:
    """Clue sentences with the kinds of values they must have."""
    chosen = patterns(f"{topic}_{'en' if english else 'zh'}")
    return tuple((frozenset(kind for s in slots(p) for kind in _gold(s)), p) for p in chosen)


GOLD = frozenset(["phone", "email", "account", "password", "order", "date", "amount", "person", "address"])


def _gold(slot: str) -> list[str]:
    return [kind for kind in slot.split("=") if kind in GOLD]


def by_clue(rng: Random, fields: list[Field], topic: str, english: bool) -> tuple[str, set[str]] | None:
    """Return a clue sentence for one or more of the fields, and the kinds it states; None where no sentence fits."""
    known = {f.kind: f.value for f in fields if f.value is not None and not f.free}
    fitting = [(kinds, p) for kinds, p in _frames(topic, english) if kinds and kinds <= known.keys()]
    fitting = [(kinds, p) for kinds, p in fitting if not _shared(p) or rng.random() < 0.3]
    if not fitting:
        return None
    weights = [len(kinds) * 1.5 for kinds, _ in fitting]
    kinds, chosen = rng.choices(fitting, weights)[0]
    if _shared(chosen):
        return None
    text = expand(chosen, rng, lambda name: _slot(rng, name, known, english))
    return text, set(kinds)


def _shared(pattern: Sequence) -> bool:
    return any("=" in s for s in slots(pattern))


def _slot(rng: Random, name: str, known: Mapping[str, str | None], english: bool) -> str:
    if name in known:
        return known[name] or ""
    if name.startswith("!") and name[1:] in GOLD:
        return decoy(name[1:], rng, english)
    return fill(name, rng)


def statements(rng: Random, fields: list[Field], topic: str | None, english: bool, clue: float) -> list[str]:
    """State every field that has a value and mention some that have none, in random order."""
    out: list[str] = []
    left = [f for f in fields if f.value is not None]
    rng.shuffle(left)
    while left:
        said = by_clue(rng, left, topic, english) if topic and rng.random() < clue else None
        if said:
            out.append(said[0])
            left = [f for f in left if f.free or f.kind not in said[1]]
        else:
            out.append(by_label(rng, left.pop(0), english))
    out += [absent(rng, f, english) for f in fields if f.value is None and rng.random() < 0.3]
    rng.shuffle(out)
    return out


def relabel(rng: Random, field: Field, english: bool) -> str:
    """Return the label a table uses for a field."""
    return field.label if field.free or rng.random() < 0.6 else label(rng, field.kind, english)
