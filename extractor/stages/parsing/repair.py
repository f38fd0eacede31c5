"""Mends the syntax of almost-JSON without touching what it says.

The text is cut into tokens once; each repair is a small pure function from tokens to tokens. `repair` applies them in
the order of `_REPAIRS`, as many as it takes until the text is JSON, and names those that changed something. No repair
supplies a value. This module does not look for JSON in a text; `extract_json` does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from extractor.text.strict_json import ParsedJson, load


class Token(NamedTuple):
    """A piece of almost-JSON.

    `kind`: string, quoted (in quotes that JSON does not know), open (a string or comment that never ends; always the
    last token), comment, space, mark (bracket, colon or comma, ASCII or not) or word (the rest). The texts of all
    tokens, joined, are the text.
    """

    kind: str
    text: str


Repair = Callable[[list[Token]], list[Token]]


def repair(text: str) -> ParsedJson | None:
    """Return the object or list that the text is after as few repairs as it takes, with their names; or None."""
    if not re.search(r"[{\[｛［]|\A[(\s]*\(\s*[\"'(\d]", text):
        return None
    tokens, names = list(_tokenize(text)), []
    for name, apply in _REPAIRS.items():
        repaired = apply(tokens)
        if repaired == tokens:
            continue
        tokens = repaired
        names.append(name)
        parsed = load("".join(token.text for token in tokens))
        if parsed and isinstance(parsed.value, dict | list):
            return parsed.after(*names)
    return None


def json_literal(text: str) -> str:
    """Return a null, true, false or number in JSON's notation, from that of Python, JavaScript and others."""
    text = _LITERALS.get(text.lower(), text)
    text = re.sub(r"^\+(?=[\d.])", "", text)  # +1
    text = re.sub(r"^(-?)\.(?=\d)", r"\g<1>0.", text)  # .5
    return re.sub(r"^(-?\d+)\.$", r"\1", text)  # 5.


_LITERALS = {"none": "null", "null": "null", "nil": "null", "undefined": "null", "true": "true", "false": "false"}

