"""Records to write."""

import hashlib
from typing import Any

from extractor.data import Record, RecordError, RunInfo, Source, Usage
from extractor.errors import Problem

RUN = RunInfo("f1", "demo", "contact", "zh", "5c4e3a", "9c4a1e")


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def record(id: str, text: str = "文", **changes: Any) -> Record:
    fields: dict[str, Any] = {
        "id": id,
        "status": "ok",
        "source": Source(id, sha(text), "utf-8", len(text)),
        "run": RUN,
        "data": {"手机号": "18888888888", "邮箱": None},
        "spans": {"/手机号": ((86, 97),)},
        "locations": {"/手机号": ({"page": 2},)},
        "confidence": {"/手机号": 0.98},
        "attempts": 1,
        "usage": Usage(310, 41, 0.12349),
    }
    return Record(**(fields | changes))


def partial(id: str, text: str = "文") -> Record:
    """A record with what was found, and without a value that the schema requires."""
    return record(id, text, status="partial", errors=(RecordError(Problem("required", "no 邮箱"), 0, 1),))


def failed(id: str, text: str = "文") -> Record:
    changes = {"status": "failed", "data": None, "spans": {}, "locations": {}, "confidence": {}, "attempts": 3}
    return record(id, text, errors=(RecordError(Problem("schema", "no value"), 0, 3),), **changes)
