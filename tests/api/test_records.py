"""Records from Python: instances of the class that was asked for, rows of the command line, tables, pieces of HTML."""

import dataclasses
import html
import json
import pickle
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import pandas
import pydantic
import pytest

from extractor import Document, Extractor, Record, RunConfig, TypedRecord, to_pandas
from extractor.data import Conflict, Source, Withheld
from extractor.errors import UsageError
from extractor.report.entries import View
from extractor.task.task import make_task
from tests.api.conftest import FOUND, TEXT, Contact
from tests.cli.conftest import rows
from tests.promises.runs import run
from tests.report.records import found

HOSTILE = "</div><script>alert(\"1\")</script>&amp; <b onclick='x'>手机号18888888888</b>"
TAG = re.compile(r"<(/?[a-z]+)")


def test_an_ok_row_comes_back_as_an_instance_and_no_other(contacts: Extractor[Contact]) -> None:
    whole, nothing, missing = contacts.run([TEXT, " ", "邮箱：service@lanting-coffee.com"], ordered=True)
    assert (whole.status, whole.parsed, whole.text) == ("ok", FOUND, TEXT)
    assert (nothing.status, nothing.parsed, nothing.text) == ("failed", None, None)
    assert (missing.status, missing.parsed) == ("partial", None)
    assert missing.data == {"手机号": None, "邮箱": "service@lanting-coffee.com"}


def test_a_row_that_the_class_refuses_is_partial_and_says_why_without_its_values() -> None:
    class Mobile(pydantic.BaseModel):
        手机号: str

        @pydantic.field_validator("手机号")
        @classmethod
        def is_of_one_net(cls, value: str) -> str:
            if not value.startswith("139"):
                raise ValueError(f"{value} is of another net")
            return value

    with Extractor(Mobile) as extractor:
        refused, taken = extractor.run(["手机号18888888888", "手机号13900000000"], ordered=True)
    assert (taken.status, taken.parsed) == ("ok", Mobile(手机号="13900000000"))
    assert (refused.status, refused.code, refused.parsed) == ("partial", "schema", None)
    assert refused.data == {"手机号": "18888888888"}
    assert refused.errors[-1].problem.message == "the class Mobile refuses the data: 手机号: value_error"


def test_a_bug_in_a_class_costs_its_row() -> None:
    @dataclasses.dataclass
    class Odd:
        手机号: str

        def __post_init__(self) -> None:
            raise ZeroDivisionError(self.手机号)

    with Extractor(Odd) as extractor:
        record = extractor.extract("手机号18888888888")
    assert (record.status, record.parsed) == ("partial", None)
    assert record.errors[-1].problem.message == "the class Odd refuses the data: ZeroDivisionError"


def test_a_masked_value_is_no_value_of_a_class() -> None:
    @dataclasses.dataclass
    class Account:
        账号: str
        密码: Annotated[str, {"x-sensitive": True}]

    with Extractor(Account, config=RunConfig(redact=True)) as extractor:
        record = extractor.extract("账号:root 密码:xiaohua123")
    assert (record.status, record.parsed, record.data) == ("ok", None, {"账号": "root", "密码": "***"})
    shown = record._repr_html_()
    assert "xiaohua123" not in shown
    assert "***" in shown
    assert "root" in shown


def test_without_a_class_the_data_of_an_ok_row_is_what_was_parsed() -> None:
    with Extractor("contact") as extractor:
        record = extractor.extract(TEXT)
    assert record.parsed == record.data == {"手机号": "18888888888", "邮箱": FOUND.mail, "账号": None, "密码": None}


def test_the_dict_of_a_record_is_the_row_that_the_command_line_writes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT, "utf-8")
    _, (written,) = run(tmp_path / "a.txt", output=tmp_path / "rows.jsonl")
    with Extractor("contact", backend="scripted") as extractor:
        record = extractor.extract(tmp_path / "a.txt")
    made = json.loads(json.dumps(record.to_dict()))
    assert made["usage"].keys() == written["usage"].keys()
    assert {**made, "usage": None} == {**written, "usage": None}
    assert rows(tmp_path / "rows.jsonl") == [written]


def test_a_record_can_be_pickled_with_its_instance_and_its_text(contacts: Extractor[Contact]) -> None:
    record = contacts.extract(TEXT)
    again = pickle.loads(pickle.dumps(record))  # noqa: S301
    assert again == record
    assert (again.parsed, again.text, again._repr_html_()) == (FOUND, TEXT, record._repr_html_())


def test_a_short_repr_does_not_hold_the_text_twice(contacts: Extractor[Contact]) -> None:
    assert TEXT not in repr(contacts.extract(TEXT))