# Repetitions are possessive (`*+`) or bounded, and what does not close is taken whole by `open`: matching is linear in
# the text, garbage too.
# - quoted: between single quotes, one is an apostrophe unless a comma, colon, bracket, comment or the end follows it.
# - comment: `//` and `#` only where no closing bracket or double quote follows on the line: those are in a value.
# - open: whatever begins a string or comment and did not match above; it takes all that is left.
# - word: a negative number of accounts, `(1,200)`, is one; at last any single character, so that the tokens cover the
#   text.
_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*+")
    |   (?P<quoted>'(?:[^'\\]|\\.|'(?!\s*(?:[,:，：\]}]|/[/*]|$)))*+'
                 | [“”](?:[^“”"\\]|\\.)*+[”“"] | [‘’][^‘’]*+[’‘] | 「[^「」]*+」 | 『[^『』]*+』 | [`´][^`´]*+[`´]
                 | ＂[^＂]*+＂ | ＇[^＇]*+＇ )
    |   (?P<comment>/\*.*?\*/ | (?://|\#)[^\n}\]"]{0,500}+(?=\n|$))
    |   (?P<open>(?:["'“”‘’「『`´＂＇]|/\*).*)
    |   (?P<space>\s+)
    |   (?P<mark>[{}\[\],:，：、；;｛｝［］])
    |   (?P<word>\(\d{1,3}(?:,\d{3})++(?:\.\d++)?\)
                 | (?:[^\s{}\[\],:，：、；;｛｝［］"'“”‘’「『`´＂＇/]|/(?!\*))+ | .)
    """,
    re.VERBOSE | re.DOTALL,
)


def _tokenize(text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        yield Token(str(match.lastgroup), match[0])


def _escape_controls(tokens: list[Token]) -> list[Token]:
    """Escape raw control characters in strings."""
    return [Token("string", _as_string(token.text[1:-1])) if token.kind == "string" else token for token in tokens]


def _as_string(content: str) -> str:
    """Return the content as a JSON string: bare quotes and control characters escaped, escapes left as they are.

    Raw line breaks at its end are layout and go.
    """
    content = re.sub(r'(\\.)|"', lambda match: match[1] or '\\"', content.rstrip("\r\n"), flags=re.DOTALL)
    escaped = re.sub(r"[\x00-\x1f]", lambda match: json.dumps(match[0])[1:-1], content)
    return f'"{escaped}"'


def _drop_comments(tokens: list[Token]) -> list[Token]:
    return [token for token in tokens if token.kind != "comment"]


def _tuples_to_lists(tokens: list[Token]) -> list[Token]:
    """Make lists of Python's tuples, and take a single string out of its parentheses: `("a", "b")`, `((1, 2), ())`.

    `(1,200)` is one negative number of an account and stays, as parentheses inside of words do.
    """
    parts = [part for token in tokens for part in _parentheses(token)]
    open_groups: list[_Group] = []
    changed = False
    for at, part in enumerate(parts):
        if part.kind == "space":
            continue
        if part.kind in ("mark", "parenthesis") and part.text in _OPENERS:
            if open_groups and open_groups[-1].opener == _OPENERS[part.text]:
                group = open_groups.pop()
                ends = group.ends if part == _CLOSED and _stands_alone(parts, group.start, at) else None
                if ends is not None:
                    parts[group.start], parts[at] = ends
                    changed = True
            continue
        if open_groups:
            open_groups[-1].add(part, parts[at + 1] if at + 1 < len(parts) else _CLOSED)
        if part.kind in ("mark", "parenthesis") and part.text in _OPENERS.values():
            open_groups.append(_Group(at, part.text))
    words = [Token("word", part.text) if part.kind == "parenthesis" else part for part in parts if part.text]
    return words if changed else tokens


_OPENERS = {")": "(", "]": "[", "}": "{"}


@dataclass
class _Group:
    """What stands in open brackets of any kind so far, a group inside of them counting as its opener."""

    start: int
    opener: str
    solid: int = 0
    has_comma: bool = False
    begins_with_string: bool = False

    def add(self, part: Token, following: Token) -> None:
        self.solid += 1
        self.has_comma = self.has_comma or (part.text == "," and following.kind != "word")
        self.begins_with_string = self.begins_with_string or (self.solid == 1 and part.kind == "string")

    @property
    def ends(self) -> tuple[Token, Token] | None:
        """What stands for parentheses around it: brackets, nothing, or None where they stay."""
        if self.has_comma or not self.solid:
            return Token("mark", "["), Token("mark", "]")
        return (Token("space", ""), Token("space", "")) if self.solid == 1 and self.begins_with_string else None


_OPENED, _CLOSED = Token("parenthesis", "("), Token("parenthesis", ")")


def _parentheses(token: Token) -> Iterator[Token]:
    """Yield a word in three: the parentheses that it begins with, the rest, those that it ends with."""
    match = re.fullmatch(r"(\(*)([^()]*)(\)*)", token.text) if token.kind == "word" else None
    if match is None:
        yield token
        return
    yield from [_OPENED] * len(match[1])
    yield from [Token("word", match[2])] if match[2] else []
    yield from [_CLOSED] * len(match[3])


def _stands_alone(parts: list[Token], start: int, end: int) -> bool:
    """Tell whether a range of tokens is a whole value: between marks or the edges of the text."""
    before, after = start - 1, end + 1
    while before >= 0 and parts[before].kind == "space":
        before -= 1
    while after < len(parts) and parts[after].kind == "space":
        after += 1
    around = [parts[at] for at in (before, after) if 0 <= at < len(parts)]
    return all(part.kind in ("mark", "parenthesis") for part in around)


_ASCII_MARKS = str.maketrans("，：、；;｛｝［］", ",:,,,{}[]")


def _to_ascii_marks(tokens: list[Token]) -> list[Token]:
    """Replace full-width and Chinese punctuation between values by JSON's."""
    return [Token("mark", token.text.translate(_ASCII_MARKS)) if token.kind == "mark" else token for token in tokens]


def _to_double_quotes(tokens: list[Token]) -> list[Token]:
    return [_double_quoted(token.text) if token.kind == "quoted" else token for token in tokens]


def _double_quoted(text: str) -> Token:
    content = text[1:-1].replace("\\'", "'") if text[0] == "'" else text[1:-1]
    return Token("string", _as_string(content))


def _to_json_literals(tokens: list[Token]) -> list[Token]:
    return [Token("word", json_literal(token.text)) if token.kind == "word" else token for token in tokens]


def _quote_words(tokens: list[Token]) -> list[Token]:
    """Quote keys and values that have no quotes, with the white space inside them (`{姓名: 张 三}`)."""
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
    """Make one string of a run of words, unless it is a literal or number, or spans lines, as one value never does."""
    text = "".join(token.text for token in run)
    word = text.rstrip()
    if not word or "\n" in word or load(word):
        return run
    return [Token("string", json.dumps(word, ensure_ascii=False)), Token("space", text[len(word) :])]


def _insert_separators(tokens: list[Token]) -> list[Token]:
    """Put a colon between a key and its value, and a comma behind a bracket, where there is nothing.

    A string that follows a value is left alone: it may be one of the quotes inside of it.
    """
    result: list[Token] = []
    solid = [token for token in tokens if token.kind != "space"]
    objects: list[bool] = []  # of the open brackets, whether each is of an object
    before, key = Token("", ""), False
    following = iter([*solid[1:], Token("end", "")])
    for token in tokens:
        if token.kind == "space":
            result.append(token)
            continue
        after = next(following)
        if key and before.kind == "string" and _begins_value(token, after):
            result.append(_COLON)
        elif before.text in ("}", "]") and (token.kind == "string" or token.text in ("{", "[")):
            result.append(Token("mark", ","))
            key = bool(objects and objects[-1])
        result.append(token)
        if token.kind == "mark":
            if token.text in ("{", "["):
                objects.append(token.text == "{")
            elif token.text in ("}", "]"):
                del objects[-1:]
            key = token.text in ("{", ",") and bool(objects and objects[-1])
        elif before.kind == "string":
            key = False
        before = token
    return result


_COLON = Token("mark", ":")


def _begins_value(token: Token, after: Token) -> bool:
    """Tell whether what stands behind a key without a colon is its value: a bracket, or the last of the member."""
    if token.kind == "mark":
        return token.text in ("{", "[")
    whole = token.kind == "string" or (token.kind == "word" and load(token.text) is not None)
    return whole and after.text in (",", "}")


_ELLIPSIS = re.compile(r"\.{3,}|…+")


def _drop_ellipses(tokens: list[Token]) -> list[Token]:
    """Drop dots that stand for further items or members (`["a", ...]`): they say nothing."""
    solid = [token for token in tokens if token.kind != "space"]
    around = zip([Token("", ""), *solid], solid, [*solid[1:], Token("", "")], strict=False)
    dropped = {
        id(token)
        for before, token, after in around
        if _ELLIPSIS.fullmatch(token.text) and before.text in ("[", "{", ",") and after.text in ("]", "}", ",")
    }
    return [token for token in tokens if id(token) not in dropped]


def _drop_commas(tokens: list[Token]) -> list[Token]:
    """Drop commas before a closing bracket or the end, after an opening one, or after another comma."""
    result: list[Token] = []  # backwards
    following = Token("mark", "}")  # the next token in the text that is not space; the end counts as a bracket
    for token in reversed(tokens):
        if token.text == "," and following.kind == "mark" and following.text in "}],":
            continue
        if token.kind == "mark" and token.text in "{[":
            while result and (result[-1].kind == "space" or result[-1] == Token("mark", ",")):
                result.pop()
        result.append(token)
        following = token if token.kind != "space" else following
    return result[::-1]


def _close(tokens: list[Token]) -> list[Token]:
    """End what the text leaves open: a string, a key without a value, brackets."""
    tokens = _close_string(tokens)
    brackets = _missing_brackets(tokens)
    if not brackets:
        return tokens
    return [*_drop_dangling_key(tokens, brackets[-1]), *(Token("mark", bracket) for bracket in reversed(brackets))]


def _close_string(tokens: list[Token]) -> list[Token]:
    """End an open string, unless another member seems to begin in it: then its quote is missing in the middle.

    Where the text ends in the brackets that are missing, several or set off from the value, the quote is missing before
    them. A string of which nothing was written is none.
    """
    if not tokens or tokens[-1].kind != "open" or tokens[-1].text[0] == "/":
        return tokens
    text = _HALF_ESCAPE.sub(r"\1", tokens[-1].text.rstrip())
    if _LOOKS_LIKE_MEMBER.search(text):
        return tokens
    brackets = _missing_brackets(tokens)[::-1]
    closed = re.search(r"\s*+".join(["", *map(re.escape, brackets)]) + r"[\s`]*+\Z", text) if brackets else None
    if closed and len(closed[0]) == 1:  # one bracket alone may be the value's
        closed = None
    if closed:
        text = text[: closed.start()]
    string = [_double_quoted(text + text[0])] if len(text) > 1 or closed else []
    return [*tokens[:-1], *string, *(Token("mark", bracket) for bracket in brackets if closed)]


_HALF_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*+)\\(?:u[0-9A-Fa-f]{0,3})?$")
_LOOKS_LIKE_MEMBER = re.compile(r"""[,，]\s*+["']?\w++["']?\s*+[:：]""")


def _missing_brackets(tokens: list[Token]) -> list[str]:
    """List the closing brackets that are missing at the end, the outermost first."""
    closers = {"{": "}", "[": "]"}
    stack: list[str] = []
    for token in tokens:
        if token.kind == "mark" and token.text in closers:
            stack.append(closers[token.text])
        elif token.kind == "mark" and stack and token.text == stack[-1]:
            stack.pop()
    return stack


def _drop_dangling_key(tokens: list[Token], closer: str) -> list[Token]:
    """Drop, at the end of an open object, a key for which no value was written, and the comma before it.

    A string after `{` or a comma is taken for a key, never for half of a value: what it would have become is unknown.
    """
    solid = [index for index, token in enumerate(tokens) if token.kind != "space"]
    texts = [tokens[index].text for index in solid]
    kept = len(texts)
    if closer == "}" and texts[-1] == ":":
        kept -= 2
    elif closer == "}" and tokens[solid[-1]].kind == "string" and texts[-2] in "{,":
        kept -= 1
    kept -= kept > 0 and texts[kept - 1] == ","
    return tokens[: solid[kept - 1] + 1] if kept > 0 else []


# The order matters. The names are what `provenance.parsed` of a record shows: stable.
_REPAIRS: dict[str, Repair] = {
    # Inside strings, where JSON's quotes are in place: needs no other repair.
    "line-breaks": _escape_controls,
    # Before words are joined to values: a comment between two of them is not part of either.
    "comments": _drop_comments,
    # Before commas and cut-off, which look at ASCII marks only.
    "punctuation": _to_ascii_marks,
    # Before cut-off, which knows a key by its being a string.
    "quotes": _to_double_quotes,
    # Before words are quoted, and behind quotes, since a tuple holds strings as a rule.
    "tuples": _tuples_to_lists,
    # Before words are quoted: else None would become "None", a value that was not meant.
    "literals": _to_json_literals,
    # Before words are quoted: else dots would become an item.
    "ellipses": _drop_ellipses,
    "unquoted": _quote_words,
    "separators": _insert_separators,
    "commas": _drop_commas,
    # Last, because it alone drops something that was said: half a key. `extract_json` counts it as lossy.
    "cut-off": _close,
}
