"""Documents in, records out: retries, long documents and failures, with scripted answers."""

import json
import re
from collections.abc import Callable, Iterable

import pytest

from extractor.backends.scripted import Backend
from extractor.config import RunConfig
from extractor.data import Completion, Document, FailedDocument, Json, Prompt, Record, Source
from extractor.errors import Problem, UsageError
from extractor.pipeline import Pipeline
from extractor.task.task import load_task, make_task

CONTACT = load_task("contact")
PERSON = make_task({"type": "object", "properties": {"姓名": {"type": "array", "items": {"type": "string"}}}})
BOOK = "手机号18888888888\n邮箱123456789@qq.com\n账号:root 密码:xiaohua123\n"


def _document(text: str, name: str = "d") -> Document:
    return Document(name, text, Source(name, "0" * 64, "utf-8", len(text)))


def _answer(**values: Json) -> str:
    return json.dumps({field.name: values.get(field.name) for field in CONTACT.fields}, ensure_ascii=False)


def _in_turn(*answers: str) -> Callable[[Prompt], str]:
    """Answer the first attempt with the first, and so on."""
    return lambda prompt: answers[min(prompt.attempt, len(answers)) - 1]


def _run(documents: Iterable[Document | FailedDocument], backend: Backend, **config: Json) -> list[Record]:
    return list(Pipeline(CONTACT, backend, RunConfig(**config)).run(documents))


def _one(text: str, answer: Callable[[Prompt], str | Completion], **config: Json) -> Record:
    (record,) = _run([_document(text)], Backend(answer=answer), **config)
    return record


def test_a_right_answer_becomes_an_ok_record_with_spans() -> None:
    record = _one(BOOK, lambda _: _answer(手机号="18888888888", 密码="xiaohua123"))
    assert (record.status, record.attempts, record.errors) == ("ok", 1, ())
    assert record.data == {"手机号": "18888888888", "邮箱": None, "账号": None, "密码": "xiaohua123"}
    for pointer, spans in record.spans.items():
        assert [BOOK[start:end] for start, end in spans] == [record.data[pointer[1:]]]
    assert set(record.spans) == {"/手机号", "/密码"}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("I cannot do that", "parse"),
        (_answer(邮箱="no mail"), "schema"),
        (_answer(账号="admin"), "ungrounded"),
    ],
)
def test_a_bad_answer_is_retried_with_its_reason(bad: str, reason: str) -> None:
    asked: list[Prompt] = []

    def answer(prompt: Prompt) -> str:
        asked.append(prompt)
        return bad if prompt.attempt == 1 else _answer(账号="root")

    record = _one(BOOK, answer)
    assert (record.status, record.attempts) == ("ok", 2)
    assert [error.problem.code for error in record.errors] == [reason]
    assert bad in asked[1].messages[-1].content
    assert "admin" not in json.dumps([error.as_json() for error in record.errors], ensure_ascii=False)


def test_the_third_attempt_is_sampled_with_a_recorded_seed() -> None:
    record = _one(BOOK, _in_turn("no", "no", _answer(账号="root")), temperature=0.5)
    assert record.attempts == 3
    (sampled,) = record.provenance.sampled
    assert sampled.sampling.temperature == 0.5
    again = _one(BOOK, _in_turn("no", "no", _answer(账号="root")), temperature=0.5)
    assert again.provenance.sampled == record.provenance.sampled
    assert sampled.sampling.seed > 0


def test_after_the_last_attempt_the_record_fails_with_every_reason() -> None:
    record = _one(BOOK, _in_turn("no", _answer(邮箱="x"), "no"))
    assert (record.status, record.attempts, record.data) == ("failed", 3, None)
    assert [error.problem.code for error in record.errors] == ["parse", "schema", "parse"]
    assert [error.attempt for error in record.errors] == [1, 2, 3]


def test_after_the_last_attempt_the_most_that_any_answer_left_counts() -> None:
    ungrounded = _answer(账号="admin", 密码="xiaohua123")
    record = _one(BOOK, _in_turn(ungrounded, _answer(账号="admin"), _answer(邮箱="x")))
    assert (record.status, record.attempts) == ("ok", 3)
    assert record.data == {"手机号": None, "邮箱": None, "账号": None, "密码": "xiaohua123"}
    assert [error.problem.code for error in record.errors] == ["ungrounded", "ungrounded", "schema"]
    assert [(each.field, each.value) for each in record.provenance.withheld] == [("账号", "admin")]


REQUIRED = make_task(
    {
        "type": "object",
        "properties": {"姓名": {"type": "string"}, "电话": {"type": "string"}, "年龄": {"type": "integer"}},
        "required": ["姓名", "电话", "年龄"],
    }
)


