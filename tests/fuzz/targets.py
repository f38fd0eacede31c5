"""The properties: what a model answers, schemas, encodings, tables and rows of outputs, all made up.

An unexpected exception is a failure, and so is text that comes from nowhere.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from extractor.data import Document, Extraction, FailedDocument, Json, Rejection
from extractor.encodings.detect import Decoded, decode
from extractor.errors import UsageError
from extractor.ingest.dispatch import read
from extractor.readers._support.files import File, ReadOptions
from extractor.stages.parsing import parse
from extractor.storage.rows import from_line, from_row, to_line
from extractor.task.task import make_task
from tests.builders import INTEGER, STRING, STRINGS, a_task, an_answer
from tests.sinks.records import record

TASK = a_task(姓名=STRING, 年龄=INTEGER, 标签=STRINGS)

ANSWER_PARTS = [
    *"{}[]():,;\"“”‘’'`，：；（）/\\-.…<>#|*= \n\t",
    *("```json\n", "```", "<think>", "</think>", "//", "/*", "*/", "...", "null", "None", "true", "NaN", "-1.5e3"),
    *("姓名", "年龄", "标签", '"姓名": "张三"', "年龄：3", '["a", "b"]', "\\u00e9", "\\ud800", "\\n", '\\"', "1_000"),
]


def _pieces(parts: list[str], most: int) -> st.SearchStrategy[str]:
    """Return texts of the parts that matter to a parser, with any characters between them."""
    return st.lists(st.one_of(st.sampled_from(parts), st.text(max_size=4)), max_size=most).map("".join)


@given(_pieces(ANSWER_PARTS, 40))
def answers(text: str) -> None:
    """An answer is read or rejected, and a value that is read can be written as JSON."""
    outcome = parse(an_answer(text, TASK))
    assert isinstance(outcome, Extraction | Rejection)
    if isinstance(outcome, Extraction):
        json.dumps(outcome.data, allow_nan=False)


NAMES = st.sampled_from(["a", "姓名", "$ref", "a/b", "%", ""])
TYPES = st.sampled_from(
    ["string", "integer", "number", "boolean", "null", "array", "object", "text", ["string", "null"]]
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 10**20), st.floats(), st.text(max_size=3))
REFERENCES = st.sampled_from(["#", "#/$defs/a", "#/properties/a", "#a", "http://a/b", "#/%", "x", "#/$defs/姓名"])


def _schema_of(below: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Return schemas around others: each keyword with what belongs there, now and then with anything."""
    some = st.lists(below, max_size=3)
    named = st.dictionaries(NAMES, below, max_size=3)
    keywords: dict[str, st.SearchStrategy[Json]] = {
        **dict.fromkeys(("properties", "$defs", "patternProperties", "dependentSchemas"), named),
        **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), some),
        **dict.fromkeys(("items", "not", "if", "then", "else", "contains", "additionalProperties"), below),
        **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minimum", "multipleOf"), SCALARS),
        **dict.fromkeys(("x-ground", "format", "$anchor", "$id", "title", "description"), st.text(max_size=5)),
        "pattern": st.sampled_from(["^a+$", "(a+)+$", "[", r"\p{Han}", "(?=a)", "a{1000}", ""]),
        "required": st.lists(NAMES, max_size=2),
        "enum": st.lists(SCALARS, max_size=3),
        "const": SCALARS,
        "type": TYPES,
        "$ref": REFERENCES,
    }
    expected = st.fixed_dictionaries({}, optional=keywords)
    return st.one_of(expected, st.dictionaries(st.sampled_from(list(keywords)), st.one_of(SCALARS, below), max_size=2))


SCHEMAS = st.recursive(
    st.one_of(st.booleans(), st.just({}), TYPES.map(lambda name: {"type": name})), _schema_of, max_leaves=8
)


