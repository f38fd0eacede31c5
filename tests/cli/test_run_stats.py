"""The summary and the exit code of a run know all three statuses, of this run and of earlier ones."""

from collections.abc import Iterator

import pytest

from extractor.cli._run_stats import RunStats
from extractor.data import Record, RecordError, Status
from extractor.errors import Code, Problem
from tests.sinks.records import record


def _record(name: str, status: Status, code: Code | None = None) -> Record:
    errors = (RecordError(Problem(code, "why")),) if code else ()
    return record(name, status=status, errors=errors)


def _stats(*records: Record) -> RunStats:
    stats = RunStats()
    for each in records:
        stats.add(each)
    return stats


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("partial", 1), ("failed", 1)])
def test_the_exit_code_is_1_unless_all_documents_are_ok(status: Status, code: int) -> None:
    assert _stats(_record("a", "ok"), _record("b", status)).exit_code == code


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("partial", 1), ("failed", 1)])
def test_documents_of_an_earlier_run_count_for_the_exit_code(status: Status, code: int) -> None:
    stats = RunStats()
    stats.skipped[status] += 1
    assert stats.exit_code == code


def test_the_summary_counts_each_status_with_the_codes_of_its_problems() -> None:
    records = [_record("a", "ok"), _record("b", "partial", "required"), _record("c", "partial", "confidence")]
    records += [_record("d", "failed", "timeout"), _record("e", "failed", "timeout")]
    text = _stats(*records).summary("rows.jsonl")
    assert ": 1 ok, 2 partial (required 1, confidence 1), 2 failed (timeout 2). Rows: rows.jsonl" in text


def test_the_summary_says_what_can_be_retried() -> None:
    stats = _stats(_record("a", "ok"))
    stats.skipped.update({"ok": 3, "partial": 1, "failed": 2})
    expected = "; 6 done before, 1 of them partial, 2 of them failed (--retry-failed tries again)."
    assert stats.summary("").endswith(expected)


class Sink:
    """An output that has some documents already."""

    done_before: dict[str, Status] = {"a": "ok", "b": "partial", "c": "failed"}

    def done(self, id: str, sha256: str) -> Status | None:
        return self.done_before.get(id)


def test_documents_that_are_done_are_skipped_and_counted_by_status() -> None:
    stats = RunStats()
    documents: Iterator[Record] = iter([_record(name, "ok") for name in "abcd"])
    assert [each.id for each in stats.not_done(documents, Sink())] == ["d"]  # type: ignore[arg-type]
    assert stats.skipped == {"ok": 1, "partial": 1, "failed": 1}