@pytest.mark.parametrize(
    ("answer", "problems", "data"),
    [
        (
            '{"姓名": "张三", "电话": null, "年龄": 30}',
            [("required", "/电话: required, not found in the document")],
            {"姓名": "张三", "电话": None, "年龄": 30},
        ),
        (
            '{"姓名": "张三"}',
            [
                ("required", "/年龄: required, not found in the document"),
                ("required", "/电话: required, not found in the document"),
            ],
            {"姓名": "张三", "电话": None, "年龄": None},
        ),
        (
            '{"姓名": "张三", "电话": "110", "年龄": 30}',
            [("ungrounded", "/电话: required, not found in the document, without the values withheld")],
            {"姓名": "张三", "电话": None, "年龄": 30},
        ),
    ],
)
def test_a_document_that_lacks_a_required_value_is_partial_and_keeps_the_rest(
    answer: str, problems: list[tuple[str, str]], data: Json
) -> None:
    backend = Backend(answer=lambda _: answer)
    (record,) = Pipeline(REQUIRED, backend).run([_document("姓名：张三，年龄：30岁")])
    assert (record.status, record.data) == ("partial", data)
    last = [(error.problem.code, error.problem.message) for error in record.errors if error.attempt is None]
    assert last == problems


@pytest.mark.parametrize(
    ("answer", "attempts"),
    [('{"姓名": "张三", "年龄": 30}', 2), ('{"姓名": "李四", "年龄": 30}', 3), ('{"姓名": 1, "年龄": "x"}', 3)],
)
def test_an_answer_that_only_lacks_required_values_is_asked_for_once_more(answer: str, attempts: int) -> None:
    backend = Backend(answer=lambda _: answer)
    (record,) = Pipeline(REQUIRED, backend, RunConfig(max_attempts=3)).run([_document("姓名：张三，年龄：30岁")])
    assert (record.attempts, backend.submitted) == (attempts, attempts)


def test_a_required_list_that_came_back_null_is_empty() -> None:
    schema = {**PERSON.schema, "required": ["姓名"]}
    (record,) = Pipeline(make_task(schema), Backend(answer=lambda _: '{"姓名": null}')).run([_document("无人")])
    assert (record.status, record.data, record.attempts) == ("ok", {"姓名": []}, 1)


@pytest.mark.parametrize(
    ("field", "required", "status", "value"),
    [
        ({"type": "string"}, [], "ok", None),
        ({"type": "string"}, ["备注"], "partial", None),
        ({"type": "string", "minLength": 0}, [], "ok", ""),
        ({"type": "string", "minLength": 0}, ["备注"], "ok", ""),
    ],
    ids=["optional", "required", "optional and allowed", "required and allowed"],
)
def test_an_empty_string_is_a_value_where_the_schema_allows_it_in_so_many_words(
    field: Json, required: list[str], status: str, value: Json
) -> None:
    task = make_task({"type": "object", "properties": {"备注": field}, "required": required})
    (record,) = Pipeline(task, Backend(answer=lambda _: json.dumps({"备注": ""}))).run([_document("备注：")])
    assert (record.status, record.data, dict(record.spans)) == (status, {"备注": value}, {})


def test_an_answer_that_was_cut_off_is_retried_with_more_tokens() -> None:
    long = "root" * 15

    def answer(prompt: Prompt) -> Completion:
        full = _answer(账号=long)
        cut = len(full) > prompt.max_tokens
        return Completion(prompt, full[: prompt.max_tokens], "length" if cut else "stop")

    room = len(_answer(账号=long)) - 5
    record = _one(f"账号:{long}", answer, max_tokens=room)
    assert (record.status, record.attempts) == ("ok", 2)
    assert [error.problem.code for error in record.errors] == ["length"]


def test_of_an_answer_that_repeats_itself_until_the_end_what_came_before_is_kept() -> None:
    loop = '{"账号": "root", "邮箱": "a@b.cn", "密码": "x' + "x" * 9000
    record = _one("账号:root a@b.cn x", lambda prompt: Completion(prompt, loop[: prompt.max_tokens], "length"))
    assert (record.status, record.data) == ("partial", {"手机号": None, "邮箱": "a@b.cn", "账号": "root", "密码": None})
    assert set(record.spans) == {"/账号", "/邮箱"}
    assert {error.problem.code for error in record.errors} == {"length"}


def test_a_value_that_breaks_the_schema_in_every_attempt_costs_itself_alone() -> None:
    record = _one("账号:root 邮箱:nobody", lambda _: _answer(账号="root", 邮箱="nobody"))
    assert (record.status, record.attempts) == ("ok", 3)
    assert record.data == {"手机号": None, "邮箱": None, "账号": "root", "密码": None}
    assert {error.problem.code for error in record.errors} == {"schema"}
    assert [(each.field, each.value, each.code) for each in record.provenance.withheld] == [
        ("邮箱", "nobody", "schema")
    ]


