"""What Word and Excel files share: a ZIP of XML, checked before a library trusts it, or an encrypted one in OLE."""

from __future__ import annotations

import io
import zipfile

from extractor.readers._support.files import File, ReadOptions, read_bytes
from extractor.readers._support.limits import DAMAGE, DOCUMENTS, RATIO, RATIO_FROM, Bomb, ReadError, damaged
from extractor.readers._support.signatures import OLE, OleStream

XML = (".xml", ".rels")
PROLOG_BYTES = 4096
NOT_OFFICE = "no Office program writes that, and it is how documents are made that fill the memory; leave it out"
ENCRYPTED = OleStream("EncryptedPackage")
"""What every encrypted one shows, whichever of them it is (section 2.3.4.4 of Microsoft's MS-OFFCRYPTO)."""


def package(file: File, options: ReadOptions) -> tuple[bytes, bytes]:
    """Return the bytes of a file and of its ZIP, which differ where it is encrypted.

    Raises OSError where it cannot be opened, ReadError where it is locked, damaged or unpacks to too much.
    """
    data = read_bytes(file, options.max_bytes)
    opened = _decrypted(data, options.password) if data.startswith(OLE) else data
    try:
        _check(opened, DOCUMENTS * options.max_bytes)
    except (*DAMAGE, NotImplementedError, ValueError, OSError) as error:
        raise damaged("file", error) from error
    except RuntimeError as error:  # what zipfile raises for an encrypted member
        raise ReadError("locked", "an encrypted ZIP inside: save it unlocked") from error
    return data, opened


def _check(data: bytes, limit: int) -> None:
    """Read all XML once, for its checksums and its size: zipfile gives no more of a member than it declares."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        if unpacked > limit or unpacked > max(RATIO_FROM, RATIO * len(data)):
            raise Bomb(f"the file unpacks to {unpacked:,} bytes")
        for member in members:
            if member.filename.endswith(XML):
                with archive.open(member) as stream:
                    if b"<!DOCTYPE" in stream.read(PROLOG_BYTES):
                        raise ReadError("bomb", f"{member.filename} declares entities of its own: {NOT_OFFICE}")
                    while stream.read(1 << 20):
                        pass


def _decrypted(data: bytes, password: str | None) -> bytes:
    if password is None:
        raise ReadError("locked", "encrypted Office document, a password is needed: give it with --password")
    import msoffcrypto
    from msoffcrypto.exceptions import DecryptionError, FileFormatError, InvalidKeyError, ParseError

    unlocked = io.BytesIO()
    try:
        document = msoffcrypto.OfficeFile(io.BytesIO(data))
        document.load_key(password=password)
        document.decrypt(unlocked)
    except InvalidKeyError as error:
        message = "encrypted Office document, the password does not open it: give the right one with --password"
        raise ReadError("locked", message) from error
    except (FileFormatError, ParseError, DecryptionError, OSError) as error:
        raise damaged("encrypted Office document", error) from error
    return unlocked.getvalue()
