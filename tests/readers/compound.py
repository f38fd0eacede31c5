"""Compound files (Microsoft's MS-CFB) for tests, which no library at hand writes: workbooks and messages before XML."""

import itertools
import struct
from collections.abc import Mapping

SECTOR, MINI, CUTOFF = 512, 64, 4096
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
STORAGE, STREAM, ROOT = 1, 2, 5


def compound(streams: Mapping[str, bytes]) -> bytes:
    """A compound file with streams at their paths (`folder/name`)."""
    paths = sorted({"/".join(path.split("/")[:end]) for path in streams for end in range(1, path.count("/") + 2)})
    sectors, mini, fat, mini_fat = bytearray(), bytearray(), [], []
    starts = {}
    for path, data in streams.items():
        small = len(data) < CUTOFF
        starts[path] = _place(data, mini, mini_fat, MINI) if small else _place(data, sectors, fat, SECTOR)
    root_start = _place(bytes(mini), sectors, fat, SECTOR)
    mini_start = _place(b"".join(struct.pack("<I", each) for each in mini_fat), sectors, fat, SECTOR)
    entries = _entries(paths, streams, starts, root_start, len(mini))
    directory = _place(entries, sectors, fat, SECTOR)
    return _with_header(sectors, fat, directory, mini_start if mini_fat else END, len(mini_fat))


def _place(data: bytes, area: bytearray, table: list[int], size: int) -> int:
    """Put data into an area, in one row of sectors, and return the first of them."""
    if not data:
        return END
    start, count = len(table), -(-len(data) // size)
    area += data.ljust(count * size, b"\0")
    table += [*range(start + 1, start + count), END]
    return start


def _entries(
    paths: list[str], streams: Mapping[str, bytes], starts: Mapping[str, int], root_start: int, mini_size: int
) -> bytes:
    numbers = {path: number for number, path in enumerate(["", *paths])}
    following, first = {}, {}
    for folder, group in itertools.groupby(sorted(paths, key=_folder), key=_folder):
        inside = sorted(group, key=lambda path: (len(_name(path)), _name(path).upper()))
        first[folder] = numbers[inside[0]]
        following |= {path: numbers[after] for path, after in itertools.pairwise(inside)}
    out = [_entry("Root Entry", ROOT, FREE, first.get("", FREE), root_start, mini_size)]
    for path in paths:
        kind = STREAM if path in streams else STORAGE
        start, size = (starts[path], len(streams[path])) if kind == STREAM else (0, 0)
        out.append(_entry(_name(path), kind, following.get(path, FREE), first.get(path, FREE), start, size))
    return b"".join(out).ljust(-(-len(out) // 4) * SECTOR, b"\0")


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _entry(name: str, kind: int, right: int, child: int, start: int, size: int) -> bytes:
    text = name.encode("utf-16-le") + b"\0\0"
    return struct.pack("<64sHBBIII16xI16xIQ", text, len(text), kind, 1, FREE, right, child, 0, start, size)


def _with_header(sectors: bytearray, fat: list[int], directory: int, mini_start: int, mini_count: int) -> bytes:
    """Put the table of sectors behind them, and the header before."""
    count = 1
    while len(fat) + count > count * SECTOR // 4:
        count += 1
    first = len(fat)
    table = [*fat, *[FAT] * count]
    table += [FREE] * (count * SECTOR // 4 - len(table))
    mini_sectors = -(-mini_count * 4 // SECTOR)
    header = struct.pack(
        "<8s16xHHHHH6xIIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6, 0, count, directory, 0,
        CUTOFF, mini_start, mini_sectors, END, 0, first,
    )  # fmt: skip
    header += b"".join(struct.pack("<I", each) for each in range(first + 1, first + count))
    return header.ljust(SECTOR, b"\xff") + bytes(sectors) + struct.pack(f"<{len(table)}I", *table)
