"""A document becomes one record, whatever the outcomes of its chunks, and the record says how."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractor.data import (
    Chunk,
    Completion,
    Conflict,
    Document,
    Extraction,
    FailedDocument,
    Json,
    Prompt,
    Provenance,
    Record,
    RecordError,
    Rejection,
    SampledAnswer,
    Sampling,
    Segment,
    Source,
    Usage,
)
from extractor.errors import Code, Problem
from extractor.stages import thresholds
from extractor.stages.chunking import split
from extractor.stages.merging import merge
from extractor.task.task import Schema, Task
from tests.builders import INTEGER, NUMBER, RUN, STRING, STRINGS, a_document, a_prompt, a_task, grounded

TASK = a_task(姓名=STRINGS, 电话=STRING)


def _chunk(document: Document, text: str, index: int = 0) -> Chunk:
    """Return the chunk of a document that has this text."""
    start = document.text.index(text)
    return Chunk(document, index, start, start + len(text))


def _extractions(document: Document, task: Task, answers: Mapping[str, Json]) -> list[Extraction]:
    """Return the extractions of chunks, by their texts, from these answers."""
    chunks = [_chunk(document, text, index) for index, text in enumerate(answers)]
    outcomes = [grounded(a_prompt(chunk, task), answer) for chunk, answer in zip(chunks, answers.values(), strict=True)]
    extractions = [outcome for outcome in outcomes if isinstance(outcome, Extraction)]
    assert len(extractions) == len(chunks), outcomes
    return extractions


def _merged(text: str, answers: Mapping[str, Json], task: Task = TASK) -> Record:
    document = a_document(text)
    return merge(document, _extractions(document, task, answers), RUN)


def _rejected(
    prompt: Prompt, code: Code = "parse", messages: tuple[str, ...] = ("no JSON",), tokens: int = 1
) -> Rejection:
    return Rejection.of(Completion(prompt, "?", usage=Usage(10, tokens, 0.5)), code, *messages)


def test_a_record_says_where_in_the_file_each_place_is() -> None:
    text = "张三 电话 123\n李四 电话 123"
    segments = (Segment(0, 9, {"page": 1}), Segment(10, 19, {"page": 2}))
    document = replace(a_document(text), segments=segments)
    answers = {"张三 电话 123": {"姓名": ["张三"], "电话": "123"}, "李四 电话 123": {"姓名": ["李四"], "电话": "123"}}
    record = merge(document, _extractions(document, TASK, answers), RUN)
    assert record.locations == {
        "/姓名/0": ({"page": 1},),
        "/姓名/1": ({"page": 2},),
        "/电话": ({"page": 1}, {"page": 2}),
    }
    assert record.locations.keys() == record.spans.keys()


@pytest.mark.parametrize(
    ("place", "where"), [(0, {"page": 1}), (3, {"page": 1}), (4, {"page": 1}), (5, {"page": 3}), (99, {"page": 3})]
)
def test_an_offset_between_segments_belongs_to_the_one_before_it(place: int, where: Mapping[str, Json]) -> None:
    segments = (Segment(0, 4, {"page": 1}), Segment(5, 5, {"page": 2}), Segment(5, 9, {"page": 3}))
    document = replace(a_document("abcd\nefgh"), segments=segments)
    assert document.location(place) == where
    assert a_document("abcd").location(place) == {}


def test_one_chunk_is_one_record() -> None:
    text = "张三 电话 123"
    record = _merged(text, {text: {"电话": "123", "姓名": ["张三"]}})
    assert record == Record(
        id="d",
        status="ok",
        source=Source("d", "0" * 64, "utf-8", len(text)),
        run=RUN,
        data={"姓名": ["张三"], "电话": "123"},
        spans={"/姓名/0": ((0, 2),), "/电话": ((6, 9),)},
        provenance=Provenance(("strict",), {"/姓名/0": "only", "/电话": "only"}),
        attempts=1,
    )
    assert record.data is not None
    assert list(record.data) == ["姓名", "电话"]


def test_a_scalar_is_the_first_in_document_order_and_others_are_conflicts() -> None:
    document = a_document("电话1。电话2。电话1。")
    chunks = [Chunk(document, index, index * 4, index * 4 + 4) for index in range(3)]
    outcomes = [grounded(a_prompt(chunk, TASK), {"电话": chunk.text[2]}) for chunk in chunks]
    record = merge(document, outcomes[::-1], RUN)
    assert record.status == "ok"
    assert record.data == {"姓名": None, "电话": "1"}
    assert record.spans == {"/电话": ((2, 3), (10, 11))}
    assert record.conflicts == {"/电话": (Conflict("2", (6, 7)),)}
    assert record.provenance.chunks == 3


def test_a_value_of_a_later_chunk_replaces_null() -> None:
    record = _merged("无。电话9。", {"无。": {}, "电话9。": {"电话": "9"}})
    assert record.data == {"姓名": None, "电话": "9"}
    assert record.conflicts == {}


def test_lists_are_merged_in_document_order_and_united_by_place() -> None:
    record = _merged(
        "张三、李四、王五。张三又来。",
        {
            "张三、李四、王五。": {"姓名": ["张三", "李四"]},
            "李四、王五。张三又来。": {"姓名": ["张三", "王五", "李四"]},
        },
    )
    assert record.data == {"姓名": ["张三", "李四", "王五", "张三"], "电话": None}
    assert record.spans == {"/姓名/0": ((0, 2),), "/姓名/1": ((3, 5),), "/姓名/2": ((6, 8),), "/姓名/3": ((9, 11),)}


@pytest.mark.parametrize(
    ("items", "answer"),
    [
        (NUMBER, [100, 100, 200]),
        ({"enum": ["A", "B"]}, ["A", "B", "A", "A"]),
        ({**STRING, "x-ground": "none"}, ["x", "x"]),
        ({"type": "boolean"}, [True, True, False]),
    ],
)
def test_a_list_keeps_what_one_answer_repeats(items: Schema, answer: Json) -> None:
    text = "三笔金额：100元、100元、200元。"
    record = _merged(text, {text: {"值": answer}}, a_task(值={"type": "array", "items": items}))
    assert record.data == {"值": answer}


def test_items_of_an_overlap_are_united_by_place_and_repeats_elsewhere_stay() -> None:
    record = _merged(
        "共100元，200元，100元。",
        {"共100元，200元，": {"值": [100, 200]}, "200元，100元。": {"值": [200, 100]}},
        a_task(值={"type": "array", "items": NUMBER}),
    )
    assert record.data == {"值": [100, 200, 100]}
    assert record.spans == {"/值/0": ((1, 4),), "/值/1": ((6, 9),), "/值/2": ((11, 14),)}


@pytest.mark.parametrize(("unique", "data"), [(True, [100, 200]), (False, [100, 200, 100])])
def test_unique_items_are_united_by_value(unique: bool, data: Json) -> None:
    schema: Schema = {"type": "array", "items": NUMBER, "uniqueItems": unique}
    record = _merged(
        "100元。200元。100元。", {"100元。200元。": {"值": [100, 200]}, "元。100元。": {"值": [100]}}, a_task(值=schema)
    )
    assert record.data == {"值": data}


def test_a_value_that_a_chunk_border_cut_short_is_replaced_by_the_whole_one() -> None:
    text = "住在北京市朝阳区，电话12345。"
    schema = a_task(地址=STRINGS, 电话=STRING)
    record = _merged(
        text,
        {
            "住在北京市": {"地址": ["北京市"]},
            "北京市朝阳区，电话12": {"地址": ["北京市朝阳区"], "电话": "12"},
            "电话12345。": {"电话": "12345"},
        },
        schema,
    )
    assert record.data == {"地址": ["北京市朝阳区"], "电话": "12345"}
    assert record.conflicts == {}


def test_objects_are_merged_by_member_and_items_of_lists_are_not() -> None:
    party: Schema = {"type": "object", "properties": {"名": STRING, "址": STRING}}
    task = a_task(方=party, 行={"type": "array", "items": party})
    record = _merged(
        "甲在京。乙在沪。",
        {
            "甲在京。": {"方": {"名": "甲"}, "行": [{"名": "甲", "址": "京"}]},
            "在京。乙在沪。": {"方": {"址": "沪"}, "行": [{"名": "乙"}]},
        },
        task,
    )
    assert record.data == {"方": {"名": "甲", "址": "沪"}, "行": [{"名": "甲", "址": "京"}, {"名": "乙", "址": None}]}
    assert record.spans["/行/1/名"] == ((4, 5),)
    assert record.spans["/方/址"] == ((6, 7),)


def test_merged_data_that_breaks_the_schema_fails_the_record() -> None:
    task = a_task(姓名={**STRINGS, "maxItems": 1})
    record = _merged("张三。李四。", {"张三。": {"姓名": ["张三"]}, "李四。": {"姓名": ["李四"]}}, task)
    assert record.status == "failed"
    assert record.errors == (RecordError(Problem("schema", "/姓名: has more than 1 items")),)
    assert record.data == {"姓名": ["张三", "李四"]}


def test_one_and_true_are_different_values() -> None:
    task = a_task(a={"type": ["integer", "boolean"], "x-ground": "none"})
    record = _merged("甲。乙。", {"甲。": {"a": 1}, "乙。": {"a": True}}, task)
    assert record.conflicts == {"/a": (Conflict(True),)}


def test_equal_values_keep_the_best_confidence() -> None:
    document = a_document("张三。李四张三。")
    task = a_task(姓名={**STRINGS, "uniqueItems": True}, 电话=STRING)
    first, second = _extractions(
        document, task, {"张三。": {"姓名": ["张三"]}, "李四张三。": {"姓名": ["李四", "张三"]}}
    )
    first = replace(first, confidence={"/姓名/0": 0.5, "/电话": 0.9})
    second = replace(second, confidence={"/姓名/0": 0.7, "/姓名/1": 0.8, "/电话": 0.4})
    record = merge(document, [second, first], RUN)
    assert record.data == {"姓名": ["张三", "李四"], "电话": None}
    assert record.confidence == {"/姓名/0": 0.8, "/姓名/1": 0.7, "/电话": 0.9}


# Attempts


def test_problems_of_rejected_attempts_are_kept_in_a_record_that_is_ok() -> None:
    chunk = Chunk(a_document("电话1"), 0, 0, 3)
    first = _rejected(a_prompt(chunk, TASK))
    second = _rejected(a_prompt(chunk, TASK, first), "schema", ("/a: x", "/b: y"), tokens=2)
    third = grounded(a_prompt(chunk, TASK, first, second), {"电话": "1"}, usage=Usage(10, 4, 0.5))
    record = merge(chunk.document, [third], RUN)
    assert record.status == "ok"
    assert record.errors == (
        RecordError(Problem("parse", "no JSON"), 0, 1),
        RecordError(Problem("schema", "/a: x"), 0, 2),
        RecordError(Problem("schema", "/b: y"), 0, 2),
    )
    assert record.attempts == 3
    assert record.usage == Usage(30, 7, 1.5)


def test_halves_of_a_chunk_count_the_attempts_at_the_whole_once() -> None:
    document = a_document("电话1。电话1。")
    whole = _rejected(a_prompt(Chunk(document, 0, 0, 8), TASK), "length", ("cut off",))
    halves = [Chunk(document, 0, 0, 4), Chunk(document, 0, 4, 8)]
    outcomes = [grounded(a_prompt(half, TASK, whole), {"电话": "1"}, usage=Usage(1, 1, 1.0)) for half in halves]
    record = merge(document, outcomes, RUN)
    assert record.errors == (RecordError(Problem("length", "cut off"), 0, 1),)
    assert record.usage == Usage(12, 3, 2.5)
    assert (record.status, record.attempts) == ("ok", 3)


def test_a_document_with_a_chunk_without_answer_fails_and_keeps_the_rest() -> None:
    document = a_document("电话1。电话2。")
    good = grounded(a_prompt(Chunk(document, 0, 0, 4), TASK), {"电话": "1"})
    bad = _rejected(a_prompt(Chunk(document, 1, 4, 8), TASK))
    record = merge(document, [bad, good], RUN)
    assert record.status == "failed"
    assert record.data == {"姓名": None, "电话": "1"}
    assert record.errors == (
        RecordError(Problem("parse", "no JSON"), 1, 1),
        RecordError(Problem("parse", "part 2 of 2, characters 4 to 8: no usable answer"), 1),
    )


def test_a_document_without_any_answer_has_no_data() -> None:
    chunk = Chunk(a_document("电话1"), 0, 0, 3)
    record = merge(chunk.document, [_rejected(a_prompt(chunk, TASK), "overflow", ("too long",))], RUN)
    assert (record.status, record.data, record.provenance) == ("failed", None, Provenance())
    assert record.errors == (RecordError(Problem("overflow", "too long"), 0, 1),)


def test_provenance_names_sampled_answers_with_their_seed() -> None:
    chunk = Chunk(a_document("电话1"), 0, 0, 3)
    first = _rejected(a_prompt(chunk, TASK))
    outcome = grounded(a_prompt(chunk, TASK, first, sampling=Sampling(0.7, 42)), {"电话": "1"})
    sampled = merge(chunk.document, [outcome], RUN).provenance.sampled
    assert sampled == (SampledAnswer(0, 2, 1, Sampling(0.7, 42)),)
    assert [each.as_json() for each in sampled] == [{"chunk": 0, "attempt": 2, "temperature": 0.7, "seed": 42}]


def test_provenance_lists_once_how_answers_were_parsed() -> None:
    document = a_document("甲。乙。丙。")
    chunks = split(document, len, 2)
    outcomes = _extractions(document, TASK, {chunk.text: {} for chunk in chunks})
    fenced = replace(outcomes[1], parsed="fence")
    assert merge(document, [outcomes[0], fenced, outcomes[2]], RUN).provenance.parsed == ("strict", "fence")


def test_an_unreadable_document_is_a_failed_record() -> None:
    source = Source("x.bin", "0" * 64)
    record = merge(FailedDocument("x.bin", source, Problem("binary", "holds NUL bytes")), (), RUN)
    assert (record.id, record.status, record.attempts, record.data) == ("x.bin", "failed", 0, None)
    assert record.errors == (RecordError(Problem("binary", "holds NUL bytes")),)


@given(st.lists(st.sampled_from("甲乙丙丁戊"), max_size=60), st.integers(4, 12), st.integers(0, 3))
def test_a_document_in_chunks_gives_the_same_data_as_in_one(names: list[str], budget: int, overlap: int) -> None:
    document = a_document("。".join(names) + "。")
    outcomes = [
        grounded(a_prompt(chunk, TASK), {"姓名": [char for char in chunk.text if char != "。"]})
        for chunk in split(document, len, budget, overlap)
    ]
    record = merge(document, outcomes, RUN)
    assert record.status == "ok"
    assert record.data == {"姓名": names, "电话": None}
    for pointer, spans in record.spans.items():
        assert {document.text[start:end] for start, end in spans} == {record.data["姓名"][int(pointer.split("/")[2])]}


@pytest.mark.parametrize("schema", [INTEGER, {"anyOf": [INTEGER, {"type": "null"}]}])
def test_numbers_keep_their_type(schema: Schema) -> None:
    record = _merged("共12个", {"共12个": {"数": 12}}, a_task(数=schema))
    assert record.data == {"数": 12}


# Values that are withheld, or kept with a flag


def _without(document: Document, answers: Mapping[str, tuple[Json, Mapping[str, float]]], task: Task) -> Record:
    """Return the record of chunks, by their texts, with values of a confidence below 0.5 withheld."""
    extractions = _extractions(document, task, {text: answer for text, (answer, _) in answers.items()})
    confidences = [confidence for _, confidence in answers.values()]
    return merge(
        document,
        [
            thresholds.apply(replace(extraction, confidence=confidence), 0.5)
            for extraction, confidence in zip(extractions, confidences, strict=True)
        ],
        RUN,
    )


def test_a_withheld_value_is_listed_unless_another_chunk_gave_it_with_confidence() -> None:
    document = a_document("张三，电话1。张三，电话2。")
    record = _without(
        document,
        {
            "张三，电话1。": ({"姓名": ["张三"], "电话": "1"}, {"/姓名/0": 0.1, "/电话": 0.4}),
            "张三，电话2。": ({"姓名": ["张三"], "电话": "2"}, {"/姓名/0": 0.9, "/电话": 0.8}),
        },
        TASK,
    )
    assert (record.status, record.data) == ("ok", {"姓名": ["张三"], "电话": "2"})
    assert [each.as_json() for each in record.provenance.withheld] == [
        {"field": "电话", "value": "1", "code": "confidence", "confidence": 0.4, "spans": [[5, 6]]}
    ]
    assert record.spans == {"/姓名/0": ((7, 9),), "/电话": ((12, 13),)}
    assert record.conflicts == {}


@pytest.mark.parametrize(
    ("task", "answer", "confidence", "message"),
    [
        (a_task(["电话"], 电话=STRING), {"电话": "1"}, {"/电话": 0.4}, "/电话: required, not found in the document"),
        (a_task(姓名={**STRINGS, "minItems": 1}), {"姓名": ["张"]}, {"/姓名/0": 0.4}, "/姓名: has fewer than 1 items"),
    ],
)
def test_a_record_is_partial_where_the_schema_requires_a_withheld_value(
    task: Task, answer: Json, confidence: Mapping[str, float], message: str
) -> None:
    text = "张，电话1。"
    record = _without(a_document(text), {text: (answer, confidence)}, task)
    assert record.status == "partial"
    assert record.errors == (RecordError(Problem("confidence", f"{message}, without the values withheld")),)
    assert [each.confidence for each in record.provenance.withheld] == [0.4]


def test_a_grounded_value_goes_before_an_ungrounded_one_that_is_kept() -> None:
    document = a_document("无。电话2。电话2。")
    task = a_task(电话={**STRING, "x-ungrounded": "keep"})
    record = merge(
        document,
        _extractions(document, task, {"无。": {"电话": "9"}, "电话2。": {"电话": "2"}}),
        RUN,
    )
    assert record.data == {"电话": "2"}
    assert record.conflicts == {"/电话": (Conflict("9"),)}
    assert record.provenance.grounded == {"/电话": "only"}


def test_a_value_that_is_grounded_in_another_chunk_is_not_flagged() -> None:
    document = a_document("无。电话2。")
    task = a_task(电话={**STRING, "x-ungrounded": "keep"})
    record = merge(document, _extractions(document, task, {"无。": {"电话": "2"}, "电话2。": {"电话": "2"}}), RUN)
    assert record.provenance.grounded == {"/电话": "only"}
    assert record.spans == {"/电话": ((4, 5),)}
