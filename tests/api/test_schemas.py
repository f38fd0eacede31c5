"""What says what to extract: a class of pydantic, a dataclass, a dict, a path, a list of fields; and what cannot."""

import dataclasses
import enum
import subprocess
import sys
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, TypeVar

import pydantic
import pydantic.dataclasses
import pydantic.v1
import pytest

from extractor import Extractor
from extractor.api.dataclass_types import convert
from extractor.api.row_types import RowType, make_task_of, row_type
from extractor.data import Json
from extractor.errors import Problem, SchemaError, UsageError
from extractor.task.task import Task
from tests.documentation import ROOT

Phone = NewType("Phone", str)


class Colour(enum.Enum):
    RED = "红"
    BLUE = "蓝"


@dataclasses.dataclass
class Item:
    名称: str
    单价: Decimal
    标签: set[str] = dataclasses.field(default_factory=set)


@dataclasses.dataclass
class Order:
    """Every kind of annotation that a dataclass may have."""

    订单号: Annotated[str, "as printed", {"pattern": "XS-.*"}]
    日期: date | None = dataclasses.field(default=None, metadata={"description": "day", "x-ground": "none", "other": 1})
    时刻: datetime | None = None
    几点: time | None = None
    条目: list[Item] = dataclasses.field(default_factory=list)
    颜色: Colour | None = None
    种类: Literal["a", "b", 3] | None = None
    电话: Phone | None = None
    范围: tuple[int, float] | None = None
    页: tuple[int, ...] = ()
    杂: Mapping[str, int] | None = None
    值: int | str | None = None
    任意: Any = None
    急: bool = False
    上级: "Order | None" = None
    here: str = dataclasses.field(default="", init=False)


def _task(schema: object) -> Task:
    return make_task_of(schema, row_type(schema), "zh")


def test_a_dataclass_is_a_schema() -> None:
    schema = convert(Order).schema
    text, whole, nothing = {"type": "string"}, {"type": "integer"}, {"type": "null"}
    day = {"type": "string", "format": "date"}
    assert schema["required"] == ["订单号"]
    assert schema["properties"] == {
        "订单号": {"type": "string", "description": "as printed", "pattern": "XS-.*"},
        "日期": {"anyOf": [day, nothing], "description": "day", "x-ground": "none"},
        "时刻": {"anyOf": [{"type": "string", "format": "date-time"}, nothing]},
        "几点": {"anyOf": [{"type": "string", "format": "time"}, nothing]},
        "条目": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
        "颜色": {"anyOf": [{"enum": ["红", "蓝"]}, nothing]},
        "种类": {"anyOf": [{"enum": ["a", "b", 3]}, nothing]},
        "电话": {"anyOf": [text, nothing]},
        "范围": {
            "anyOf": [
                {"type": "array", "prefixItems": [whole, {"type": "number"}], "minItems": 2, "maxItems": 2},
                nothing,
            ]
        },
        "页": {"type": "array", "items": whole},
        "杂": {"anyOf": [{"type": "object", "additionalProperties": whole}, nothing]},
        "值": {"anyOf": [whole, text, nothing]},
        "任意": {},
        "急": {"type": "boolean"},
        "上级": {"anyOf": [{"$ref": "#"}, nothing]},
    }
    assert [field.name for field in _task(Order).fields] == list(schema["properties"])


def test_data_becomes_instances_all_the_way_down() -> None:
    data = {
        "订单号": "XS-1",
        "日期": "2024-03-05",
        "时刻": "2024-03-05T08:00:00",
        "几点": "08:00:00",
        "条目": [{"名称": "茶", "单价": 1.1, "标签": ["热", "热"]}],
        "颜色": "红",
        "种类": 3,
        "电话": None,
        "范围": [1, 2],
        "页": [1, 2],
        "杂": {"a": 1},
        "值": "x",
        "急": True,
        "上级": {"订单号": "XS-0"},
    }
    kind = row_type(Order)
    assert kind is not None
    assert kind.instance(data) == Order(
        订单号="XS-1",
        日期=date(2024, 3, 5),
        时刻=datetime(2024, 3, 5, 8),
        几点=time(8),
        条目=[Item("茶", Decimal("1.1"), {"热"})],
        颜色=Colour.RED,
        种类=3,
        范围=(1, 2.0),
        页=(1, 2),
        杂={"a": 1},
        值="x",
        急=True,
        上级=Order("XS-0"),
    )