@pytest.fixture(scope="module")
def order() -> Iterator[list[TypedRecord[Any]]]:
    @dataclasses.dataclass
    class Order:
        订单号: str
        数量: int | None = None
        金额: Decimal | None = None
        id: str | None = None

    texts = ["订单号：XS-20417，数量：3，金额：318.50", "订单号：XS-20418，金额：12", ""]
    with Extractor(Order) as extractor:
        yield list(extractor.run(texts, ordered=True))


def test_a_table_has_a_row_for_each_record_and_a_column_for_each_field(order: list[TypedRecord[Any]]) -> None:
    table = to_pandas(order)
    names = ["id", "status", "code", "message", "订单号", "数量", "金额", "data.id", "confidence", "path"]
    assert list(table.columns) == names
    assert list(table["status"]) == [each.status for each in order]
    assert list(table["订单号"])[:2] == [each.data["订单号"] for each in order if each.data]
    assert (table["code"][2], table["message"][2]) == ("empty", "there is no text here, or only white space")


def test_integers_stay_integers_beside_gaps_and_numbers_beyond_64_bits_stay_whole() -> None:
    task = make_task({"type": "object", "properties": {"n": {"type": "integer"}, "l": {"type": "array"}}})

    def a_record(n: Any) -> TypedRecord[Any]:
        made = found("a", "1", {"n": n, "l": [1, "x"]})
        values = {each.name: getattr(made, each.name) for each in dataclasses.fields(Record)}
        return TypedRecord(**values, view=View(task))

    table = to_pandas([a_record(1), a_record(None)])
    assert (str(table["n"].dtype), table["n"][0], table["l"][0]) == ("Int64", 1, [1, "x"])
    assert to_pandas([a_record(10**30), a_record(None)])["n"][0] == 10**30
    assert to_pandas([a_record("***")])["n"][0] == "***"


def test_no_records_are_an_empty_table_and_flat_ones_have_a_row_a_value(contacts: Extractor[Contact]) -> None:
    assert len(to_pandas([])) == 0
    flat = to_pandas(contacts.run([TEXT]), flatten=True)
    assert list(flat["value"]) == ["18888888888", "service@lanting-coffee.com"]
    assert [TEXT[start:end] for start, end in zip(flat["start"], flat["end"], strict=True)] == list(flat["value"])


def test_a_table_without_pandas_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="pip install pandas"):
        to_pandas([])


def test_html_marks_each_value_in_its_text(contacts: Extractor[Contact]) -> None:
    shown = contacts.extract(TEXT)._repr_html_()
    assert re.findall(r'<mark title="([^"]+)"[^>]*>([^<]+)</mark>', shown) == [
        ("手机号", "18888888888"),
        ("邮箱", "service@lanting-coffee.com"),
    ]
    assert "".join(re.findall(r">([^<]*)", shown.partition("<div dir=")[2])).strip() == TEXT
    assert "<script" not in shown
    assert "<style" not in shown


def test_everything_in_html_is_escaped(contacts: Extractor[Contact]) -> None:
    record = contacts.extract((HOSTILE, HOSTILE))
    assert record.data is not None
    shown = record._repr_html_()
    hostile = replace(
        record,
        data={**record.data, HOSTILE: HOSTILE},
        conflicts={"/手机号": (Conflict(HOSTILE),)},
        provenance=replace(record.provenance, withheld=(Withheld(HOSTILE, HOSTILE, "ungrounded"),)),
    )
    allowed = {"div", "b", "table", "tr", "th", "td", "span", "mark", "bdi", "i"}
    for each in (shown, hostile._repr_html_()):
        assert {tag.removeprefix("/") for tag in TAG.findall(each)} <= allowed
        assert "onclick='" not in each
        assert html.escape("<script>") in each
    assert hostile._repr_html_().count("&lt;script&gt;") >= 7


def test_html_of_a_failed_row_says_why(contacts: Extractor[Contact]) -> None:
    shown = contacts.extract(12)._repr_html_()  # type: ignore[arg-type]
    assert "failed" in shown
    assert "malformed: an item of type int" in shown
    assert "could not be read" in shown


def test_html_of_a_long_text_shows_what_surrounds_its_values() -> None:
    text = "甲" * 300_000 + "手机号18888888888" + "乙" * 300_000
    at = text.index("1888")
    made = found("long", text, {"x": "18888888888"})
    values = {each.name: getattr(made, each.name) for each in dataclasses.fields(Record)}
    record: TypedRecord[Any] = TypedRecord(
        **{**values, "spans": {"/x": ((at, at + 11),)}}, document=Document("long", text, Source("", ""))
    )
    shown = record._repr_html_()
    assert len(shown) < 60_000
    assert ">18888888888</mark>" in shown
    assert "characters not shown" in shown


def test_a_table_is_one_of_pandas(order: list[TypedRecord[Any]]) -> None:
    assert isinstance(to_pandas(order), pandas.DataFrame)
