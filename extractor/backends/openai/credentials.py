"""The key of a server, and what the server says without it.

The key comes from the environment (OPENAI_API_KEY) and goes into the client, nowhere else. A server may repeat it, and
write whatever a terminal obeys: its words go through `quote` before a person or a log sees them.
"""

from __future__ import annotations

import os

from extractor.errors import UsageError

KEY = "OPENAI_API_KEY"
LONGEST_QUOTE = 300

_NO_KEY = "none"  # servers without a key take any; the client insists on one
_SHORTEST_SECRET = 4  # what is shorter is a placeholder, and would be found in any text
_MASK = "***"


def api_key() -> str:
    """Return the key, or a placeholder. Raise UsageError for what cannot be sent in a header."""
    key = os.environ.get(KEY, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"{KEY} holds characters that no key has (a line break?): set it again.")
    return key or _NO_KEY


def quote(said: str, longest: int = LONGEST_QUOTE) -> str:
    """Return what a server says in one line: the key masked, control characters escaped, cut at a length."""
    key = os.environ.get(KEY, "").strip()
    masked = said.replace(key, _MASK) if len(key) >= _SHORTEST_SECRET else said
    line = " ".join(masked[:longest].split()) + ("..." if len(masked) > longest else "")
    return "".join(map(_printable, line))


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