@given(st.dictionaries(NAMES, SCHEMAS, max_size=3), _schema_of(SCHEMAS))
def schemas(properties: dict[str, Json], around: Json) -> None:
    """A schema is refused in words, or it loads, and then its grammar is built and it judges a value."""
    try:
        task = make_task({**around, "type": "object", "properties": properties})
    except UsageError:
        return
    assert task.grammar
    assert isinstance(task.unconstrained, tuple)
    task.problems(task.completed({name: "a" for name in properties}))


ENCODINGS = ["utf-8", "gb18030", "big5", "shift_jis", "euc-kr", "utf-16", "utf-16-le", "iso2022_kr", "cp1252", "koi8-r"]


@given(
    st.one_of(
        st.binary(max_size=300),
        st.tuples(st.text(max_size=80), st.sampled_from(ENCODINGS)).map(
            lambda found: found[0].encode(found[1], "ignore")
        ),
    )
)
def encodings(data: bytes) -> None:
    """What is decoded is what Python decodes, and a text; the rest is refused in words."""
    decoded = decode(data)
    if isinstance(decoded, Decoded):
        assert data.decode(decoded.encoding) == decoded.text
        decoded.text.encode("utf-8")
    else:
        assert decoded.message


TABLE_PARTS = [*",;\t|\"'#\n\r ", "\r\n", '""', "sep=;\n", "text", "id", "姓名", "电话", "\ufeff", "=1+1"]
READ = ReadOptions()


def _items(name: str, data: bytes, is_empty: bool = False) -> list[Document | FailedDocument]:
    found = list(read(File(name, name, partial(io.BytesIO, data)), READ))
    assert found or is_empty, "nothing at all came of a file"
    for item in found:
        if isinstance(item, Document):
            assert item.text.strip()
            assert all(0 <= each.start <= each.end <= len(item.text) for each in item.segments)
        else:
            assert item.problem.message
    return found


@given(_pieces(TABLE_PARTS, 40), st.sampled_from(["t.csv", "t.tsv", "t.jsonl", "t.json"]))
def tables(text: str, name: str) -> None:
    """A table gives documents and failures, and every letter of a document is from the file.

    It gives at least one, but for a header alone, which names the text or the id.
    """
    data = text.encode("utf-8", "replace")
    for item in _items(name, data, is_empty=name.endswith("sv") and ("text" in text or "id" in text)):
        if isinstance(item, Document) and name.endswith("sv"):
            written = data.decode(item.source.encoding or "utf-8")  # a few bytes may be another encoding as well
            assert set(item.text) <= set(written) | set("column 0123456789: \n"), item.text


CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=6)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=6))
def written_tables(rows: list[list[str]]) -> None:
    """What a CSV writer wrote comes back: each filled cell is in the row's document."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([["甲", "乙", "丙"], *rows])
    found = _items("t.csv", out.getvalue().encode())
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    documents = [item.text for item in found if isinstance(item, Document)]
    assert len(documents) == len(filled)
    for text, row in zip(documents, filled, strict=True):
        assert all(cell.strip() in text for cell in row)


ROW = from_line(to_line(record("a.txt")))
JSON = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3)
)


@given(st.one_of(st.binary(max_size=60), JSON.map(lambda value: json.dumps(value).encode())))
def lines(line: bytes) -> None:
    """A line of an output is JSON or a ValueError."""
    try:
        from_line(line)
    except ValueError:
        return


@given(
    st.dictionaries(st.sampled_from([*ROW, "more"]), JSON, min_size=1, max_size=2),
    st.lists(st.sampled_from([*ROW]), max_size=1),
)
def rows(changed: dict[str, Json], missing: list[str]) -> None:
    """A row is a record or a ValueError, and a record gives a row again."""
    row = {name: value for name, value in {**ROW, **changed}.items() if name not in missing}
    try:
        found = from_row(row)
    except ValueError:
        return
    to_line(found)


TARGETS: dict[str, Callable[[], None]] = {
    target.__name__: target for target in (answers, schemas, encodings, tables, written_tables, lines, rows)
}
