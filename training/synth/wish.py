"""What a document is to contain, and the noise that every shape of document mixes in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from training.synth import basics, values
from training.synth.fields import Field
from training.synth.fillers import sentence, trap
from training.synth.grammar import words


@dataclass(frozen=True)
class Wish:
    """What a document is to contain and how hard it is made."""

    fields: list[Field]
    topic: str | None
    english: bool
    noise: float
    clue: float


Layout = Callable[[Random, Wish], str]


def noise(rng: Random, wish: Wish) -> str:
    """Return a filler or a trap."""
    english = wish.english if rng.random() < 0.92 else not wish.english
    if wish.topic and rng.random() < 0.4:
        return trap(rng, wish.topic, english)
    if wish.topic == "order" and rng.random() < 0.1:
        return trap(rng, "contact", english)
    return sentence(rng, english)


def title(rng: Random, wish: Wish) -> str:
    """Return a heading line."""
    if wish.english:
        return rng.choice(
            [f"{basics.latin(rng).capitalize()} {basics.latin(rng)}", sentence(rng, True), values.english_company(rng)]
        )
    tail = rng.choice(
        [
            "单",
            "表",
            "登记表",
            "通知",
            "凭单",
            "附件",
            "（节选）",
            "记录",
            "卡",
            "须知",
            "说明",
            "档案",
            "回执",
            "信息",
            "清单",
            "附件一",
        ]
    )
    return rng.choice(
        [
            basics.junk(rng) + tail,
            rng.choice(words("nouns_zh")) + tail,
            values.company(rng),
            f"【{basics.junk(rng)}{tail}】",
            f"# {basics.junk(rng)}{tail}",
        ]
    )
