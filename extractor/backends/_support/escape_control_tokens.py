"""Text of a document is text: nothing in it may be taken for a control token, and all of it must fit into UTF-8.

A tokenizer of our own encodes content as plain pieces; one that is not ours is kept from seeing a control token by a
word joiner, which no reader sees, behind its first character.
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


def plain(text: str) -> str:
    """The text as it may be sent: unchanged unless it holds lone surrogates or what looks like a control token."""
    return _CONTROL.sub(lambda match: match[0] + _JOINER, _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text))
