"""Text of strangers as a terminal may show it: no escape codes, nothing that moves the cursor or turns the line around.

What is escaped becomes `\\u001b`, which is valid in JSON as well.
"""

from __future__ import annotations

import re

_DIRECTIONS = "\u202a-\u202e\u2066-\u2069"  # overrides, embeddings and isolates of bidirectional text
_CONTROLS = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_DIRECTIONS}]")
_CONTROLS_IN_LINES = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_DIRECTIONS}]")


def one_line(text: str) -> str:
    """Return a text with all control characters escaped, line ends among them."""
    return _CONTROLS.sub(_escaped, text)


def lines(text: str) -> str:
    """Return a text with control characters escaped but line feeds and tabs."""
    return _CONTROLS_IN_LINES.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
