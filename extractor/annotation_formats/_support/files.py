"""A file of annotations on this machine, read under a limit; what cannot be read is an InputError that names it."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from extractor.data import Json
from extractor.encodings.detect import Undecodable, decode, sniff
from extractor.errors import InputError, OutputError
from extractor.readers._support.files import too_large
from extractor.storage import json_lines
from extractor.storage.compression import codec_of

HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class AnnotationFile:
    """A file, or a folder, at `path`; `name` is what the user called it, for messages and ids."""

    path: str
    name: str
    max_bytes: int

    @property
    def is_folder(self) -> bool:
        return os.path.isdir(self.path)

    @cached_property
    def head(self) -> bytes:
        """The first bytes, unpacked."""
        return self._read(HEAD_BYTES)

    @cached_property
    def data(self) -> bytes:
        """All bytes, unpacked. Raises InputError where there are more than the limit."""
        data = self._read(self.max_bytes + 1)
        if len(data) > self.max_bytes:
            raise InputError(f"{self.name}: {too_large('the file', self.max_bytes)}.")
        return data

    def _read(self, limit: int) -> bytes:
        try:
            with codec_of(self.path).open(self.path) as lines:
                return lines.read(limit)
        except OSError as error:
            raise InputError(f"{self.name} cannot be read: {error.strerror or error}.") from error
        except OutputError as error:  # a codec tells those who write what to do
            raise InputError(
                f"{self.name} is damaged, or not compressed as its suffix says ({error.__cause__})."
            ) from error

    @cached_property
    def head_text(self) -> str:
        """The first bytes as text; empty where they are none."""
        with contextlib.suppress(UnicodeDecodeError):
            return codecs.getincrementaldecoder("utf-8-sig")().decode(self.head)
        found = sniff(self.head)
        return "" if isinstance(found, Undecodable) else found.text

    @cached_property
    def text(self) -> str:
        """All of it as text: UTF-8 where it can be, else whatever encoding. Raises InputError where none is clear."""
        with contextlib.suppress(UnicodeDecodeError):
            return self.data.decode("utf-8-sig")
        found = decode(self.data)
        if isinstance(found, Undecodable):
            raise InputError(f"{self.name}: {found.message}.")
        return found.text

    @property
    def is_json_list(self) -> bool:
        return self.head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["

    @cached_property
    def json(self) -> Json:
        """The one JSON value of the file. Raises InputError for anything else."""
        try:
            return json.loads(self.data.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise InputError(f"{self.name} is not UTF-8 (byte {error.start}). JSON is; convert it.") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.name} is not JSON: {error}.") from error

    @cached_property
    def first_object(self) -> dict[str, Json]:
        """The first object of a JSON list or of JSON Lines; an empty one where the file does not begin with any."""
        start = self.head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        if start not in (b"[", b"{"):
            return {}
        return next((row for _, row in self.objects()), {})

    def objects(self) -> Iterator[tuple[str, dict[str, Json]]]:
        """Yield the objects of a JSON list or of JSON Lines, each with its place. Raises InputError."""
        if not self.is_json_list:
            yield from self._lines()
            return
        for number, item in enumerate(self.json, 1):
            if not isinstance(item, dict):
                raise InputError(f"{self.name} item {number} is not a JSON object.")
            yield f"{self.name} item {number}", item

    def _lines(self) -> Iterator[tuple[str, dict[str, Json]]]:
        try:
            with codec_of(self.path).open(self.path) as lines:
                for number, row in json_lines.read_rows(lines, self.name):
                    if row is None:
                        raise InputError(f"{self.name} line {number} is torn: the file ends in the middle of it.")
                    yield f"{self.name} line {number}", row
        except OSError as error:
            raise InputError(f"{self.name} cannot be read: {error.strerror or error}.") from error

    def row_id(self, number: int) -> str:
        """Return the id of a row that has none of its own."""
        return f"{os.path.basename(self.name)}#{number}"
