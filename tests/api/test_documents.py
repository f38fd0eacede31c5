"""What people have at hand is a document, whatever its kind; an odd item costs its row, and a wrong call is refused."""

import asyncio
import io
import itertools
import os
import queue
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas
import polars
import pytest

from extractor import Document, Extractor, FailedDocument, ReadOptions, TypedRecord
from extractor.data import Source
from extractor.errors import Problem, UsageError
from tests.api.conftest import FOUND, TEXT, Contact
from tests.documentation import ROOT

SAMPLES = ROOT / "data" / "samples" / "contact"
DOCUMENTS = ROOT / "data" / "documents"


def _ids(records: Iterable[TypedRecord[Any]]) -> list[tuple[str, str]]:
    return [(record.id, record.status) for record in records]


@pytest.mark.parametrize(
    ("item", "id"),
    [
        (TEXT, "0"),
        (("a", TEXT), "a"),
        ((17, TEXT), "17"),
        ((None, TEXT), "0"),
        ({"text": TEXT}, "0"),
        ({"id": 5, "text": TEXT, "page": 3}, "5"),
        (TEXT.encode(), "0"),
        (("注.txt", TEXT.encode("gb18030")), "注.txt"),
        (("x", bytearray(TEXT.encode())), "x"),
        (Document("d", TEXT, Source("", "")), "d"),
        (("e", Document("d", TEXT, Source("", ""))), "e"),
        ((None, Document("d", TEXT, Source("", ""))), "d"),
    ],
)
def test_one_document_of_each_kind(contacts: Extractor[Contact], item: Any, id: str) -> None:
    (record,) = contacts.run([item])
    assert (record.id, record.status, record.parsed) == (id, "ok", FOUND)
    alone = contacts.extract(item)
    assert (alone.id, alone.spans, alone.source) == (record.id, record.spans, record.source)


def test_a_path_goes_through_the_readers_and_may_be_many_documents(contacts: Extractor[Contact]) -> None:
    records = {record.id: record for record in contacts.run([SAMPLES])}
    assert len(records) == 9
    assert records["contact/directory.csv#2"].parsed == Contact(手机号="13911570283", 邮箱="tianyt@wanfeng-paper.cn")
    assert records["contact/duty-gb18030.txt"].source.encoding == "gb18030"


def test_a_path_or_bytes_may_have_an_id_of_their_own(contacts: Extractor[Contact]) -> None:
    table = SAMPLES / "directory.csv"
    items: list[Any] = [("mine", SAMPLES / "resume.txt"), ("up.csv", table.read_bytes()), ("all", table)]
    records = list(contacts.run(items, ordered=True))
    assert [each.id for each in records] == ["mine", "up.csv#2", "up.csv#3", "all#2", "all#3"]
    assert records[0].source.path.endswith("resume.txt")
    assert [each.parsed for each in records[1:3]] == [each.parsed for each in records[3:]]


