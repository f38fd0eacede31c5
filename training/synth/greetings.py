"""What a user may type who takes the model for a chat partner, and what it says then."""

from __future__ import annotations

from random import Random

from training.synth.fillers import fill
from training.synth.grammar import expand, lines, parse


def greeting(rng: Random) -> tuple[str, str]:
    """Return a user's turn and the reply."""
    question, reply = rng.choice(lines("greetings")).split("\t")
    return expand(parse(question), rng, lambda name: fill(name, rng)), reply
