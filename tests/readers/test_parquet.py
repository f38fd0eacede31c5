"""Rows of Parquet files as documents."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extractor import ingest
from tests.readers.conftest import Read, failure, texts


def _parquet(columns: dict[str, Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, **options)
    return stream.getvalue()


def test_a_row_is_a_document_with_its_own_id_or_its_number(read: Read) -> None:
    data = _parquet({"body": ["手机号：138", None, " ", "四"], "key": ["a", "b", None, "d"], "n": [1, 2, 3, 4]})
    found = read("in.parquet", data, text_field="body", id_field="key")
    assert texts(found) == {"a": "手机号：138", "b": "!empty", "in.parquet#3": "!empty", "d": "四"}
    assert [item.source.path for item in found] == [f"in.parquet#{number}" for number in range(1, 5)]
    assert texts(read("plain.pq", _parquet({"text": ["x"], "id": [5]}))) == {"5": "x"}


def test_rows_of_many_groups_and_of_texts_in_dictionaries_come_in_their_order(read: Read) -> None:
    column = pa.array([f"t{number % 7}" for number in range(1000)]).dictionary_encode()
    found = read("in.parquet", _parquet({"text": column}, row_group_size=100))
    assert [item.text for item in found] == column.to_pylist()  # type: ignore[union-attr]
    assert ingest.estimate(["in.parquet"]) == 1000


@pytest.mark.parametrize(
    ("columns", "code", "says"),
    [
        ({"a": ["x"], "b": [1]}, "malformed", "--text-column; there are a, b"),
        ({"text": [1]}, "malformed", "holds int64, not text"),
    ],
)
def test_a_table_without_text_says_so(read: Read, columns: dict[str, Any], code: str, says: str) -> None:
    found = failure(read("in.parquet", _parquet(columns)))
    assert found.code == code
    assert says in found.message


def test_a_table_without_rows_holds_no_document(read: Read) -> None:
    assert read("in.parquet", _parquet({"text": pa.array([], pa.string())})) == []


def test_damaged_and_mislabelled_files_fail_alone(read: Read) -> None:
    whole = _parquet({"text": ["x"] * 100})
    assert failure(read("cut.parquet", whole[:-20])).code == "damaged"
    assert failure(read("false.parquet", "just text")).code == "mislabelled"
    assert len(read("unnamed", whole)) == 100
    assert failure(read("long.parquet", _parquet({"text": ["x" * 50]}), max_bytes=10)).code == "too-large"
