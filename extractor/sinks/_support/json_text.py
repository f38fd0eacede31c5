"""Records as lines of JSON: one a document, or one a value found (`flatten`)."""

from __future__ import annotations

from collections.abc import Iterator

from extractor.data import Json, Record
from extractor.errors import OutputError
from extractor.sinks._support.flat import flat_rows
from extractor.storage.append_log import Reading
from extractor.storage.resume import Row, foreign, other_rows
from extractor.storage.rows import from_line, json_line, to_line

OPENING = b'{"id":'


class JsonText:
    """A line for each row."""

    header = b""

    def __init__(self, flatten: bool) -> None:
        self._flatten = flatten

    def encode(self, record: Record) -> bytes:
        return b"".join(map(json_line, flat_rows(record))) if self._flatten else to_line(record)

    def documents(self, reading: Reading, path: str) -> Iterator[tuple[bytes, Row]]:
        """A torn line at the end is left out, unless it is all there is and reads as JSON: then it is somebody's."""
        start = reading.peek(len(OPENING))
        if not OPENING.startswith(start[: len(OPENING)]):
            raise foreign(path, "Line 1")
        held, first = b"", None
        for number, line in enumerate(reading, 1):
            held += line
            if not line.endswith(b"\n"):
                if number == 1 and _is_json(line):
                    self._row(path, number, line)
                continue
            if line.strip():
                row, last = self._row(path, number, line)
                first = first or row
                if last:
                    yield held, first
                    held, first = b"", None

    def _row(self, path: str, number: int, line: bytes) -> tuple[Row, bool]:
        """What a line says, and whether it is the last one of its document."""
        try:
            value: Json = from_line(line)
            if ("row" in value) != self._flatten and {"status", "id"} <= value.keys():
                raise other_rows(path, self._flatten)
            return (flat_row(value), value["row"] == value["rows"]) if self._flatten else (whole_row(value), True)
        except OutputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise foreign(path, f"Line {number}") from error


def whole_row(value: Json) -> Row:
    """What the row of a document says. Raises KeyError, TypeError, ... for what is none."""
    usage = value.get("usage", {})
    reason = value["errors"][-1]["reason"] if value["status"] == "failed" else ""
    texts = _texts(value["id"], value["source"]["sha256"], value["status"], value["run"]["fingerprint"])
    return Row(*texts, reason, usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))


def flat_row(value: Json) -> Row:
    """What a row with plain columns says."""
    texts = _texts(value["id"], value["sha256"], value["status"], value["fingerprint"])
    tokens = int(value["prompt_tokens"] or 0), int(value["completion_tokens"] or 0)
    return Row(*texts, value["reason"] or "", *tokens)


def _texts(*values: Json) -> tuple[str, str, str, str]:
    if not all(isinstance(value, str) for value in values):
        raise TypeError
    return values


def _is_json(line: bytes) -> bool:
    try:
        from_line(line)
    except ValueError:
        return False
    return True
