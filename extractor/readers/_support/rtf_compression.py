"""RTF as it is packed in Outlook messages (Microsoft's MS-OXRTFCP)."""

from __future__ import annotations

import struct

from extractor.readers._support.limits import Budget

PACKED, PLAIN = 0x75465A4C, 0x414C454D
WINDOW = 4096
FIRST_WINDOW = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor "
    rb"MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)


def decompressed(data: bytes, budget: Budget) -> bytes:
    """Return the RTF, as far as it goes; nothing for what is not packed so. Raises Bomb beyond the budget."""
    if len(data) < 16:
        return b""
    kind = struct.unpack_from("<I", data, 8)[0]
    if kind == PLAIN:
        return data[16:]
    return _unpacked(data[16:], budget) if kind == PACKED else b""


def _unpacked(data: bytes, budget: Budget) -> bytes:
    """Unpack runs of eight tokens: a literal byte, or 12 bits of offset and 4 of length into the last 4096 bytes."""
    out = bytearray(FIRST_WINDOW)
    at = 0
    while at < len(data):
        control = data[at]
        at += 1
        before = len(out)
        for bit in range(8):
            if not control >> bit & 1:
                out += data[at : at + 1]
                at += 1
                continue
            if at + 2 > len(data):
                return bytes(out[len(FIRST_WINDOW) :])
            token = int.from_bytes(data[at : at + 2], "big")
            at += 2
            distance = (len(out) - (token >> 4)) % WINDOW
            if not distance:  # the end
                return bytes(out[len(FIRST_WINDOW) :])
            _copy(out, distance, (token & 0xF) + 2)
        budget.spend(len(out) - before)
    return bytes(out[len(FIRST_WINDOW) :])


def _copy(out: bytearray, distance: int, length: int) -> None:
    """Append what was written so far back; it may overlap what is being written. Zeros are before the beginning."""
    for _ in range(length):
        out.append(out[-distance] if distance <= len(out) else 0)