def test_files_of_one_name_have_ids_of_their_own(contacts: Extractor[Contact], tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_text(TEXT, "utf-8")
    first, second = contacts.run([tmp_path / "a" / "x.txt", tmp_path / "b" / "x.txt"], ordered=True)
    assert (first.id, second.id) == ("x.txt", str(tmp_path / "b" / "x.txt"))


def test_bytes_of_a_format_are_read_in_a_process_of_its_own(contacts: Extractor[Contact], forked_readers: None) -> None:
    names = ["form.docx", "contract.pdf"]
    assert [name for name in names if not (DOCUMENTS / name).exists()] == []
    given = list(contacts.run([(name, (DOCUMENTS / name).read_bytes()) for name in names], ordered=True))
    assert _ids(contacts.run([("mine", DOCUMENTS / names[0])])) == [("mine", given[0].status)]
    read = list(contacts.run([DOCUMENTS / name for name in names], ordered=True))
    assert [each.text for each in given] == [each.text for each in read]
    assert [each.id for each in given] == names
    assert all(each.text for each in given)


def test_bytes_leave_no_open_file_behind(contacts: Extractor[Contact], forked_readers: None) -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    items: list[Any] = [(f"{number}.docx", (DOCUMENTS / "form.docx").read_bytes()) for number in range(6)]
    list(contacts.run(items))
    before = opened()
    list(contacts.run(items))
    left = contacts.run(items)
    next(left)
    del left  # a run that is left
    deadline = time.monotonic() + 10
    while opened() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert opened() <= before


@pytest.mark.parametrize(
    ("column", "ids"),
    [
        (pandas.Series([TEXT, None, TEXT], index=["p", "q", "r"]), ["p", "q", "r"]),
        (pandas.DataFrame({"text": [TEXT, float("nan"), TEXT]})["text"], ["0", "1", "2"]),
        (polars.Series([TEXT, None, TEXT]), ["0", "1", "2"]),
        (polars.DataFrame({"text": [TEXT, " ", TEXT]})["text"], ["0", "1", "2"]),
    ],
)
def test_a_column_of_a_table_is_many_texts(contacts: Extractor[Contact], column: Any, ids: list[str]) -> None:
    records = list(contacts.run(column, ordered=True))
    assert _ids(records) == list(zip(ids, ("ok", "failed", "ok"), strict=True))
    assert records[1].code == "empty"


def test_two_columns_are_ids_and_texts(contacts: Extractor[Contact]) -> None:
    pandas_table = pandas.DataFrame({"id": [11, 12], "text": [TEXT, TEXT]})
    polars_table = polars.from_pandas(pandas_table)
    for documents in (
        zip(pandas_table["id"], pandas_table["text"], strict=True),
        polars_table.iter_rows(),
        polars_table.iter_rows(named=True),
        pandas_table.to_dict("records"),
    ):
        assert _ids(contacts.run(documents, ordered=True)) == [("11", "ok"), ("12", "ok")]


class _Evil:
    def __fspath__(self) -> str:
        raise RuntimeError("no path")


@pytest.mark.parametrize(
    ("item", "code", "said"),
    [
        (None, "empty", "no text"),
        ("  ", "empty", "no text"),
        (b"", "empty", "no text"),
        (float("nan"), "empty", "no text"),
        (pandas.NA, "empty", "no text"),
        (("named", None), "empty", "no text"),
        (12, "malformed", "an item of type int is not a document"),
        (["a", "b"], "malformed", "list"),
        (("a", "b", "c"), "malformed", "tuple"),
        ({"body": TEXT}, "malformed", "no field 'text' but body: name the one that holds the text"),
        ({"text": {"a": 1}}, "malformed", "holds a dict"),
        ({"text": 3}, "malformed", "int"),
        (_Evil(), "malformed", "RuntimeError"),
        (polars.DataFrame({"a": [1]}), "malformed", "DataFrame"),
        (Path("nowhere.txt"), "io", "no file or folder of this name"),
        (Path("nowhere/*.txt"), "io", "no file or folder of this name"),
        (Path("-"), "io", "no file or folder of this name"),
        (("id", Path("nowhere.txt")), "io", "not there"),
        (("id", Path()), "io", "not a regular file"),
        (b"\x00\x01\x02\xff" * 9, "unsupported", "not text"),
        (FailedDocument("f", Source("", ""), Problem("locked", "by hand")), "locked", "by hand"),
    ],
)
def test_one_odd_item_is_one_failed_row(contacts: Extractor[Contact], item: Any, code: str, said: str) -> None:
    before, odd, after = contacts.run([TEXT, item, TEXT], ordered=True)
    assert (odd.status, odd.code, odd.parsed, odd.text) == ("failed", code, None, None)
    assert said in odd.errors[-1].problem.message
    assert (before.parsed, after.parsed) == (FOUND, FOUND)


@pytest.mark.parametrize(
    ("documents", "advice"),
    [
        (TEXT, r"extract\(text\) for one, run\(\[text\]\)"),
        (TEXT.encode(), r"run\(\[document\]\)"),
        (Path("x.txt"), r"run\(\[document\]\)"),
        ({"text": TEXT}, r"run\(\[document\]\)"),
        (Document("d", TEXT, Source("", "")), r"run\(\[document\]\)"),
        (pandas.DataFrame({"body": [TEXT]}), r"run\(table\['text'\]\).*Its columns: 'body'"),
        (polars.DataFrame({"body": [TEXT]}), r"run\(zip\(table\['id'\], table\['text'\]\)\).*Its columns: 'body'"),
        (polars.LazyFrame({"body": [TEXT]}), "A LazyFrame is not"),
        (io.StringIO(TEXT), "taken line by line"),
        (7, "of type int"),
        (None, "of type NoneType"),
    ],
)
def test_what_is_no_series_of_documents_is_refused_with_the_right_call(
    contacts: Extractor[Contact], documents: Any, advice: str
) -> None:
    with pytest.raises(UsageError, match=advice):
        contacts.run(documents)
    with pytest.raises(UsageError, match=advice):
        contacts.arun(documents)


def test_an_asynchronous_iterator_is_for_arun(contacts: Extractor[Contact]) -> None:
    async def texts() -> AsyncIterator[str]:
        yield TEXT

    async def main() -> None:
        with pytest.raises(UsageError, match="arun"):
            contacts.run(texts())  # type: ignore[arg-type]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([TEXT], r"several documents: run\(documents\)"),
        (iter([TEXT]), "several documents"),
        (pandas.DataFrame({"text": [TEXT]}), "not a series of documents"),
        (SAMPLES / "directory.csv", "several documents"),
    ],
)
def test_extract_takes_one_document(contacts: Extractor[Contact], document: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        contacts.extract(document)


def test_extract_says_that_an_empty_folder_holds_none(contacts: Extractor[Contact], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no document in it"):
        contacts.extract(tmp_path)


def test_rows_have_the_fields_that_are_named(tmp_path: Path) -> None:
    lines = tmp_path / "rows.jsonl"
    lines.write_text('{"nr": 1, "body": "手机号13800000000"}\n', "utf-8")
    with Extractor(["手机号"], read=ReadOptions(text_field="body", id_field="nr")) as extractor:
        records = list(extractor.run([lines, {"nr": 2, "body": "手机号13800000001"}], ordered=True))
    assert [(each.id, each.parsed) for each in records] == [
        ("1", {"手机号": "13800000000"}),
        ("2", {"手机号": "13800000001"}),
    ]


def test_nothing_of_an_iterator_is_taken_before_its_turn(
    contacts: Extractor[Contact], tmp_path: Path, forked_readers: None
) -> None:
    """The next item comes when the record of the one before has come: who reads ahead would wait for ever."""
    waiting: queue.Queue[Any] = queue.Queue()

    def as_told() -> Iterator[Any]:
        while (item := waiting.get(timeout=60)) is not None:
            yield item

    records = contacts.run(as_told())
    for item in (TEXT, SAMPLES / "resume.txt", DOCUMENTS / "form.docx", TEXT):
        waiting.put(item)
        assert next(records).status in ("ok", "partial")
    waiting.put(None)
    assert list(records) == []


def test_a_list_of_files_is_read_ahead(contacts: Extractor[Contact], forked_readers: None) -> None:
    opened: list[int] = []
    taken = threading.Event()

    class Listed(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            for number, item in enumerate(super().__iter__()):
                opened.append(number)
                taken.set()
                yield item

    records = contacts.run(Listed([DOCUMENTS / "form.docx"] * 3))
    assert len(list(itertools.islice(records, 1))) == 1
    assert opened[:3] == [0, 1, 2]
    assert len(list(records)) == 2


def test_text_with_a_lone_surrogate_is_read(contacts: Extractor[Contact]) -> None:
    record = contacts.extract("\ud800" + TEXT)
    assert record.text == "\ufffd" + TEXT
    assert record.parsed == FOUND
    assert "U+FFFD" in str(record.source.encoding)
