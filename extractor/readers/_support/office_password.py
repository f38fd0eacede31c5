"""Office files that are encrypted, old (XOR, RC4) and new (AES), opened with their password."""

from __future__ import annotations

import io
import struct

from extractor.readers._support.limits import ReadError, damaged

DEFAULT = "VelvetSweatshop"
"""What old Excel encrypts a workbook with that is only protected against changes, and opens it with without asking."""
BROKEN = (AssertionError, ValueError, TypeError, LookupError, AttributeError, struct.error)
"""What msoffcrypto raises besides its own errors for a document that is broken where it is encrypted."""


def is_encrypted(data: bytes) -> bool:
    """Tell whether a document of Word, Excel or PowerPoint is encrypted; one that is none of them is not."""
    import msoffcrypto
    from msoffcrypto.exceptions import FileFormatError, ParseError

    try:
        return bool(msoffcrypto.OfficeFile(io.BytesIO(data)).is_encrypted())
    except (FileFormatError, ParseError, OSError, NotImplementedError, *BROKEN):
        return False


def unlocked(data: bytes, password: str | None, default: str | None = None) -> bytes:
    """Return the document that is encrypted in an OLE file; `default` is what to try where there is no password.

    Raises ReadError where the password does not open it.
    """
    tried = default if password is None else password
    if tried is None:
        raise _locked(password)
    import msoffcrypto
    from msoffcrypto.exceptions import DecryptionError, FileFormatError, InvalidKeyError, ParseError

    out = io.BytesIO()
    try:
        document = msoffcrypto.OfficeFile(io.BytesIO(data))
        document.load_key(password=tried)
        document.decrypt(out)
    except InvalidKeyError as error:
        raise _locked(password) from error
    except (FileFormatError, ParseError, DecryptionError, OSError, *BROKEN) as error:
        raise _locked(password) if password is None else damaged("encrypted Office document", error) from error
    return out.getvalue()


def _locked(password: str | None) -> ReadError:
    if password is None:
        return ReadError("locked", "encrypted Office document, a password is needed: give it with --password")
    message = "encrypted Office document, the password does not open it: give the right one with --password"
    return ReadError("locked", message)
