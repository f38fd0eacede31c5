"""Arguments to files: folders are walked in order of names, with the names of one folder in memory at a time.

Ids are short and stable. A file named on the command line has its name as id, a file in a folder its path from the
folder's name on (`inbox/0001.txt`); where two arguments would share a name, both take their path as given. An
argument inside another one is read once. Hidden files and the litter of file managers are skipped.
"""

from __future__ import annotations

import functools
import glob
import os
import stat
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from extractor.data import FailedDocument, Source
from extractor.errors import InputError, Problem
from extractor.ingest import remote
from extractor.readers._support.files import File, io_message, open_regular
from extractor.readers._support.junk import is_junk
from extractor.storage import addresses

STDIN = "-"
NOWHERE = (-1, -1)


@dataclass(frozen=True, slots=True)
class InputPath:
    """A file or folder: its id, its path for people (from where the run was started), and its path to open."""

    id: str
    path: str
    location: str

    def inside(self, name: str) -> InputPath:
        """Return what has a name in this folder."""
        shown = printable(name)
        return InputPath(f"{self.id}/{shown}", f"{self.path.rstrip('/')}/{shown}", os.path.join(self.location, name))


def printable(path: str) -> str:
    """Return a path with forward slashes, in which bytes that are not UTF-8 are escaped, so that it can be written."""
    return os.fsencode(path).decode("utf-8", "backslashreplace").replace(os.sep, "/")


def resolve(inputs: Sequence[str]) -> list[InputPath]:
    """Return what the arguments name, in their order. Raises InputError for one that names nothing."""
    paths = list(dict.fromkeys(path for argument in inputs for path in _expand(argument)))
    paths = _without_covered(paths)
    names = Counter(_name(path) for path in paths)
    return [_input_path(path, names[_name(path)] > 1) for path in paths]


def _expand(argument: str) -> list[str]:
    if addresses.is_address(argument):
        return remote.expand(argument)
    if argument == STDIN or os.path.lexists(
        argument
    ):  # a link to nothing fails as a document: a shell's * names it too
        return [argument]
    if not glob.has_magic(argument):
        raise InputError(f"There is no file or folder {argument!r}. Check the path, or use - for standard input.")
    found = sorted(path for path in glob.iglob(argument, recursive=True) if not is_junk(os.path.basename(path)))
    if not found:
        raise InputError(f"No file matches {argument!r}. Check the pattern; ** goes into folders.")
    return found


def _without_covered(paths: list[str]) -> list[str]:
    """Leave out what is in a folder that is named too, and what is named twice."""
    by_location = {_location(path): path for path in reversed(paths)}
    folders = {location for location in by_location if location != STDIN and os.path.isdir(location)}
    return [path for path in paths if by_location[_location(path)] == path and not _covered(_location(path), folders)]


def _covered(location: str, folders: set[str]) -> bool:
    if not folders or location == STDIN:
        return False
    while not is_junk(os.path.basename(location)) and os.path.dirname(location) != location:
        location = os.path.dirname(location)
        if location in folders:
            return True
    return False


def _location(path: str) -> str:
    return path if path == STDIN or addresses.is_address(path) else os.path.abspath(path)


def _name(path: str) -> str:
    return path if path == STDIN else os.path.basename(os.path.abspath(path))


def _input_path(path: str, clashes: bool) -> InputPath:
    as_given = path == STDIN or addresses.is_address(path)
    shown = printable(path if as_given else os.path.normpath(path))
    return InputPath(shown if clashes else printable(_name(path)), shown, path)


class Excluded:
    """Files that are not documents, whatever links lead to them: by their name in a folder, so that one which is yet
    to be written counts as well, and by device and inode."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._addresses = frozenset(path for path in paths if addresses.is_address(path))
        self._paths = [os.path.abspath(path) for path in paths if not addresses.is_address(path)]
        self._names = {(_identity(os.path.dirname(path)), os.path.basename(path)) for path in self._paths}
        self._basenames = {name for _, name in self._names}

    def __contains__(self, location: object) -> bool:
        """Tell whether a path or an address leads to one of them."""
        if addresses.is_address(str(location)):
            return location in self._addresses
        if not self._paths:
            return False
        folder, name = os.path.split(os.path.abspath(str(location)))
        if name in self._basenames and (_identity(folder), name) in self._names:
            return True
        if not _has_other_names(str(location)):
            return False
        identity = _identity(str(location))
        return identity != NOWHERE and identity in {_identity(path) for path in self._paths}


def files(path: InputPath, exclude: Container[str]) -> Iterator[File | FailedDocument]:
    """Yield the file itself, or all files in the folder; a folder that cannot be listed is a failure with its id."""
    if addresses.is_address(path.location):
        yield from remote.files(path.location, path.id, exclude)
        return
    if not os.path.isdir(path.location):
        if path.location not in exclude:
            yield _file(path)
        return
    # Depth first: for each open folder its entries and the identities of the folders above, which end loops of links.
    stack = [(_entries(path), frozenset({_identity(path.location)}))]
    while stack:
        entries, above = stack[-1]
        entry = next(entries, None)
        if entry is None:
            stack.pop()
        elif isinstance(entry, FailedDocument):
            yield entry
        elif entry.location in exclude:
            continue
        elif not os.path.isdir(entry.location):
            yield _file(entry)
        elif (identity := _identity(entry.location)) not in above:
            stack.append((_entries(entry), above | {identity}))


def _entries(folder: InputPath) -> Iterator[InputPath | FailedDocument]:
    try:
        names = sorted(os.listdir(folder.location))
    except OSError as error:
        message = f"the folder cannot be listed: {io_message(error)}"
        yield FailedDocument(f"{folder.id}/", Source(f"{folder.path}/", ""), Problem("io", message))
        return
    yield from (folder.inside(name) for name in names if not is_junk(name))


def _identity(location: str) -> tuple[int, int]:
    """Return what tells a folder from those above it, so that a link to one of them does not loop for ever."""
    try:
        status = os.stat(location)
    except OSError:
        return NOWHERE
    return status.st_dev, status.st_ino


def _has_other_names(location: str) -> bool:
    """Tell whether a file may be the same as one of another path: a link, or a file with several names."""
    try:
        status = os.lstat(location)
    except OSError:
        return False
    return stat.S_ISLNK(status.st_mode) or status.st_nlink > 1


def _file(path: InputPath) -> File:
    return File(path.id, path.path, functools.partial(open_regular, path.location), path.location)
