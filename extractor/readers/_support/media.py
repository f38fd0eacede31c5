"""Attachments that hold no text to read, pictures and recordings: a note names them once, instead of a failure each."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from typing import Protocol, TypeVar

from extractor.readers._support import ocr
from extractor.readers._support.files import ReadOptions
from extractor.readers._support.notes import counted, left_out

PICTURE = "picture"
KINDS = {"image": PICTURE, "audio": "recording", "video": "video", "font": "font"}
DRAWING = "image/svg+xml"


def kind_of(name: str, media_type: str) -> str:
    """Return what a note calls an attachment; empty for one that may be read. Its name counts more than its type."""
    by_name = mimetypes.guess_type(name)[0] or media_type.lower()
    return "drawing" if by_name == DRAWING else KINDS.get(by_name.partition("/")[0], "")


class Attachment(Protocol):
    """What a note says of an attachment. One that is no document belongs to the text, as a picture in it does."""

    @property
    def name(self) -> str: ...
    @property
    def medium(self) -> str: ...
    @property
    def is_document(self) -> bool: ...


A = TypeVar("A", bound=Attachment)


def unread(attached: Sequence[A], options: ReadOptions) -> list[A]:
    """Return the attachments that hold no text to read: pictures are read where OCR is on."""
    pictures_are_read = ocr.is_on(options)
    return [
        each
        for each in attached
        if each.medium and not (each.is_document and each.medium == PICTURE and pictures_are_read)
    ]


def notes(unread: Sequence[Attachment], options: ReadOptions) -> tuple[str, ...]:
    """Return the note on attachments that are not read, and what to do to have pictures read."""
    named: dict[str, list[str]] = {}
    for each in unread:
        named.setdefault(each.medium, []).append(each.name)
    advice = f"; {ocr.advice(options)}" if PICTURE in named and not ocr.is_on(options) else ""
    return tuple(
        f"{note}{advice}" for note in left_out(*(counted(len(each), kind, each) for kind, each in named.items()))
    )
