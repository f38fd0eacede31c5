"""ZIP archives: every file in one is read as its own document, `archive.zip/folder/name`, straight from the archive.

Names that were written before ZIP knew Unicode are in the encoding of some system, which is detected as that of a text.
"""

from __future__ import annotations

import functools
import io
import itertools
import posixpath
import zipfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from extractor.encodings.detect import Decoded, decode
from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.junk import is_junk
from extractor.readers._support.limits import DAMAGE, Bomb, Budget, ReadError, damaged, unpacking
from extractor.readers._support.signatures import ZIP, Magic
from extractor.readers._support.unique_names import UniqueNames

SUFFIXES = (".zip",)
NAME = "a ZIP archive"
SIGNATURES = tuple(Magic(prefix) for prefix in ZIP)
ISOLATED = True
UNICODE, ENCRYPTED = 0x800, 0x1  # flags of a member, section 4.4.4 of PKWARE's APPNOTE
AES = 99


def read(file: File, options: ReadOptions) -> Iterator[File]:
    """Yield the files in the archive. Raises OSError where it cannot be opened, ReadError otherwise."""
    budget = file.budget or Budget(options.max_bytes)
    with _stream(file, options) as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except (*DAMAGE, NotImplementedError, ValueError) as error:
            raise damaged("ZIP archive", error) from error
        with archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            budget.enter(len(members))
            if _overlap(members):
                raise Bomb("files in the archive lie over one another")
            yield from _files(file, archive, members, budget, options.password)


def _stream(file: File, options: ReadOptions) -> BinaryIO:
    """Open the archive; one inside another one is unpacked first, because reading a ZIP seeks back and forth."""
    return file.open() if file.depth == 0 else io.BytesIO(read_bytes(file, options.max_bytes))


def _files(
    file: File, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], budget: Budget, password: str | None
) -> Iterator[File]:
    names, found = UniqueNames(), False
    for member in members:
        path = _path(member)
        if not any(map(is_junk, path.split("/"))):
            found = True
            yield file.inside(names.new(path), functools.partial(_open, archive, member, budget, password), budget)
    if not found:
        raise ReadError("empty", "no files: the archive is empty")


def _overlap(members: list[zipfile.ZipInfo]) -> bool:
    """Tell whether bytes of the archive belong to several members, as nothing writes it but what multiplies data."""
    ranges = sorted((member.header_offset, member.compress_size) for member in members)
    return any(start + size > following for (start, size), (following, _) in itertools.pairwise(ranges))


def _path(member: zipfile.ZipInfo) -> str:
    """Return the path of a member, which cannot lead out of the archive."""
    name = member.filename
    if not member.flag_bits & UNICODE and not name.isascii():
        found = decode(name.encode("cp437"))  # back to the bytes: without the flag, zipfile reads names as cp437
        name = found.text if isinstance(found, Decoded) else name
    return posixpath.normpath(posixpath.join("/", name.replace("\\", "/"))).lstrip("/") or "unnamed"


def _open(archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: Budget, password: str | None) -> BinaryIO:
    """Open a member for reading, counted. Raises ReadError."""
    try:
        stream = archive.open(member, pwd=password.encode() if password is not None else None)
    except NotImplementedError as error:
        if member.compress_type == AES:
            raise ReadError("locked", "encrypted with AES, which is not read here: unpack the archive first") from error
        raise ReadError("unsupported", f"{error}: unpack the archive first") from error
    except RuntimeError as error:  # what zipfile raises without a password, and for a wrong one
        what = "the password does not open it" if password is not None else "a password is needed"
        raise ReadError("locked", f"encrypted, {what}: give the right one with --password") from error
    except (*DAMAGE, ValueError, OSError) as error:  # such as an offset before the beginning of the file
        raise damaged("ZIP archive", error) from error
    return unpacking(cast(BinaryIO, stream), lambda: member.compress_size, budget)
