"""Excel's binary workbooks for tests, which no library at hand writes: records as in MS-XLS and MS-XLSB."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.readers.compound import compound
from tests.readers.making import zipped

ERRORS = {"#N/A": 0x2A, "#DIV/0!": 0x07}


@dataclass(frozen=True)
class BinarySheet:
    """Rows of values (a tuple is a number and its format, such as `(0.25, "0%")`), and what is hidden, from 0."""

    rows: Sequence[Sequence[object]]
    hidden_rows: Sequence[int] = ()
    hidden_columns: Sequence[int] = ()
    merged: Sequence[tuple[int, int, int, int]] = ()
    state: int = 0
    at: Mapping[tuple[int, int], object] = field(default_factory=dict)

    def cells(self) -> list[tuple[int, int, object]]:
        listed = [(r, c, value) for r, row in enumerate(self.rows) for c, value in enumerate(row) if value is not None]
        return listed + [(r, c, value) for (r, c), value in self.at.items()]


def _formats(sheets: Mapping[str, BinarySheet]) -> list[str]:
    codes = [value[1] for sheet in sheets.values() for _, _, value in sheet.cells() if isinstance(value, tuple)]
    return ["General", *dict.fromkeys(codes)]


# Excel 97


def xls(sheets: Mapping[str, BinarySheet], *first: bytes) -> bytes:
    """A workbook; `first` are records at its beginning."""
    formats = _formats(sheets)
    style = b"".join(_record(0x041E, struct.pack("<HHB", 164 + n, len(code), 1) + code.encode("utf-16-le"))
                     for n, code in enumerate(formats[1:], 1))  # fmt: skip
    style += b"".join(_record(0x00E0, struct.pack("<HH16x", 0, 164 + n if n else 0)) for n in range(len(formats)))
    bodies = [_sheet(sheet, formats) for sheet in sheets.values()]
    names = [name.encode("utf-16-le") for name in sheets]
    start = b"".join([_bof(5), *first, _record(0x0042, struct.pack("<H", 1200)), style])
    offset = len(start) + sum(12 + len(name) for name in names) + 4
    for sheet, name, body in zip(sheets.values(), names, bodies, strict=True):
        start += _record(0x0085, struct.pack("<IBBBB", offset, sheet.state, 0, len(name) // 2, 1) + name)
        offset += len(body)
    return compound({"Workbook": start + _record(0x000A, b"") + b"".join(bodies)})


def _record(kind: int, body: bytes) -> bytes:
    return struct.pack("<HH", kind, len(body)) + body


def _bof(kind: int) -> bytes:
    return _record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0x0DBB, 0x07CC, 0, 6))


def _sheet(sheet: BinarySheet, formats: list[str]) -> bytes:
    out = [_bof(0x10)]
    out += [_record(0x007D, struct.pack("<HHHHHH", c, c, 2000, 0, 1, 0)) for c in sheet.hidden_columns]
    out += [_record(0x0208, struct.pack("<HHHHIHH", r, 0, 9, 255, 0, 0x20, 0)) for r in sheet.hidden_rows]
    out += [_cell(r, c, value, formats) for r, c, value in sheet.cells()]
    out += [_record(0x00E5, struct.pack("<HHHHH", 1, *merged)) for merged in sheet.merged]
    return b"".join(out) + _record(0x000A, b"")


def _cell(row: int, column: int, value: object, formats: list[str]) -> bytes:
    number, code = value if isinstance(value, tuple) else (value, "General")
    start = struct.pack("<HHH", row, column, formats.index(code))
    if isinstance(number, bool):
        return _record(0x0205, start + struct.pack("<BB", number, 0))
    if isinstance(number, int | float):
        return _record(0x0203, start + struct.pack("<d", number))
    text = str(number)
    if text in ERRORS:
        return _record(0x0205, start + struct.pack("<BB", ERRORS[text], 1))
    return _record(0x0204, start + struct.pack("<HB", len(text), 1) + text.encode("utf-16-le"))


# Excel 2007, binary

TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
RELATIONS = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>'
KINDS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
RELATION = f'<Relationship Id="rId{{}}" Type="{KINDS}{{}}" Target="{{}}"/>'


def xlsb(sheets: Mapping[str, BinarySheet]) -> bytes:
    """A workbook as a package."""
    formats = _formats(sheets)
    book = _part(131, b"") + _part(143, b"")
    relations = ""
    members: dict[str, bytes] = {}
    for n, (name, sheet) in enumerate(sheets.items(), 1):
        book += _part(156, struct.pack("<II", sheet.state, n) + _wide(f"rId{n}") + _wide(name))
        relations += RELATION.format(n, "worksheet", f"worksheets/sheet{n}.bin")
        members[f"xl/worksheets/sheet{n}.bin"] = _binary_sheet(sheet, formats)
    relations += RELATION.format(99, "styles", "styles.bin")
    styles = b"".join(_part(44, struct.pack("<H", 164 + n) + _wide(code)) for n, code in enumerate(formats[1:], 1))
    formats_of = b"".join(_part(47, struct.pack("<HH12x", 0, 164 + n if n else 0)) for n in range(len(formats)))
    styles = _part(278, b"") + _part(615, struct.pack("<I", len(formats) - 1)) + styles + _part(616, b"")
    styles += _part(617, struct.pack("<I", len(formats))) + formats_of + _part(618, b"") + _part(279, b"")
    return zipped({
        "[Content_Types].xml": f'<Types xmlns="{TYPES}"/>'.encode(),
        "_rels/.rels": RELATIONS.format(RELATION.format(1, "officeDocument", "xl/workbook.bin")).encode(),
        "xl/workbook.bin": book + _part(144, b"") + _part(132, b""),
        "xl/_rels/workbook.bin.rels": RELATIONS.format(relations).encode(),
        "xl/styles.bin": styles,
        **members,
    })  # fmt: skip


def _part(kind: int, body: bytes) -> bytes:
    start = bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size, left = b"", len(body)
    while left > 0x7F:
        size, left = size + bytes([left & 0x7F | 0x80]), left >> 7
    return start + size + bytes([left]) + body


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _binary_sheet(sheet: BinarySheet, formats: list[str]) -> bytes:
    cells = sheet.cells()
    rows, columns = (max((cell[index] for cell in cells), default=0) for index in (0, 1))
    out = [_part(129, b""), _part(148, struct.pack("<IIII", 0, rows, 0, columns))]
    out += [_part(60, struct.pack("<IIIIH", c, c, 2000, 0, 1)) for c in sheet.hidden_columns]
    out.append(_part(145, b""))
    for row in sorted({cell[0] for cell in cells}):
        hidden = 0x10 if row in sheet.hidden_rows else 0
        out.append(_part(0, struct.pack("<IIHBBBI", row, 0, 300, 0, hidden, 0, 0)))
        out += [_binary_cell(column, value, formats) for r, column, value in cells if r == row]
    out.append(_part(146, b""))
    out += [_part(176, struct.pack("<IIII", *merged)) for merged in sheet.merged]
    return b"".join(out) + _part(130, b"")


def _binary_cell(column: int, value: object, formats: list[str]) -> bytes:
    number, code = value if isinstance(value, tuple) else (value, "General")
    start = struct.pack("<II", column, formats.index(code))
    if isinstance(number, bool):
        return _part(4, start + bytes([number]))
    if isinstance(number, int | float):
        return _part(5, start + struct.pack("<d", number))
    text = str(number)
    return _part(3, start + bytes([ERRORS[text]])) if text in ERRORS else _part(6, start + _wide(text))
