"""CoNLL: a token a line with its tag in the last column, blank lines between sentences, `-DOCSTART-` between documents.

All schemes of tags are read: IOB1, BIO, BIOES, BILOU, BMES; BIO is written, in the four columns of CoNLL-2003. A file
holds tokens, not a text: it is put together with a space between tokens, and none beside Chinese or Japanese, nor where
all tokens are characters; sentences are lines. Without `-DOCSTART-` each sentence is a document. Documents have numbers
for ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from extractor.annotation_formats._support.annotated_text import (
    AnnotatedText,
    Mention,
    Notes,
    annotated,
    mentions,
    without_overlaps,
)
from extractor.annotation_formats._support.files import HEAD_BYTES, AnnotationFile
from extractor.annotation_formats._support.options import WriteOptions
from extractor.annotation_formats._support.tokens import Joined, are_characters, joined, tokens
from extractor.data import Span
from extractor.errors import InputError

NAME = "conll"
TITLE = "CoNLL columns with BIO tags (IOB1, BIOES, BILOU, BMES are read)"
SUFFIXES = (".conll", ".bio", ".iob")

DOCUMENT = "-DOCSTART-"
TAG = re.compile(r"([BIMELSU])[-_](.+)|O", re.DOTALL)
POSITIONED = re.compile(r"(\S{1,2}?)\d(?=\s)")
CONTINUE, END = "IMEL", "ELSU"
"""Prefixes of tags that go on with a mention of their type, and those that end one."""
LOOKED_AT = 200
"""Lines that are looked at to recognise the format."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    prefix: str
    type: str


def recognises(file: AnnotationFile) -> bool:
    """Tell whether each of the first lines that are not blank ends with a tag."""
    whole = _lines(file.head_text)[: -1 if len(file.head) == HEAD_BYTES else None]  # the last one may be cut
    lines = [line for line in whole[:LOOKED_AT] if line.strip()]
    return bool(lines) and all(line.startswith(DOCUMENT) or _token(line) for line in lines)


def read(file: AnnotationFile, notes: Notes) -> Iterator[AnnotatedText]:
    """Yield the documents, put together."""
    documents = list(_documents(file))
    spaces = not are_characters({token.text for _, sentences in documents for each in sentences for token in each})
    for number, (line, sentences) in enumerate(documents, 1):
        texts, found, length = [], [], 0
        for sentence in sentences:
            words = joined([token.text for token in sentence], spaces=spaces)
            found += [Mention(type, (start + length, end + length)) for type, (start, end) in _ranges(sentence, words)]
            texts.append(words.text)
            length += len(words.text) + 1
        yield annotated(file.row_id(number), "\n".join(texts), found, None, f"{file.name} line {line}")


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n")


def _token(line: str) -> _Token | None:
    columns = line.split("\t") if "\t" in line else line.split()
    tag = TAG.fullmatch(columns[-1].strip())
    if len(columns) < 2 or not columns[0] or tag is None:
        return None
    return _Token(columns[0], tag[1] or "O", tag[2] or "")


def _documents(file: AnnotationFile) -> Iterator[tuple[int, list[list[_Token]]]]:
    """Yield the sentences of each document, with the number of its first line."""
    lines = _without_positions(_lines(file.text))
    marked = any(line.startswith(DOCUMENT) for line in lines)
    first = 1
    sentences: list[list[_Token]] = [[]]
    for number, line in enumerate([*lines, DOCUMENT], 1):
        if line.startswith(DOCUMENT) or not (marked or line.strip()):
            if found := [sentence for sentence in sentences if sentence]:
                yield first, found
            first, sentences = number + 1, [[]]
        elif not line.strip():
            sentences.append([])
        elif (token := _token(line)) is None:
            raise InputError(
                f"{file.name} line {number} has no token, or no tag such as O or B-PER in its last column."
            )
        else:
            sentences[-1].append(token)


def _without_positions(lines: list[str]) -> list[str]:
    """Return lines without the place in its word that each character has in some Chinese corpora: `科0`, `技1`."""
    tokens = [line for line in lines if line.strip() and not line.startswith(DOCUMENT)]
    if len(tokens) < 2 or not all(POSITIONED.match(line) for line in tokens):
        return lines
    return [line if line.startswith(DOCUMENT) else POSITIONED.sub(r"\1", line, count=1) for line in lines]


def _ranges(sentence: Sequence[_Token], words: Joined) -> Iterator[tuple[str, Span]]:
    """Yield the mentions of a sentence, whatever the scheme of its tags."""
    open_type, begin, end = "", 0, 0
    for token, start in zip(sentence, words.starts, strict=True):
        goes_on = token.prefix in CONTINUE and token.type == open_type
        if open_type and not goes_on:
            yield open_type, (begin, end)
        if not goes_on:
            open_type, begin = token.type, start
        end = start + len(token.text)
        if token.prefix in END and open_type:
            yield open_type, (begin, end)
            open_type = ""
    if open_type:
        yield open_type, (begin, end)


def write(items: Iterable[AnnotatedText], options: WriteOptions) -> Iterator[bytes]:
    """Yield the documents, a line of text for each sentence. White space and ids are not kept."""
    for item in items:
        found = without_overlaps(mentions(item, options.notes), options.notes)
        options.notes.add("ids and white space, which CoNLL does not hold", 1)
        lines = "".join(_written(item.text or "", found, options.notes))
        yield f"{DOCUMENT} -X- O O\n\n{lines.strip(chr(10))}\n\n".encode()


def _written(text: str, found: Sequence[Mention], notes: Notes) -> Iterator[str]:
    """Yield a line for each token, and a blank one where a line of the text ends outside of any mention."""
    types = {at: each.type for each in found for at in range(*each.span)}
    begins = {each.span[0] for each in found}
    before = 0
    for start, end in tokens(text, {at for each in found for at in each.span}):
        if "\n" in text[before:start] and (start in begins or start not in types):
            yield "\n"
        type = types.get(start, "")
        tag = f"{'B' if start in begins else 'I'}-{_one_word(type, notes)}" if type else "O"
        yield f"{text[start:end]} -X- _ {tag}\n"
        before = end


def _one_word(type: str, notes: Notes) -> str:
    word = "_".join(type.split()) or "_"
    notes.add("labels with white space, which is _ in CoNLL", word != type)
    return word
