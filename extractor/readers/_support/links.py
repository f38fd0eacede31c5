"""Link targets beside the text that they are behind: `合同全文 (https://example.com/a.pdf)`, in every format alike.

A target that the text says already is not repeated, nor is one that leads nowhere outside of the document. Round
brackets and a space are borders of a value, so a target can be taken verbatim.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

ADDRESS = re.compile(r"(?:https?|ftps?|mailto|tel|sms|sip|callto|weixin|alipays?):.|//[^/]", re.IGNORECASE)
IGNORED = re.compile(r"[\t\r\n\f\v\0]+")
"""What browsers take out of an address."""
PREFIX = re.compile(r"(?:https?://|ftps?://|mailto:|tel:|sms:|//)?(?:www\.)?", re.IGNORECASE)
PREFIX_IN_TEXT = re.compile(r"(?:https?://|ftps?://|mailto:|tel:|sms:)(?:www\.)?|\bwww\.", re.IGNORECASE)
INSIDE = tuple("abcdefghijklmnopqrstuvwxyz0123456789_@-%/?#=&")
"""What an address goes on with: a text that has more of one has another."""
NUMBER_SIGNS = re.compile(r"[\s()./-]+")
ARGUMENT = re.compile(r'"((?:[^"\\]|\\.)*)"?|(\S+)')


def beside(text: str, target: str) -> str:
    """Return what goes after a text that links to a target: `(https://...)`, or nothing."""
    target = IGNORED.sub("", target).strip()
    return f"({target})" if ADDRESS.match(target) and not _says(text, target) else ""


def _says(text: str, target: str) -> bool:
    """Tell whether a text has the target in it, however it writes it."""
    if not text:
        return False
    wanted = PREFIX.sub("", unquote(target), count=1).casefold().rstrip("/")
    shown = PREFIX_IN_TEXT.sub("", unquote(text)).casefold()
    if target[:4].lower() in ("tel:", "sms:"):
        return NUMBER_SIGNS.sub("", wanted) in NUMBER_SIGNS.sub("", shown)
    before, found, after = shown.partition(wanted) if wanted else ("", "", "")
    return bool(found) and not before.endswith((*INSIDE, ".")) and not after.removeprefix("/").startswith(INSIDE)


def target_of(instruction: str) -> str:
    """Return the target of a field of Word or RTF: `HYPERLINK "https://..." \\o "tip"`; empty for all others."""
    arguments = [quoted or plain for quoted, plain in ARGUMENT.findall(instruction)]
    if len(arguments) < 2 or arguments[0].upper() != "HYPERLINK" or arguments[1].startswith("\\"):
        return ""
    target = arguments[1].replace("\\\\", "\\")
    place = next((after for switch, after in zip(arguments[2:], arguments[3:], strict=False) if switch == "\\l"), "")
    return f"{target}#{place}" if place else target
