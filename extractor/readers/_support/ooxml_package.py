"""What Word and Excel files share: a ZIP of XML, checked before a library trusts it, or an encrypted one in OLE."""

from __future__ import annotations

import io
import posixpath
import re
import zipfile

from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.limits import DAMAGE, DOCUMENTS, ReadError, damaged
from extractor.readers._support.office_password import unlocked
from extractor.readers._support.signatures import OLE, OleStream
from extractor.readers._support.xml_tree import Element, parse
from extractor.readers._support.zip_package import check_sizes

XML = (".xml", ".rels")
PROLOG_BYTES = 4096
STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/")
USUAL = rb"http://schemas.openxmlformats.org/\1/2006/"
"""The namespaces of the strict and of the transitional edition (ISO/IEC 29500, parts 1 and 4)."""
NOT_OFFICE = "no Office program writes that, and it is how documents are made that fill the memory; leave it out"
ENCRYPTED = OleStream("EncryptedPackage")
"""What every encrypted one shows, whichever of them it is (section 2.3.4.4 of Microsoft's MS-OFFCRYPTO)."""


def package(file: File, options: ReadOptions) -> tuple[bytes, bytes]:
    """Return the bytes of a file and of its ZIP, which differ where it is encrypted.

    Raises OSError where it cannot be opened, ReadError where it is locked, damaged or unpacks to too much.
    """
    data = read_bytes(file, options.max_bytes)
    opened = unlocked(data, options.password) if data.startswith(OLE) else data
    try:
        _check(opened, DOCUMENTS * options.max_bytes)
    except (*DAMAGE, NotImplementedError, ValueError, OSError) as error:
        raise damaged("file", error) from error
    except RuntimeError as error:  # what zipfile raises for an encrypted member
        raise ReadError("locked", "an encrypted ZIP inside: save it unlocked") from error
    return data, opened


class Parts:
    """The XML parts of a package, called `what` in messages, by their relationships."""

    def __init__(self, archive: zipfile.ZipFile, what: str, is_deep: bool = False) -> None:
        self._archive = archive
        self._what = what
        self._is_deep = is_deep
        self._names = frozenset(archive.namelist())
        found = self.related("", "/officeDocument")
        if not found:
            raise damaged(what, "it does not say which part is the main one")
        self.main = found[0]

    def of(self, kind: str) -> list[Element]:
        """Return the parts of a kind (`header`, `footer`, ...) that the main part uses."""
        return [self.root(name) for name in sorted(self.related(self.main, f"/{kind}"))]

    def root(self, name: str) -> Element:
        """Parse a part. Raises ReadError where it is not well-formed."""
        return parse(self._archive.read(name), self._what, self._is_deep)

    def related(self, name: str, kind: str) -> list[str]:
        """Return the names of the parts to which a part (the package itself: "") has a relationship of a kind."""
        paths = [path for type, path in self._relations(name).values() if type.endswith(kind)]
        return [path for path in dict.fromkeys(paths) if path in self._names]

    def targets(self, name: str) -> dict[str, str]:
        """Return the parts to which a part has a relationship, by the id of that."""
        return {id: path for id, (_, path) in self._relations(name).items() if path in self._names}

    def links(self, name: str) -> dict[str, str]:
        """Return the targets outside of the package to which a part has a relationship, by the id of that."""
        external = (each for each in self._relation_elements(name) if each.get("TargetMode") == "External")
        return {each.get("Id", ""): each.get("Target", "") for each in external}

    def _relations(self, name: str) -> dict[str, tuple[str, str]]:
        found, folder = {}, posixpath.dirname(name)
        for each in self._relation_elements(name):
            path = posixpath.normpath(posixpath.join("/", folder, each.get("Target", ""))).lstrip("/")
            found[each.get("Id", "")] = each.get("Type", ""), path
        return found

    def _relation_elements(self, name: str) -> list[Element]:
        folder, base = posixpath.split(name)
        relations = posixpath.join(folder, "_rels", f"{base}.rels")
        return list(self.root(relations)) if relations in self._names else []


def transitional(data: bytes) -> bytes:
    """Return a ZIP whose namespaces are those that libraries know, whichever edition it is of."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        if "_rels/.rels" not in names or not STRICT.search(archive.read("_rels/.rels")):
            return data
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as rewritten:
            for name in dict.fromkeys(names):
                if name.endswith(XML):
                    rewritten.writestr(name, STRICT.sub(USUAL, archive.read(name)))
    return out.getvalue()


def _check(data: bytes, limit: int) -> None:
    """Read all XML once, for its checksums and its size: zipfile gives no more of a member than it declares."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_sizes(archive, len(data), limit)
        for member in archive.infolist():
            if member.filename.endswith(XML):
                with archive.open(member) as stream:
                    if b"<!DOCTYPE" in stream.read(PROLOG_BYTES):
                        raise ReadError("bomb", f"{member.filename} declares entities of its own: {NOT_OFFICE}")
                    while stream.read(1 << 20):
                        pass
