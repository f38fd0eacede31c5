"""Documents that LibreOffice converts, where it is installed, for the reader of the format that they become.

It runs in a profile of its own, without macros and without what a document links to, and ends with the time limit.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from extractor.data import Document, FailedDocument
from extractor.readers._support import supervised
from extractor.readers._support.files import File, ReadOptions, read_bytes, too_large
from extractor.readers._support.limits import ReadError
from extractor.readers._support.office_password import is_encrypted, unlocked

PROGRAMS = ("soffice", "libreoffice")
SHARE = 0.75
"""Of the time that a document may take, for its conversion."""
LONGEST_NAME = 200
"""In bytes, so that there is room for the suffix of what it becomes."""
LAST_WORDS = 200
"""Of what the program said, in bytes."""
SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Common/Security/Scripting">
<prop oor:name="DisableMacrosExecution" oor:op="fuse"><value>true</value></prop>
<prop oor:name="DisableActiveContent" oor:op="fuse"><value>true</value></prop>
<prop oor:name="BlockUntrustedRefererLinks" oor:op="fuse"><value>true</value></prop>
</item>
</oor:items>
"""
Read = Callable[[File, ReadOptions], Iterator[Document]]


def read_as(suffix: str, read: Read, file: File, options: ReadOptions) -> Iterator[Document | FailedDocument]:
    """Yield the documents of a file that is converted to the format of a suffix, with the hash of the file as it is.

    Raises OSError where it cannot be opened, ReadError where it cannot be converted.
    """
    data = read_bytes(file, options.max_bytes)
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        message = (
            f"reading it needs LibreOffice, and there is no soffice on the PATH: install it, or save it as {suffix}"
        )
        raise ReadError("extra", message)
    digest = sha256(data).hexdigest()
    if is_encrypted(data):
        data = unlocked(data, options.password)
    converted = _converted(program, data, _name(file, suffix), suffix, options)
    for document in read(replace(file, open=lambda: _stream(converted)), options):
        yield replace(document, source=replace(document.source, sha256=digest))


def _name(file: File, suffix: str) -> str:
    """Return the file's own name, which fields of a document show, if it can be one on any disk."""
    name = os.path.basename(file.path)
    is_usual = file.suffix and name.isprintable() and len(os.fsencode(name)) <= LONGEST_NAME
    return name if is_usual else f"document{file.suffix or suffix}"


def _stream(data: bytes) -> BinaryIO:
    return io.BytesIO(data)


def _converted(program: str, data: bytes, file_name: str, wanted: str, options: ReadOptions) -> bytes:
    with tempfile.TemporaryDirectory(prefix="extractor-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        settings = folder / "profile" / "user" / "registrymodifications.xcu"
        settings.parent.mkdir(parents=True)
        settings.write_text(SETTINGS)
        source = folder / "in" / file_name
        source.parent.mkdir()
        source.write_bytes(data)
        _run(program, folder, source, wanted.removeprefix("."), options.timeout * SHARE)
        made = folder / "out" / f"{source.stem}{wanted}"
        if not made.is_file():
            raise ReadError("damaged", f"LibreOffice cannot open it: repair it, or save it as {wanted}")
        if made.stat().st_size > options.max_bytes:
            raise ReadError("too-large", too_large(f"the document, converted to {wanted},", options.max_bytes))
        return made.read_bytes()


def _run(program: str, folder: Path, source: Path, wanted: str, seconds: float) -> None:
    """Run a conversion. Raises ReadError for one that takes too long or fails."""
    profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    quiet = ("--headless", "--norestore", "--nolockcheck", "--nodefault", "--nofirststartwizard")
    convert = ("--convert-to", wanted, "--outdir", str(folder / "out"), str(source))
    supervisor = (sys.executable, "-I", supervised.__file__, f"{seconds:g}", str(folder))
    with (folder / "said").open("w+b") as said:
        process = subprocess.Popen(
            [*supervisor, program, profile, *quiet, *convert],
            stdin=subprocess.PIPE,  # open as long as this process lives
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=folder,
            preexec_fn=_lift_limit_of_files,
        )
        with process:
            code = process.wait()
        said.seek(max(0, said.seek(0, os.SEEK_END) - LAST_WORDS))
        words = " ".join(said.read().decode("utf-8", "replace").split())
    if code == supervised.TIMED_OUT:
        raise ReadError(
            "timeout", f"not converted within {seconds:g} seconds: look at the file, or raise --read-timeout"
        )
    if code:
        raise ReadError("damaged", f"LibreOffice fails on it (exit code {code}: {words or 'it says nothing'})")


def _lift_limit_of_files() -> None:
    """Allow files of any size again, which the processes that read documents do not write."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
