"""What travels between processes arrives as it was sent, and progress counts by status."""

from extractor.data import Document, FailedDocument, Source
from extractor.distributed.batch import BatchResult, DocumentBatch, ReadProgress
from extractor.errors import OutputError, Problem
from tests.sinks.records import failed, record

PROGRESS = ReadProgress(sent=5, before=(3, 2, 1), ended=True)


def test_a_batch_of_documents_arrives_as_it_was_sent() -> None:
    source = Source("a.txt", "5c4e", "utf-8", 2)
    documents = [Document("a", "文字", source), FailedDocument("b", source, Problem("binary", "not text"))]
    batch = DocumentBatch(documents, PROGRESS)
    assert DocumentBatch.from_table(batch.to_table()) == batch


def test_a_result_arrives_as_it_was_sent_its_error_with_its_class() -> None:
    records = [record("a"), failed("b")]
    result = BatchResult("part", records, PROGRESS)
    (received,) = BatchResult.from_table(result.to_table())
    assert (received.part, received.progress, received.error) == ("part", PROGRESS, None)
    assert [(each.id, each.status, each.code) for each in received.records] == [
        ("a", "ok", None),
        ("b", "failed", "schema"),
    ]
    (wrong,) = BatchResult.from_table(BatchResult(error=OutputError("disk full")).to_table())
    assert (type(wrong.error), str(wrong.error)) == (OutputError, "disk full")


def test_progress_counts_documents_that_are_done_by_status() -> None:
    assert PROGRESS.skipped == {"ok": 3, "partial": 2, "failed": 1}
    assert PROGRESS.read == 11


def test_the_later_of_two_reports_is_the_one_that_has_read_more_or_has_ended() -> None:
    first, second = ReadProgress(1, (0, 0, 2)), ReadProgress(1, (4, 0, 0))
    assert second.is_after(first)
    assert not first.is_after(second)
    assert PROGRESS.is_after(ReadProgress(5, (3, 2, 1)))
