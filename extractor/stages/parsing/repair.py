"""What goes wrong in the spelling of JSON, and how it is put right without touching what it says.

A text is cut into tokens; each repair is a small pure function from tokens to tokens. `repaired` applies them in the
order of `_REPAIRS` until the text is JSON. No repair supplies a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from extractor.text.strict_json import Reading, load


class Token(NamedTuple):
    """A piece of almost-JSON: string, quoted (in quotes that JSON does not know), open (a string that never ends),
    comment, space, mark (bracket, colon or comma) or word."""

    kind: str
    text: str


Repair = Callable[[list[Token]], list[Token]]


def repaired(text: str) -> Reading | None:
    """The object or list that the text is after some repairs, which are named; or None."""
    if not re.search(r"[{\[｛［]", text):
        return None
    tokens, names = list(_tokens(text)), []
    for name, repair in _REPAIRS.items():
        better = repair(tokens)
        if better == tokens:
            continue
        tokens = better
        names.append(name)
        reading = load("".join(token.text for token in tokens))
        if reading and isinstance(reading.value, dict | list):
            return reading.under("+".join(names))
    return None


def json_word(text: str) -> str:
    """JSON's spelling of a null, true, false or number in the spelling of Python and others."""
    text = _LITERALS.get(text.lower(), text)
    text = re.sub(r"^\+(?=[\d.])", "", text)
    text = re.sub(r"^(-?)\.(?=\d)", r"\g<1>0.", text)
    return re.sub(r"^(-?\d+)\.$", r"\1", text)


_LITERALS = {"none": "null", "null": "null", "nil": "null", "undefined": "null", "true": "true", "false": "false"}

