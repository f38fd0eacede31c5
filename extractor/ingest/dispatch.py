"""One file to documents: which format it is, and what becomes of a file that is not what it says.

A text format is believed by its suffix, unless the content has a signature of another one; a format with a signature
must show it; a file of no known suffix is read by its content. Files inside a file are read in turn, in its place.
"""

from __future__ import annotations

import functools
import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Protocol, cast

from extractor import plugins, readers
from extractor.data import Document, FailedDocument
from extractor.errors import Problem
from extractor.ingest import sniffing
from extractor.ingest.sniffing import EMPTY, HTML, OLE, TEXT, Content
from extractor.readers import text
from extractor.readers._support.files import File, ReadOptions, hash_of, io_message
from extractor.readers._support.limits import NESTING, Bomb, ReadError

Item = Document | FailedDocument


class Reader(Protocol):
    """A format: the suffixes it is for (with the dot, in lower case) and how to read a file of it.

    `read` may raise OSError for a file that cannot be opened and ReadError for one that cannot be read; what a file
    holds inside it gives as a File. Heavy imports belong inside it. A module whose files hold many documents also has
    `count(file, options)`, about how many, for progress. One with ISOLATED = True is read in a process of its own.
    """

    SUFFIXES: tuple[str, ...]

    def read(self, file: File, options: ReadOptions) -> Iterator[Document | FailedDocument | File]: ...


@functools.cache
def formats() -> Mapping[str, Reader]:
    """All readers by suffix; those of this folder come before those of other packages."""
    modules = (import_module(f"{readers.__name__}.{found.name}") for found in pkgutil.iter_modules(readers.__path__))
    own = [cast(Reader, module) for module in modules if hasattr(module, "SUFFIXES")]
    others = [cast(Reader, plugin) for plugin in plugins.load_all("extractor.readers")]
    return {suffix: reader for reader in (*reversed(others), *own) for suffix in reader.SUFFIXES}


def is_isolated(file: File) -> bool:
    """Whether a file is to be read in a process of its own: all that goes through a parser, or is not what it seems."""
    if file.suffix in text.SUFFIXES:
        return False
    if getattr(formats().get(file.suffix), "ISOLATED", False):
        return True
    try:
        with file.open() as stream:
            content = sniffing.by_head(stream.read(sniffing.HEAD_BYTES))
    except OSError:
        return False
    return content is OLE or (content is not TEXT and content.suffix in formats())


def read(file: File, options: ReadOptions) -> Iterator[Item]:
    """The documents of a file, and of the files in it."""
    try:
        for item in _items(file, options):
            if isinstance(item, File):
                yield from read(item, options)
            else:
                yield item
    except Bomb as bomb:
        if file.depth:
            raise
        yield file.failed(bomb.problem, hash_of(file, options.max_bytes))
    except ReadError as failed:
        yield file.failed(failed.problem, hash_of(file, options.max_bytes))
    except ModuleNotFoundError as error:
        extra = "parquet" if error.name == "pyarrow" else "docs"
        message = f"reading it needs the package {error.name}: pip install 'chatglm3-extractor[{extra}]'"
        yield file.failed(Problem("extra", message), hash_of(file, options.max_bytes))
    except OSError as error:
        yield file.failed(Problem("io", io_message(error)))


def _items(file: File, options: ReadOptions) -> Iterator[Document | FailedDocument | File]:
    if file.depth > NESTING:
        raise ReadError("bomb", f"packed more than {NESTING} deep: unpack the archive yourself and give the folder")
    return _reader(file).read(file, options)


def _reader(file: File) -> Reader:
    """The reader for a file. Raises ReadError where its content and its suffix do not go together."""
    if file.suffix in text.SUFFIXES:
        return cast(Reader, text)
    content = sniffing.identify(file)
    by_suffix, by_content = formats().get(file.suffix), formats().get(content.suffix)
    if content is EMPTY:
        raise ReadError("empty", "no text: the file is empty (0 bytes)")
    if by_suffix is None and by_content is None:
        raise _no_reader(file, content)
    if by_suffix not in (None, by_content) and (_is_signed(by_suffix) or content is HTML):
        raise ReadError(
            "mislabelled", f"{file.suffix} by its name, but {content.name} by its content: {_advice(content)}"
        )
    return cast(Reader, by_suffix or by_content)


def _is_signed(reader: Reader | None) -> bool:
    """A format with a signature must show it (and no rows and no mail are HTML); other readers say themselves what is
    wrong with a file."""
    return reader is not None and not sniffing.SIGNED.isdisjoint(reader.SUFFIXES)


def _advice(content: Content) -> str:
    return f"rename it to {content.suffix}" if content.suffix in formats() else content.advice


def _no_reader(file: File, content: Content) -> ReadError:
    if content.code != "unsupported":
        return ReadError(content.code, f"{content.name}: {content.advice}")
    what = f"no reader for {file.suffix or 'files without a suffix'}, and it is not text but {content.name}"
    return ReadError("unsupported", f"{what}: {content.advice}; known: {' '.join(sorted(formats()))}")
