"""Worked examples are checked like answers, shown to the model, and never get into an answer unseen."""

import json
from pathlib import Path

import pytest

from extractor import Extractor
from extractor.backends.scripted import Backend
from extractor.config import RunConfig
from extractor.data import Document, Json, Prompt, Record, Source
from extractor.errors import PromptError, UsageError
from extractor.pipeline import Pipeline
from extractor.task.examples import load_examples, make_examples
from extractor.task.task import Task, make_task
from tests.builders import INTEGER, STRING

SCHEMA = {
    "type": "object",
    "properties": {
        "人": STRING,
        "数": INTEGER,
        "类": {"enum": ["买", "卖"]},
        "注": {"type": "string", "x-ground": "none"},
    },
    "additionalProperties": False,
}
SHOWN = {"text": "张三订了一百二十件。", "data": {"人": "张三", "数": 120, "类": "买", "注": "加急"}}


def _task(*rows: Json, prompt: str = "zh", schema: Json = SCHEMA) -> Task:
    return make_task(
        schema, prompt, examples=make_examples((f"x.jsonl, line {at}", row) for at, row in enumerate(rows, 1))
    )


def _run(text: str, *answers: Json, config: RunConfig | None = None, **task: Json) -> Record:
    """The record of a text, the answers given in turn, the last one again and again."""

    def answer(prompt: Prompt) -> str:
        return json.dumps(answers[min(prompt.attempt, len(answers)) - 1], ensure_ascii=False)

    document = Document("d", text, Source("d", "0" * 64, "utf-8", len(text)))
    pipeline = Pipeline(_task(SHOWN, **task), Backend(answer=answer), config or RunConfig())
    pipeline.check()
    (record,) = pipeline.run([document])
    return record


@pytest.mark.parametrize("prompt", ["zh", "en", "book"])
def test_every_bundled_prompt_shows_text_and_whole_answer_of_each_example(prompt: str) -> None:
    pipeline = Pipeline(_task(SHOWN, {"text": "李四不要了", "data": {"人": "李四"}}, prompt=prompt), Backend())
    (asked,) = pipeline.prompts(Document("d", "正文", Source("d", "")))
    content = asked.messages[-1].content
    assert "张三订了一百二十件。" in content
    assert '{"人": "张三", "数": 120, "类": "买", "注": "加急"}' in content
    assert '{"人": "李四", "数": null, "类": null, "注": null}' in content
    assert content.index("李四") < content.index("正文")


def test_a_part_of_an_example_is_the_answer_about_some_of_its_fields() -> None:
    (shown,) = _task(SHOWN).examples
    assert shown.part(["数", "人"]).answer == '{"人": "张三", "数": 120}'


def test_examples_take_room_from_the_text() -> None:
    long = {"text": "王五" + "话" * 500, "data": {"人": "王五"}}
    with_examples, without = (Pipeline(_task(*rows), Backend(context=4096)) for rows in ([long], []))
    assert without.budget.chunk - with_examples.budget.chunk >= 500


def test_examples_are_part_of_the_fingerprint_whatever_file_they_come_from() -> None:
    other = {**SHOWN, "text": "张三订了120件。"}
    prints = [Pipeline(_task(*rows), Backend()).info.fingerprint for rows in ([], [SHOWN], [other])]
    assert len(set(prints)) == 3
    moved = make_task(SCHEMA, examples=make_examples([("y.jsonl, line 9", SHOWN)]))
    assert Pipeline(moved, Backend()).info.fingerprint == prints[1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "张三", "data": {"人": "李四"}}, "x.jsonl, line 1: /人: not in the text"),
        ({"text": "张三", "data": {"数": 5}}, "x.jsonl, line 1: /数: not in the text"),
        ({"text": "张三", "data": {"数": "三"}}, 'x.jsonl, line 1: /数: must be of type "integer"'),
        ({"text": "张三", "data": {"类": "租"}}, 'x.jsonl, line 1: /类: must be one of ["买", "卖"]'),
        ({"text": "张三", "data": {"谁": "张三"}}, "x.jsonl, line 1: /谁: is not known to the schema"),
    ],
)
@pytest.mark.parametrize("ungrounded", ["retry", "keep"])
def test_an_example_that_is_no_right_answer_is_refused_with_line_and_field(
    row: Json, message: str, ungrounded: str
) -> None:
    with pytest.raises(UsageError) as error:
        Pipeline(_task(row), Backend(), RunConfig(ungrounded=ungrounded)).check()
    assert str(error.value).startswith(message)
    with pytest.raises(UsageError):
        Extractor(SCHEMA, examples=[row])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a", "data": {}}\n{"text"', "line 2 is not JSON"),
        (b"\n[1]\n", "line 2 has no `data`"),
        (b'{"data": {"a": 1}}', "line 1 has no `text`"),
        (b'{"text": " ", "data": {}}', "line 1 has no `text`"),
        (b'{"text": "a", "data": {}, "answer": {}}', "line 1 has the unknown key 'answer'"),
        (b"\n\n", "holds no examples"),
        (b"\xff", "is not UTF-8 (byte 0)"),
    ],
)
def test_a_file_that_holds_no_examples_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        load_examples(str(path))
    assert message in str(error.value)