_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*+")
    |   (?P<quoted>'(?:[^'\\]|\\.|'(?!\s*(?:[,:，：\]}]|/[/*]|$)))*+'
                 | [“”](?:[^“”"\\]|\\.)*+[”“"] | [‘’][^‘’]*+[’‘] | 「[^「」]*+」 | 『[^『』]*+』 | [`´][^`´]*+[`´]
                 | ＂[^＂]*+＂ | ＇[^＇]*+＇ )
    |   (?P<comment>/\*.*?\*/ | (?://|\#)[^\n}\]"]{0,500}+(?=\n|$))
    |   (?P<open>(?:["'“”‘’「『`´＂＇]|/\*).*)
    |   (?P<space>\s+)
    |   (?P<mark>[{}\[\],:，：、；;｛｝［］])
    |   (?P<word>(?:[^\s{}\[\],:，：、；;｛｝［］"'“”‘’「『`´＂＇/]|/(?!\*))+ | .)
    """,
    re.VERBOSE | re.DOTALL,
)


def _tokens(text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        yield Token(str(match.lastgroup), match[0])


def _line_breaks(tokens: list[Token]) -> list[Token]:
    """Raw control characters in strings; a raw line break at the end of one is layout."""
    return [Token("string", _escaped(token.text[1:-1])) if token.kind == "string" else token for token in tokens]


def _escaped(content: str) -> str:
    """The content as a JSON string: bare quotes and control characters escaped, escapes left as they are."""
    content = re.sub(r'(\\.)|"', lambda match: match[1] or '\\"', content.rstrip("\r\n"), flags=re.DOTALL)
    controls = re.sub(r"[\x00-\x1f]", lambda match: json.dumps(match[0])[1:-1], content)
    return f'"{controls}"'


def _comments(tokens: list[Token]) -> list[Token]:
    return [token for token in tokens if token.kind != "comment"]


_ASCII_MARKS = str.maketrans("，：、；;｛｝［］", ",:,,,{}[]")


def _punctuation(tokens: list[Token]) -> list[Token]:
    """Full-width and Chinese punctuation between values."""
    return [Token("mark", token.text.translate(_ASCII_MARKS)) if token.kind == "mark" else token for token in tokens]


def _quotes(tokens: list[Token]) -> list[Token]:
    return [_requoted(token.text) if token.kind == "quoted" else token for token in tokens]


def _requoted(text: str) -> Token:
    content = text[1:-1].replace("\\'", "'") if text[0] == "'" else text[1:-1]
    return Token("string", _escaped(content))


def _literals(tokens: list[Token]) -> list[Token]:
    return [Token("word", json_word(token.text)) if token.kind == "word" else token for token in tokens]


def _unquoted(tokens: list[Token]) -> list[Token]:
    """Keys and values without quotes, the white space between words included."""
    result: list[Token] = []
    run: list[Token] = []
    for token in [*tokens, Token("end", "")]:
        if token.kind == "word" or (run and token.kind == "space"):
            run.append(token)
        else:
            result += [*_quoted_run(run), token]
            run = []
    return result[:-1]


def _quoted_run(run: list[Token]) -> list[Token]:
    """One string of a run of words, unless it is a literal or a number."""
    text = "".join(token.text for token in run)
    word = text.rstrip()
    if not word or "\n" in word or load(word):
        return run
    return [Token("string", json.dumps(word, ensure_ascii=False)), Token("space", text[len(word) :])]


def _commas(tokens: list[Token]) -> list[Token]:
    """Commas before a closing bracket or the end, behind an opening one, or behind another comma."""
    result: list[Token] = []
    last = Token("mark", "}")
    for token in reversed(tokens):
        if token.text == "," and last.kind == "mark" and last.text in "}],":
            continue
        if token.kind == "mark" and token.text in "{[":
            while result and (result[-1].kind == "space" or result[-1] == Token("mark", ",")):
                result.pop()
        result.append(token)
        last = token if token.kind != "space" else last
    return result[::-1]


def _cut_off(tokens: list[Token]) -> list[Token]:
    """End what the text leaves open: a string, a key without a value, brackets."""
    tokens = _closed_string(tokens)
    brackets = _open_brackets(tokens)
    if not brackets:
        return tokens
    return [*_without_dangling_key(tokens, brackets[-1]), *(Token("mark", bracket) for bracket in reversed(brackets))]


def _closed_string(tokens: list[Token]) -> list[Token]:
    """End an open string, unless another member seems to begin in it: then its quote is missing in the middle."""
    if not tokens or tokens[-1].kind != "open" or tokens[-1].text[0] == "/":
        return tokens
    text = _HALF_ESCAPE.sub(r"\1", tokens[-1].text.rstrip())
    if _LOOKS_LIKE_MEMBER.search(text):
        return tokens
    return [*tokens[:-1], _requoted(text + text[0])]


_HALF_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*+)\\(?:u[0-9A-Fa-f]{0,3})?$")
_LOOKS_LIKE_MEMBER = re.compile(r"""[,，]\s*+["']?\w++["']?\s*+[:：]""")


def _open_brackets(tokens: list[Token]) -> list[str]:
    closers = {"{": "}", "[": "]"}
    stack: list[str] = []
    for token in tokens:
        if token.kind == "mark" and token.text in closers:
            stack.append(closers[token.text])
        elif token.kind == "mark" and stack and token.text == stack[-1]:
            stack.pop()
    return stack


def _without_dangling_key(tokens: list[Token], closer: str) -> list[Token]:
    """Drop, at the end of an open object, a key for which no value was written, and the comma before it."""
    solid = [index for index, token in enumerate(tokens) if token.kind != "space"]
    texts = [tokens[index].text for index in solid]
    kept = len(texts)
    if closer == "}" and texts[-1] == ":":
        kept -= 2
    elif closer == "}" and tokens[solid[-1]].kind == "string" and texts[-2] in "{,":
        kept -= 1
    kept -= kept > 0 and texts[kept - 1] == ","
    return tokens[: solid[kept - 1] + 1] if kept > 0 else []


_REPAIRS: dict[str, Repair] = {
    "line-breaks": _line_breaks,
    "comments": _comments,
    "punctuation": _punctuation,
    "quotes": _quotes,
    "literals": _literals,
    "unquoted": _unquoted,
    "commas": _commas,
    "cut-off": _cut_off,
}
