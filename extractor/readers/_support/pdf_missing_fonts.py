"""A stand-in for Chinese, Japanese and Korean fonts that a PDF names, does not hold, and this machine does not have.

Without one pdfium gives their characters boxes without a width, and drops each piece of text of a single character. The
stand-in has one glyph, a box: nothing that is read depends on what it looks like.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from typing import Any

CJK = (128, 129, 134, 136)
"""Character sets of Windows for Japanese, Korean, simplified and traditional Chinese."""
HANDLE = 1
"""What stands for the stand-in as a font of the system; a pointer is never that low."""
TABLES = (b"cmap", b"glyf", b"head", b"hhea", b"hmtx", b"loca", b"maxp")


@functools.cache
def stand_in() -> Any:
    """Install the stand-in, once for the process, behind the fonts of the system. What is returned must be kept."""
    import pypdfium2.raw as pdfium

    system = pdfium.FPDF_GetDefaultSystemFontInfo()
    if not system:
        return None
    functions = _functions(system.contents, system, _font())
    info = pdfium.FPDF_SYSFONTINFO(version=system.contents.version)
    for name, kind in pdfium.FPDF_SYSFONTINFO._fields_[1:]:
        setattr(info, name, kind(functions[name]))
    pdfium.FPDF_SetSystemFontInfo(info)
    return info


def _functions(fonts: Any, system: Any, font: bytes) -> dict[str, Any]:
    """Return the functions of FPDF_SYSFONTINFO: those of the system, except for the stand-in."""

    def map_font(_: Any, weight: int, italic: int, charset: int, pitch: int, face: Any, exact: Any) -> int | None:
        found: int | None = fonts.MapFont(system, weight, italic, charset, pitch, face, exact)
        return found or (HANDLE if charset in CJK else None)

    def get_data(_: Any, handle: int, table: int, buffer: Any, size: int) -> int:
        if handle != HANDLE:
            return int(fonts.GetFontData(system, handle, table, buffer, size))
        data = _table(font, table.to_bytes(4, "big")) if table else font
        if buffer and size >= len(data):
            ctypes.memmove(buffer, data, len(data))
        return len(data)

    return {
        "Release": lambda _: None,
        "EnumFonts": lambda _, mapper: fonts.EnumFonts(system, mapper),
        "MapFont": map_font,
        "GetFont": lambda _, face: fonts.GetFont(system, face),
        "GetFontData": get_data,
        "GetFaceName": lambda _, h, buffer, size: 0 if h == HANDLE else fonts.GetFaceName(system, h, buffer, size),
        "GetFontCharset": lambda _, handle: CJK[2] if handle == HANDLE else fonts.GetFontCharset(system, handle),
        "DeleteFont": lambda _, handle: None if handle == HANDLE else fonts.DeleteFont(system, handle),
    }


def _table(font: bytes, tag: bytes) -> bytes:
    """Return a table of a TrueType font; empty where it has none."""
    for at in range(12, 12 + 16 * len(TABLES), 16):
        name, _, offset, size = struct.unpack(">4sIII", font[at : at + 16])
        if name == tag:
            return font[offset : offset + size]
    return b""


def _font() -> bytes:
    """Return a TrueType font that has a box of an em for every character.

    Source: OpenType specification 1.9, tables cmap (format 13, many to one), glyf, head, hhea, hmtx, loca, maxp.
    """
    glyph = struct.pack(">7h4B8h", 1, 0, -120, 1000, 880, 3, 0, 1, 1, 1, 1, 0, 1000, 0, -1000, -120, 0, 1000, 0)
    tables = (
        struct.pack(">4HI2H6I", 0, 1, 3, 10, 12, 13, 0, 28, 0, 1, 0, 0x10FFFF, 1),
        glyph + glyph,
        struct.pack(">4I2H2q4h2H3h", 0x10000, 0, 0, 0x5F0F3CF5, 0, 1000, 0, 0, 0, -120, 1000, 880, 0, 8, 2, 0, 0),
        struct.pack(">I3hH11hH", 0x10000, 880, -120, 0, 1000, *[0] * 11, 1),
        struct.pack(">Hhh", 1000, 0, 0),
        struct.pack(">3H", 0, len(glyph) // 2, len(glyph)),
        struct.pack(">I14H", 0x10000, 2, 4, 1, *[0] * 11),
    )
    offset = 12 + 16 * len(TABLES)
    head, body = struct.pack(">I4H", 0x10000, len(TABLES), 64, 2, 48), b""
    for tag, table in zip(TABLES, tables, strict=True):
        head += struct.pack(">4s3I", tag, 0, offset + len(body), len(table))
        body += table + bytes(-len(table) % 4)
    return head + body
