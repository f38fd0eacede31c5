"""Text of a document stays text: none of it is read as a control token, and all of it fits into UTF-8.

Our own tokenizer encodes content as plain pieces. Another one is kept from seeing a control token by a word joiner,
which is invisible, after its first character.
"""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(
    r"""<(?=[|｜][^<>\n]{1,40}[|｜]>)        # <|user|>, <|im_start|>, <｜User｜>
    |   <(?=/?(s|unk|pad|think|(start|end)_of_\w+)>)
    |   \[(?=(/?INST|/?SYSTEM_PROMPT|[gs]?MASK)\])""",
    re.VERBOSE,
)
_JOINER = "\N{WORD JOINER}"


def escape_control_tokens(text: str) -> str:
    """Return the text as it may be sent: unchanged unless it has lone surrogates or looks like a control token."""
    return _CONTROL.sub(lambda match: match[0] + _JOINER, _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text))