T = TypeVar("T")


@dataclasses.dataclass
class Shift:
    lasts: timedelta


def test_a_length_of_time_becomes_a_timedelta_and_months_do_not() -> None:
    converted = convert(Shift)
    assert converted.schema["properties"] == {"lasts": {"type": "string", "format": "duration"}}
    assert converted.make({"lasts": "P1DT1H30M"}) == Shift(timedelta(days=1, hours=1, minutes=30))
    for text in ("P1M", "P999999999999D"):
        with pytest.raises(ValueError, match="not a number of days"):
            converted.make({"lasts": text})


@pytest.mark.parametrize(
    "hint", [bytes, list[complex], date | int, Colour | Item, Literal[b"x"], dict[int, str], T, "Unknown"], ids=str
)
def test_an_annotation_that_is_not_understood_is_refused_by_name(hint: Any) -> None:
    kind = dataclasses.make_dataclass("Odd", [("good", str), ("bad", hint)])
    with pytest.raises(SchemaError, match=r"Odd\.bad is|annotations of Odd cannot be resolved: name 'Unknown'"):
        Extractor(kind)


def test_a_constraint_of_pydantic_in_a_plain_dataclass_is_refused_and_other_annotations_are_not() -> None:
    wrong = dataclasses.make_dataclass("Odd", [("bad", Annotated[str, pydantic.Field(pattern="a")])])
    with pytest.raises(SchemaError, match=r"Odd\.bad has a FieldInfo"):
        convert(wrong)
    right = dataclasses.make_dataclass("Odd", [("good", Annotated[str, object()])])
    assert convert(right).schema["properties"] == {"good": {"type": "string"}}


def test_classes_of_one_name_are_definitions_of_their_own() -> None:
    parts = [dataclasses.make_dataclass("Same", [(name, str)]) for name in "abc"]
    whole = dataclasses.make_dataclass("Whole", list(zip(("one", "two", "three"), parts, strict=True)))
    data = {"one": {"a": "1"}, "two": {"b": "2"}, "three": {"c": "3"}}
    converted = convert(whole)
    assert list(converted.schema["$defs"]) == ["Same", "Same2", "Same3"]
    assert converted.make(data) == whole(*(part(str(number)) for number, part in enumerate(parts, start=1)))
    assert _task(whole).validate(data) == ()
    assert _task(whole).validate({**data, "one": {"b": "1"}}) != ()


class Strict(pydantic.BaseModel, strict=True):
    day: date = pydantic.Field(alias="日期")
    mail: str | None = pydantic.Field(None, alias="邮箱", json_schema_extra={"x-sensitive": True})


@pydantic.dataclasses.dataclass
class Checked:
    年龄: Annotated[int, pydantic.Field(ge=0, lt=150)]


class Former(pydantic.v1.BaseModel):
    姓名: str


@pytest.mark.parametrize(
    ("kind", "data", "instance", "names"),
    [
        (Strict, {"日期": "2024-03-05"}, Strict(日期=date(2024, 3, 5)), ["日期", "邮箱"]),
        (Checked, {"年龄": 30}, Checked(30), ["年龄"]),
        (Former, {"姓名": "李"}, Former(姓名="李"), ["姓名"]),
    ],
)
def test_classes_of_pydantic_are_schemas(kind: type, data: Json, instance: object, names: list[str]) -> None:
    task, rows = _task(kind), row_type(kind)
    assert rows is not None
    assert (task.name, [field.name for field in task.fields]) == (kind.__name__, names)
    assert rows.instance(data) == instance
    assert isinstance(rows.instance({}), Problem)


