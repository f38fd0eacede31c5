"""What fills the holes of filler sentences and traps: everything that nobody asks for."""

from __future__ import annotations

from random import Random

from training.synth import basics, places, values
from training.synth.concept_values import concept_value
from training.synth.grammar import expand, patterns, words
from training.synth.slots import SIMPLE


def fill(name: str, rng: Random) -> str:
    """Return the text of a filler slot, or of a decoy `{!kind}`."""
    if name.startswith("!"):
        return decoy(name[1:], rng)
    return SIMPLE[name](rng)


def decoy(kind: str, rng: Random, english: bool = False) -> str:
    """Return a value that looks right and is not meant."""
    if kind == "address" and english:
        return places.english_address(rng)
    return values.KINDS[kind](rng) if kind in values.KINDS else concept_value(rng, kind, english)


def sentence(rng: Random, english: bool) -> str:
    """One sentence that says nothing anybody asks for."""
    chosen = rng.choice(patterns("fill_en" if english else "fill_zh"))
    return expand(chosen, rng, lambda name: fill(name, rng))


def trap(rng: Random, topic: str, english: bool) -> str:
    """Return a sentence with a number, mail or name that must not be taken for a value."""
    language = "en" if english else "zh"
    chosen = rng.choice(patterns(f"traps_{topic}_{language}"))
    return expand(chosen, rng, lambda name: fill(name, rng))


def stray_label(rng: Random, english: bool) -> str:
    """Return a label nobody asks for."""
    if english:
        return rng.choice([basics.latin(rng).capitalize(), f"{basics.latin(rng).capitalize()} {basics.latin(rng)}"])
    return rng.choice(
        [
            rng.choice(words("nouns_zh")),
            basics.junk(rng) + basics.junk(rng),
            rng.choice(words("stray_labels")),
            rng.choice(words("stray_labels")),
        ]
    )


def stray_value(rng: Random, english: bool) -> str:
    """Return a value for such a label."""
    if english:
        return rng.choice(
            [
                values.english_phrase,
                values.code,
                values.english_company,
                SIMPLE["url"],
                values.number_with_unit,
                SIMPLE["n"],
            ]
        )(rng)
    return rng.choice(
        [
            values.phrase,
            values.phrase,
            values.code,
            values.company,
            values.number_with_unit,
            SIMPLE["n"],
            SIMPLE["place"],
            SIMPLE["url"],
            SIMPLE["version"],
        ]
    )(rng)