def test_a_required_value_that_breaks_the_schema_leaves_the_row_partial() -> None:
    field = {"type": "string", "pattern": "^[0-9]+$"}
    task = make_task({"type": "object", "properties": {"a": field, "b": {"type": "string"}}, "required": ["a"]})
    (record,) = Pipeline(task, Backend(answer=lambda _: '{"a": "x", "b": "y"}')).run([_document("x y")])
    assert (record.status, record.data) == ("partial", {"a": None, "b": "y"})
    assert {error.problem.code for error in record.errors} == {"schema", "required"}


def test_an_item_that_breaks_the_schema_leaves_its_list_and_the_others_keep_their_places() -> None:
    items = {"type": "array", "items": {"type": "string", "maxLength": 3}}
    task = make_task({"type": "object", "properties": {"a": items}})
    (record,) = Pipeline(task, Backend(answer=lambda _: '{"a": ["one", "seven", "two"]}')).run(
        [_document("one seven two")]
    )
    assert (record.status, record.data) == ("ok", {"a": ["one", "two"]})
    assert record.spans == {"/a/0": ((0, 3),), "/a/1": ((10, 13),)}


def test_an_answer_that_never_fits_is_asked_for_in_halves_of_the_chunk() -> None:
    names = [f"人{number:02d}" for number in range(40)]
    text = "".join(f"{name}到了。" for name in names)

    def answer(prompt: Prompt) -> Completion:
        found = re.findall(r"人\d\d", prompt.chunk.text)
        full = json.dumps({"姓名": found}, ensure_ascii=False)
        return Completion(prompt, full[: prompt.max_tokens], "length" if len(full) > prompt.max_tokens else "stop")

    backend = Backend(answer=answer, context=650)
    (record,) = Pipeline(PERSON, backend, RunConfig(max_tokens=200, overlap=8)).run([_document(text)])
    assert record.status == "ok"
    assert record.data == {"姓名": names}
    assert {error.problem.code for error in record.errors} == {"length"}


def test_a_long_document_gives_each_value_of_its_chunks_once() -> None:
    names = [f"人{number:03d}" for number in range(150)]
    text = "".join(f"{name}在会上发了言。\n" for name in names)

    def answer(prompt: Prompt) -> str:
        return json.dumps({"姓名": re.findall(r"人\d{3}", prompt.chunk.text)}, ensure_ascii=False)

    backend = Backend(answer=answer, context=1600)
    (record,) = Pipeline(PERSON, backend, RunConfig(max_tokens=900, overlap=40)).run([_document(text)])
    assert record.status == "ok"
    assert backend.submitted > 3
    assert record.data == {"姓名": names}
    for number, name in enumerate(names):
        assert [text[start:end] for start, end in record.spans[f"/姓名/{number}"]] == [name]


def test_a_prompt_with_its_answer_never_exceeds_the_context() -> None:
    longest = 0

    def answer(prompt: Prompt) -> str:
        nonlocal longest
        longest = max(longest, sum(len(message.content) for message in prompt.messages) + prompt.max_tokens)
        return "no" if prompt.attempt == 1 else _answer()

    (record,) = _run([_document("好。" * 4000)], Backend(answer=answer, context=1000), max_tokens=200)
    assert record.status == "ok"
    assert 800 < longest <= 1000


def test_a_prompt_that_leaves_no_room_for_text_is_refused_before_the_run() -> None:
    with pytest.raises(UsageError, match="no room for text"):
        Pipeline(CONTACT, Backend(context=300), RunConfig(max_tokens=250)).check()


def test_as_many_records_come_out_as_documents_go_in() -> None:
    answers = ["no", _answer(), _answer(账号="root"), "{", _answer(邮箱="???")]
    documents: list[Document | FailedDocument] = [
        _document(f"第{number}份 root", f"d{number}") for number in range(200)
    ]
    documents[50] = FailedDocument("d50", Source("d50", ""), Problem("binary", "not text"))

    def answer(prompt: Prompt) -> str:
        return answers[(int(prompt.chunk.document.id[1:]) + prompt.attempt) % len(answers)]

    records = _run(documents, Backend(answer=answer, lifo=True, batch=5))
    assert sorted(record.id for record in records) == sorted(f"d{number}" for number in range(200))
    assert {record.status for record in records} == {"ok", "failed"}
    assert next(record for record in records if record.id == "d50").errors[0].problem.code == "binary"
    ordered = _run(documents, Backend(answer=answer, lifo=True, batch=5), ordered=True)
    assert [record.id for record in ordered] == [f"d{number}" for number in range(200)]


def test_the_fingerprint_covers_what_can_change_a_result_and_nothing_else() -> None:
    def fingerprint(prompt: str = "zh", **config: Json) -> str:
        return Pipeline(load_task("contact", prompt), Backend(), RunConfig(**config)).info.fingerprint

    assert fingerprint() == fingerprint(window=3, ordered=True)
    different = [fingerprint(), fingerprint("en"), fingerprint(seed=1), fingerprint(constrain=False)]
    assert len(set(different)) == len(different)