def test_what_an_alternative_to_null_is_asked_for_is_its_type() -> None:
    assert [(field.type, field.sensitive) for field in _task(Strict).fields] == [("string", False), ("string", True)]


def test_a_class_says_where_it_refuses_and_not_what() -> None:
    rows = row_type(Checked)
    assert rows is not None
    assert rows.instance({"年龄": 200}) == Problem("schema", "the class Checked refuses the data: 年龄: less_than")


def test_a_list_of_fields_is_a_schema() -> None:
    assert [(field.name, field.type) for field in _task(["姓名", "年龄:integer", "标签:string[]"]).fields] == [
        ("姓名", "string"),
        ("年龄", "integer"),
        ("标签", "array"),
    ]
    assert [field.name for field in _task(("价格, 含税",)).fields] == ["价格, 含税"]


def test_a_path_is_a_file_and_never_a_bundled_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("contact").write_text('{"properties": {"mine": {"type": "string"}}}', "utf-8")
    assert [field.name for field in _task(Path("contact")).fields] == ["mine"]
    assert [field.name for field in _task("contact").fields] == ["手机号", "邮箱", "账号", "密码"]
    assert [field.name for field in _task(tmp_path / "contact").fields] == ["mine"]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (7, "The schema is a int. Give a bundled name"),
        (None, "NoneType"),
        (b"contact", "The schema is a bytes"),
        (dict, "The class dict is neither a pydantic model nor a dataclass"),
        (Item("a", Decimal(1)), "an instance of Item. Give the class itself"),
        (Former(姓名="a"), "Former"),
        ([], "names no field"),
        (["姓名", 3], "A field of the list is a int"),
        (["姓名:date-of-birth"], "is no field"),
        ("姓名, 年龄", "Fields are a list"),
        ("kontakt", "no schema called 'kontakt'"),
        (Path("nowhere.json"), "no readable file"),
    ],
    ids=str,
)
def test_what_is_no_schema_is_refused_with_what_is(schema: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Extractor(schema)


def test_a_class_without_a_json_schema_is_refused() -> None:
    class Odd(pydantic.BaseModel, arbitrary_types_allowed=True):
        stream: subprocess.Popen[bytes]

    with pytest.raises(SchemaError, match="The class gives no JSON Schema"):
        Extractor(Odd)


def test_neither_pydantic_nor_pandas_is_needed_or_imported() -> None:
    """In an interpreter that cannot import them, a dataclass is a schema and rows are instances."""
    code = """
import sys
from dataclasses import dataclass
sys.modules.update(dict.fromkeys(("pydantic", "pandas", "polars", "tqdm.auto")))
from extractor import Extractor
@dataclass
class Contact:
    手机号: str
    邮箱: str | None = None
with Extractor(Contact) as extractor:
    (record,) = extractor.run(["手机号18888888888"])
print(record.status, record.parsed, len(record._repr_html_()) > 100)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=100, check=False
    )
    assert done.stderr == ""
    assert done.stdout == "ok Contact(手机号='18888888888', 邮箱=None) True\n"


def test_examples_may_be_instances() -> None:
    examples = [
        {
            "text": "订单XS-1，茶1.5元，2024年3月5日",
            "data": Order("XS-1", date(2024, 3, 5), 条目=[Item("茶", Decimal("1.5"))]),
        }
    ]
    (shown,) = Extractor(Order, examples=examples).task.examples
    assert list(shown.data) == list(convert(Order).schema["properties"])
    assert shown.data["日期"] == "2024-03-05"
    assert shown.data["条目"] == [{"名称": "茶", "单价": 1.5, "标签": []}]
    (shown,) = Extractor(Strict, examples=[{"text": "2024-03-05", "data": Strict(日期=date(2024, 3, 5))}]).task.examples
    assert shown.data == {"日期": "2024-03-05", "邮箱": None}


def test_an_instance_is_made_of_what_is_there() -> None:
    assert RowType("R", {}, dict).instance({"a": 1}) == {"a": 1}
