"""The shapes a document can have, with how often each is drawn. Each takes a wish and gives a text."""

from __future__ import annotations

from random import Random

from training.synth.dialogue import chat
from training.synth.prose import book, letter, narrative, prose, resume, snippet
from training.synth.statements import statements
from training.synth.tables import config, header_table, inline, key_values, two_records
from training.synth.wish import Layout, Wish


def table_and_words(rng: Random, wish: Wish) -> str:
    """Half of the values in a table or list, the others in the sentences around it."""
    fields = list(wish.fields)
    rng.shuffle(fields)
    cut = rng.randint(1, max(1, len(fields) - 1))
    first = Wish(fields[:cut], wish.topic, wish.english, wish.noise, wish.clue)
    second = statements(rng, fields[cut:], wish.topic, wish.english, wish.clue)
    block = rng.choice([key_values, header_table, inline])(rng, first)
    words_ = prose(rng, wish, second, wish.noise)
    return f"{block}\n{words_}" if rng.random() < 0.6 else f"{words_}\n{block}"


LAYOUTS: dict[str, tuple[Layout, float]] = {
    "key_values": (key_values, 2.0),
    "inline": (inline, 1.2),
    "header_table": (header_table, 3.2),
    "table_and_words": (table_and_words, 1.4),
    "narrative": (narrative, 4.0),
    "letter": (letter, 1.0),
    "chat": (chat, 2.0),
    "config": (config, 0.6),
    "book": (book, 0.8),
    "two_records": (two_records, 0.9),
    "snippet": (snippet, 1.3),
    "resume": (resume, 0.6),
}
