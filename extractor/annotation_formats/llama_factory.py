"""LLaMA-Factory, its layout alpaca: `instruction`, `input`, `output`, `system`, `history` of each question.

The entry of `dataset_info.json` needs the column `system` where the prompt has a system turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from extractor.annotation_formats._support.annotated_text import AnnotatedText, Notes
from extractor.annotation_formats._support.files import AnnotationFile
from extractor.annotation_formats._support.json_list import json_list
from extractor.annotation_formats._support.options import WriteOptions
from extractor.annotation_formats._support.sft import Turn, read_turns, turn, write_turns
from extractor.errors import InputError

NAME = "llama-factory"
TITLE = "LLaMA-Factory SFT JSON, alpaca: the prompts of a run with the right answers (needs -s to write)"
SUFFIXES = ()


def recognises(file: AnnotationFile) -> bool:
    """Tell whether the first row is a question of this layout."""
    return {"instruction", "output"} <= file.first_object.keys()


def read(file: AnnotationFile, notes: Notes) -> Iterator[AnnotatedText]:
    """Yield the documents. Earlier rounds of a conversation are left out."""
    found: list[tuple[str, Turn]] = []
    for where, row in file.objects():
        notes.add("earlier rounds of a conversation, left out", len(row.get("history") or ()))
        try:
            found.append((where, turn(row, row["instruction"], row["output"], row.get("input"))))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            shape = "`instruction` and `output`, and the document in either that or `input`"
            raise InputError(
                f"{where} is not a question ({type(error).__name__}: {error}). One has {shape}."
            ) from error
    yield from read_turns(found, file.name, notes)


def write(items: Iterable[AnnotatedText], options: WriteOptions) -> Iterator[bytes]:
    """Yield a list of questions: the whole prompt is the instruction, as LLaMA-Factory joins the two anyway."""
    return json_list(
        {"instruction": each.user, "input": "", "output": each.answer, "system": each.system, "history": []}
        | each.keys()
        for each in write_turns(items, options)
    )