def test_a_prompt_that_shows_no_examples_is_refused(tmp_path: Path) -> None:
    template = tmp_path / "mine.jinja"
    template.write_text("{{ document }}", "utf-8")
    with pytest.raises(PromptError, match="shows no `examples`"):
        Pipeline(_task(SHOWN, prompt=str(template)), Backend()).check()


@pytest.mark.parametrize("ungrounded", ["retry", "null", "keep"])
def test_a_verbatim_field_never_has_the_value_of_an_example_that_is_not_in_the_document(ungrounded: str) -> None:
    record = _run("只有李四。", {"人": "张三", "数": None}, config=RunConfig(ungrounded=ungrounded))
    assert record.data == {"人": None, "数": None, "类": None, "注": None}
    (withheld,) = record.provenance.withheld
    assert (withheld.field, withheld.value, withheld.code) == ("人", "张三", "ungrounded")
    assert {error.problem.code for error in record.errors} == (set() if ungrounded == "null" else {"ungrounded"})


def test_what_other_fields_have_of_an_example_and_not_of_the_document_is_flagged() -> None:
    answer = {"人": "李四", "数": 120, "类": "买", "注": "加急"}
    kept = RunConfig(ungrounded="keep")
    assert _run("只有李四。", answer, config=kept).provenance.grounded == {
        "/人": "only",
        "/数": "example",
        "/类": "example",
        "/注": "example",
    }
    assert _run("李四要买120件，加急。", answer, config=kept).provenance.grounded == {"/人": "only", "/数": "only"}
    other = _run("只有李四。", {"人": "李四", "数": 7, "类": "卖", "注": "慢"}, config=kept)
    assert other.provenance.grounded == {"/人": "only", "/数": "ungrounded"}


def test_the_demo_model_does_not_copy_from_an_example() -> None:
    shown = {
        "text": "手机号13900001111，邮箱zhao@lan.cn，账号zhao，密码Zhao-77",
        "data": {"手机号": "13900001111", "邮箱": "zhao@lan.cn", "账号": "zhao", "密码": "Zhao-77"},
    }
    texts = ["会议改到周五下午三点。", "手机号18888888888", "请联系前台。", "账号:root 密码:xiaohua123"]
    with Extractor("contact", examples=[shown]) as extractor:
        for text, record in zip(texts, sorted(extractor.run(texts), key=lambda record: record.id), strict=True):
            assert record.status == "ok"
            assert record.data is not None
            assert all(value is None or value in text for value in record.data.values())


def test_a_question_about_some_of_the_fields_shows_their_part_of_the_examples() -> None:
    part = _task(SHOWN).part(["人", "数"])
    (asked,) = Pipeline(part, Backend()).prompts(Document("d", "正文", Source("d", "")))
    assert '例答：{"人": "张三", "数": 120}\n' in asked.messages[-1].content


def test_the_value_of_another_field_of_an_example_is_known_in_a_part_too() -> None:
    texts = ["李四不要了。" + "话" * 3000, "加急是别人的事。"]

    def answer(prompt: Prompt) -> str:
        return json.dumps({field.name: "王五先生" if field.name == "注" else None for field in prompt.task.fields})

    shown = {"text": "王五先生订了。", "data": {"人": "王五先生"}}
    pipeline = Pipeline(_task(shown), Backend(answer=answer, context=1400), RunConfig())
    (record,) = pipeline.run([Document("d", "".join(texts), Source("d", "0" * 64))])
    assert record.provenance.chunks > 1
    assert record.provenance.grounded == {"/注": "example"}
