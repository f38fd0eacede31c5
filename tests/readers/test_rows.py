"""JSON Lines and CSV: a row is a document, a broken row fails alone, and every row has its own lasting id."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor import ingest
from extractor.data import Document, FailedDocument
from extractor.ingest import ReadOptions

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "samples-public" / "documents"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _read(name: str, content: str | bytes, **options: object) -> list[Document | FailedDocument]:
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return list(ingest.read([name], ReadOptions(**options)))  # type: ignore[arg-type]


def _texts(name: str, content: str | bytes, **options: object) -> dict[str, str]:
    return {
        item.id: item.text if isinstance(item, Document) else f"!{item.problem.code}"
        for item in _read(name, content, **options)
    }


def test_each_json_line_is_a_document() -> None:
    rows = '{"id": "a", "text": "一"}\n\n{"text": "二"}\n{"id": 7, "text": "三"}\n{"id": null, "text": "四"}'
    assert _texts("r.jsonl", rows) == {"a": "一", "r.jsonl#3": "二", "7": "三", "r.jsonl#5": "四"}


def test_a_row_says_where_it_came_from() -> None:
    (document,) = _read("r.jsonl", '\n{"id": "a", "text": "一二"}\n')
    assert isinstance(document, Document)
    assert document.source.path == "r.jsonl#2"
    assert document.source.chars == 2
    assert document.source.encoding == "utf-8"


def test_the_hash_of_a_row_is_that_of_its_text() -> None:
    (one,) = _read("r.jsonl", '{"id": "a", "text": "一", "n": 1}')
    (two,) = _read("r.jsonl", '{"id": "a", "text": "一", "n": 2}')
    (three,) = _read("r.jsonl", '{"id": "a", "text": "二"}')
    assert one.source.sha256 == two.source.sha256 != three.source.sha256


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        ('{"id": "a", "text": ', "malformed", "not JSON"),
        ("plain text", "malformed", "not JSON"),
        ("[1, 2]", "malformed", "a list"),
        ('"text"', "malformed", "text"),
        ('{"id": "a"}', "malformed", "--text-field"),
        ('{"id": "a", "text": 5}', "malformed", "a number"),
        ('{"id": "a", "text": null}', "malformed", "null"),
        ('{"id": "a", "text": " "}', "empty", "white space"),
        ("[" * 100_000, "malformed", "not JSON"),
    ],
)
def test_a_broken_row_fails_alone(line: str, code: str, word: str) -> None:
    before, broken, after = _read("r.jsonl", f'{{"text": "一"}}\n{line}\n{{"text": "二"}}\n')
    assert isinstance(broken, FailedDocument)
    assert broken.problem.code == code
    assert word in broken.problem.message
    assert broken.source.path == "r.jsonl#2"
    assert isinstance(before, Document)
    assert isinstance(after, Document)


def test_an_id_that_occurs_again_is_replaced_by_the_number_of_the_row() -> None:
    rows = '{"id": "a", "text": "一"}\n{"id": "a", "text": "二"}\n{"id": "a", "text": "一"}\n'
    assert _texts("r.jsonl", rows) == {"a": "一", "r.jsonl#2": "二", "r.jsonl#3": "一"}


def test_an_id_that_is_the_number_of_another_row_stays_distinct() -> None:
    rows = '{"id": "r.jsonl#2", "text": "一"}\n{"text": "二"}\n'
    assert _texts("r.jsonl", rows) == {"r.jsonl#2": "一", "r.jsonl#2#2": "二"}


def test_fields_can_have_other_names() -> None:
    rows = '{"key": "k1", "content": "一"}\n'
    assert _texts("r.jsonl", rows, text_field="content", id_field="key") == {"k1": "一"}


def test_a_file_of_rows_can_be_one_document() -> None:
    rows = '{"text": "一"}\n{"text": "二"}\n'
    assert _texts("r.jsonl", rows, rows="whole") == {"r.jsonl": rows}
    assert _texts("r.csv", "a,b\n1,2\n", rows="whole") == {"r.csv": "a,b\n1,2\n"}


def test_a_lone_surrogate_is_replaced_and_the_recorded_encoding_says_so() -> None:
    (document,) = _read("r.jsonl", '{"text": "a\\ud800b \\ud83d\\ude00"}')
    assert isinstance(document, Document)
    assert document.text == "a\ufffdb \U0001f600"
    assert document.source.encoding == "utf-8 (lone surrogates read as U+FFFD)"
    document.text.encode("utf-8")


def test_escaped_nul_nan_and_large_numbers_are_read() -> None:
    rows = '{"text": "a\\u0000b", "n": NaN}\n{"text": "c", "n": 123456789012345678901234567890}\n'
    assert _texts("r.jsonl", rows) == {"r.jsonl#1": "a\0b", "r.jsonl#2": "c"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("name", ["r.jsonl", "r.csv"])
def test_rows_are_read_in_any_encoding(name: str, encoding: str) -> None:
    content = '{"id": "甲", "text": "手机号"}\n{"id": "乙", "text": "邮箱"}\n'
    if name == "r.csv":
        content = "id,text\r\n甲,手机号\r\n乙,邮箱\r\n"
    assert _texts(name, content.encode(encoding)) == {"甲": "手机号", "乙": "邮箱"}


@pytest.mark.parametrize("name", ["r.jsonl", "r.csv"])
def test_a_line_that_is_not_of_the_encoding_fails_alone(name: str) -> None:
    lines = [b'{"text": "\xe6\x89\x8b"}', b'{"text": "\xff"}', b'{"text": "\xe6\x9c\xba\xe5\x8f\xb7"}']
    if name == "r.csv":
        lines = [b"text", "手机号码，电话号码".encode(), b"\xff", "邮箱".encode()]
    found = _texts(name, b"\n".join(lines)).values()
    assert [text.startswith("!") and text for text in found] == [False, "!encoding", False]


@pytest.mark.parametrize("name", ["r.jsonl", "r.csv"])
@pytest.mark.parametrize(("content", "code"), [(b"", "empty"), (b"\n\n", "empty"), (b"PK\x03\x04\x00\x00", "binary")])
def test_a_file_without_rows_is_one_failure(name: str, content: bytes, code: str) -> None:
    (failure,) = _read(name, content)
    assert isinstance(failure, FailedDocument)
    assert (failure.id, failure.problem.code) == (name, code)
    assert len(failure.source.sha256) == 64


@pytest.mark.parametrize("name", ["r.jsonl", "r.csv"])
def test_a_row_above_the_limit_fails_alone(name: str) -> None:
    content = '{"text": "一"}\n{"text": "' + "长" * 50 + '"}\n{"text": "二"}\n'
    if name == "r.csv":
        content = "text,n\n一,1\n" + "长" * 50 + ",2\n二,3\n"
    assert list(_texts(name, content, max_bytes=60).values()) == ["一", "!too-large", "二"]


def test_a_file_of_many_rows_may_be_larger_than_a_document() -> None:
    rows = "".join(json.dumps({"text": f"row {number}"}) + "\n" for number in range(100))
    assert len(_texts("r.jsonl", rows, max_bytes=30)) == 100


def test_a_csv_row_is_a_document_of_its_columns() -> None:
    assert _texts("t.csv", "姓名,电话,备注\n张三,138,\n李四,139,急\n") == {
        "t.csv#2": "姓名: 张三\n电话: 138",
        "t.csv#3": "姓名: 李四\n电话: 139\n备注: 急",
    }


@pytest.mark.parametrize("content", ["id,name\n", "\ufeffname;text\r\n\r\n", "# exported today\nid\ttext\n\t\n"])
def test_a_header_alone_that_names_the_text_or_the_id_is_no_document(content: str) -> None:
    assert _texts("t.csv", content) == {}


@pytest.mark.parametrize("content", ["姓名,电话\n", "张三,138\n", "\n", ""])
def test_any_other_single_line_of_a_csv_may_be_a_row_and_is_told(content: str) -> None:
    assert _texts("t.csv", content) == {"t.csv": "!empty"}


def test_a_header_alone_without_the_column_that_was_asked_for_is_told() -> None:
    assert _texts("t.csv", "id,name\n", text_field="内容") == {"t.csv": "!malformed"}


def test_a_csv_column_with_the_name_of_the_text_field_is_the_text() -> None:
    assert _texts("t.csv", "id,text\n1,一\n2,\n3,三\n") == {"1": "一", "2": "!empty", "3": "三"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "甲,乙\n1,2\n"),
        ("t.csv", "甲;乙\n1;2\n"),
        ("t.csv", "甲\t乙\n1\t2\n"),
        ("t.csv", "甲|乙\n1|2\n"),
        ("t.csv", "sep=;\n甲;乙\n1;2\n"),
        ("t.tsv", "甲\t乙\n1\t2\n"),
        ("t.tsv", "甲,乙\n1,2\n"),
        ("t.csv", "\ufeff甲,乙\r\n1,2\r\n"),
        ("t.csv", "甲,乙\r1,2\r"),
        ("t.csv", '"甲","乙"\n"1","2"\n'),
    ],
)
def test_the_delimiter_of_a_table_is_detected(name: str, content: str) -> None:
    assert list(_texts(name, content).values()) == ["甲: 1\n乙: 2"]


def test_quoted_cells_hold_line_ends_delimiters_and_quotes() -> None:
    content = '名,注\n张三,"第一行\n第二行, ""引""号"\n李四,x\n'
    assert _texts("t.csv", content) == {
        "t.csv#2": '名: 张三\n注: 第一行\n第二行, "引"号',
        "t.csv#4": "名: 李四\n注: x",
    }


def test_a_cell_may_be_very_large() -> None:
    cell = "长" * 200_000
    assert _texts("t.csv", f"text,n\n{cell},1\n") == {"t.csv#2": cell}


def test_a_quote_that_is_never_closed_fails_its_own_row_only() -> None:
    assert _texts("t.csv", 'text,n\n一,1\n"二,2\n三,3\n四,4\n') == {
        "t.csv#2": "一",
        "t.csv#3": "!malformed",
        "t.csv#4": "三",
        "t.csv#5": "四",
    }


def test_a_quote_inside_a_cell_is_read_as_people_mean_it() -> None:
    assert _texts("t.csv", 'text,n\n"一"二,1\n5" pipe,2\n') == {"t.csv#2": "一二", "t.csv#3": '5" pipe'}


def test_ragged_and_blank_rows_are_read_as_far_as_they_go() -> None:
    assert _texts("t.csv", "a,b,\n1\n,,\n\n1,2,3,4\n") == {
        "t.csv#2": "a: 1",
        "t.csv#5": "a: 1\nb: 2\ncolumn 3: 3\ncolumn 4: 4",
    }


def test_a_header_alone_is_an_empty_table() -> None:
    (failure,) = _read("t.csv", "a,b\n")
    assert isinstance(failure, FailedDocument)
    assert (failure.problem.code, "header" in failure.problem.message) == ("empty", True)


CELL = st.text(st.sampled_from('甲乙a1 ,;"\n'), max_size=8)


@given(st.lists(st.tuples(CELL, CELL).filter(lambda row: "".join(row).strip()), min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_what_csv_writers_write_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    import csv
    import io

    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([("first", "second"), *rows])
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_text(out.getvalue(), encoding="utf-8", newline="")
    items = list(ingest.read([str(path)], ReadOptions(text_field="first")))
    assert [item.text if isinstance(item, Document) else "" for item in items] == [
        row[0] if row[0].strip() else "" for row in rows
    ]


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the public samples are not here")
def test_the_public_samples_give_their_rows() -> None:
    (row,) = ingest.read([str(SAMPLES / "jsonl" / "spacy-llm__ner.jsonl")])
    assert isinstance(row, Document)
    assert row.text == "Jack and Jill went up the hill."
    rows = list(ingest.read([str(SAMPLES / "csv" / "docling__csv-single-column.csv")]))
    assert [item.text for item in rows if isinstance(item, Document)][:2] == [
        "Industry: Accounting/Finance",
        "Industry: Automotive",
    ]
    assert len(rows) == 6
