"""LLaMA-Factory, its layout sharegpt: turns under `conversations`; `messages` as OpenAI has them are read as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from extractor.annotation_formats._support.annotated_text import AnnotatedText, Notes
from extractor.annotation_formats._support.files import AnnotationFile
from extractor.annotation_formats._support.json_list import json_list
from extractor.annotation_formats._support.options import WriteOptions
from extractor.annotation_formats._support.sft import Turn, read_turns, turn, write_turns
from extractor.data import Json
from extractor.errors import InputError

NAME = "llama-factory-sharegpt"
TITLE = "the same, sharegpt: conversations (messages of OpenAI are read)"
SUFFIXES = ()

TURNS = ("conversations", "messages")
USER, ANSWER = ("human", "user"), ("gpt", "assistant")


def recognises(file: AnnotationFile) -> bool:
    """Tell whether the first row is a conversation."""
    first = file.first_object
    found = next((first[key] for key in TURNS if isinstance(first.get(key), list)), None)
    return bool(found) and all(isinstance(each, dict) and ("from" in each or "role" in each) for each in found or ())


def read(file: AnnotationFile, notes: Notes) -> Iterator[AnnotatedText]:
    """Yield the documents: the last question of each conversation. Earlier rounds are left out."""
    found: list[tuple[str, Turn]] = []
    for where, row in file.objects():
        try:
            found.append((where, _last(row, notes)))
        except (KeyError, TypeError, ValueError, IndexError, OverflowError, StopIteration) as error:
            shape = "`conversations` of `from` and `value`, the last two by human and gpt"
            raise InputError(
                f"{where} is not a question ({type(error).__name__}: {error}). One has {shape}."
            ) from error
    yield from read_turns(found, file.name, notes)


def _last(row: Mapping[str, Json], notes: Notes) -> Turn:
    turns = [_said(each) for each in next(row[key] for key in TURNS if key in row)]
    (asker, user), (answerer, answer) = turns[-2:]
    if asker not in USER or answerer not in ANSWER:
        raise ValueError(f"the last turns are those of {asker} and {answerer}")
    notes.add("earlier rounds of a conversation, left out", sum(role in USER for role, _ in turns[:-2]))
    return turn(row, user, answer)


def _said(each: Mapping[str, Json]) -> tuple[str, Json]:
    return (each["from"], each["value"]) if "from" in each else (each["role"], each["content"])


def write(items: Iterable[AnnotatedText], options: WriteOptions) -> Iterator[bytes]:
    """Yield a list of conversations of one round."""
    return json_list(
        {
            "conversations": [{"from": "human", "value": each.user}, {"from": "gpt", "value": each.answer}],
            "system": each.system,
            **each.keys(),
        }
        for each in write_turns(items, options)
    )
