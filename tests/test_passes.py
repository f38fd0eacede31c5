"""Further passes look for what earlier ones missed, and remove nothing."""

import json
import re
from collections.abc import Callable, Sequence

import pytest

from extractor.backends.scripted import Backend
from extractor.config import RunConfig
from extractor.data import Completion, Json, Prompt, Record, Usage
from extractor.errors import UsageError
from extractor.pipeline import Pipeline
from extractor.task.task import Task, load_task
from tests.builders import STRING, STRINGS, a_document, a_task

TEXT = "张三与李四在北京大学附属医院会面，王五在场。电话一13800138000，电话二13900139000。"
TASK = a_task(姓名=STRINGS, 机构=STRINGS, 电话=STRING)
Answers = Sequence[dict[str, Json] | str]


def _by_pass(*answers: dict[str, Json] | str) -> Callable[[Prompt], str]:
    def answer(prompt: Prompt) -> str:
        given = answers[prompt.pass_number - 1]
        return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)

    return answer


def _record(*answers: dict[str, Json] | str, task: Task = TASK, text: str = TEXT, **config: Json) -> Record:
    backend = Backend(answer=_by_pass(*answers))
    (record,) = Pipeline(task, backend, RunConfig(**{"passes": len(answers), **config})).run([a_document(text)])
    return record


def _bundled(name: str) -> Task:
    """Return the task with a bundled prompt."""
    return Task("custom", TASK.schema, name, load_task("contact", name).template)


def test_values_of_later_passes_are_added_in_document_order_and_the_record_names_the_pass() -> None:
    record = _record(
        {"姓名": ["张三"], "机构": None, "电话": None},
        {"姓名": ["李四"], "机构": ["北京大学附属医院"], "电话": None},
        {"姓名": ["王五"], "机构": None, "电话": "13900139000"},
    )
    assert record.status == "ok"
    assert record.data == {"姓名": ["张三", "李四", "王五"], "机构": ["北京大学附属医院"], "电话": "13900139000"}
    assert record.provenance.passes == 3
    assert record.provenance.found_in_pass == {"/姓名/1": 2, "/姓名/2": 3, "/机构/0": 2, "/电话": 3}
    assert record.spans["/姓名/2"] == ((17, 19),)


def test_the_earlier_pass_wins_where_places_overlap() -> None:
    record = _record({"机构": ["北京大学"]}, {"机构": ["北京大学附属医院", "附属医院"]})
    assert record.data is not None
    assert record.data["机构"] == ["北京大学", "附属医院"]
    record = _record({"机构": ["北京大学附属医院"]}, {"机构": ["北京大学"], "姓名": ["张三"]})
    assert record.data is not None
    assert (record.data["机构"], record.data["姓名"]) == (["北京大学附属医院"], ["张三"])


def test_a_later_pass_fills_a_scalar_only_where_it_was_null() -> None:
    record = _record({"电话": "13800138000"}, {"电话": "13900139000", "姓名": ["张三"]})
    assert record.data == {"姓名": ["张三"], "机构": None, "电话": "13800138000"}
    assert record.conflicts == {}
    assert record.provenance.found_in_pass == {"/姓名/0": 2}


def test_a_value_that_is_found_again_is_listed_once() -> None:
    record = _record({"姓名": ["张三", "李四"]}, {"姓名": ["李四", "王五", "张三"]})
    assert record.data is not None
    assert record.data["姓名"] == ["张三", "李四", "王五"]
    assert record.provenance.found_in_pass == {"/姓名/2": 2}


def test_a_pass_that_finds_nothing_new_is_the_last() -> None:
    first, again = {"姓名": ["张三"]}, {"姓名": ["张三"]}
    record = _record(first, again, {"姓名": ["李四"]}, {"姓名": ["王五"]})
    assert (record.attempts, record.provenance.passes, record.provenance.found_in_pass) == (2, 2, {})
    assert record.data is not None
    assert record.data["姓名"] == ["张三"]


def test_a_later_pass_that_fails_costs_no_data_and_is_in_the_errors() -> None:
    record = _record({"姓名": ["张三"]}, "no", max_attempts=2)
    assert (record.status, record.attempts) == ("ok", 3)
    assert [(error.problem.code, error.attempt) for error in record.errors] == [("parse", 1), ("parse", 2)]
    assert record.data is not None
    assert record.data["姓名"] == ["张三"]


def test_a_later_pass_need_not_repeat_required_fields() -> None:
    task = a_task(["姓名", "电话"], 姓名={**STRINGS, "minItems": 1}, 机构=STRINGS, 电话=STRING)
    record = _record({"姓名": ["张三"], "电话": "13800138000"}, {"机构": ["北京大学"]}, task=task)
    assert (record.status, record.errors, record.attempts) == ("ok", (), 2)


@pytest.mark.parametrize("name", ["zh", "en", "book"])
def test_the_prompt_of_a_later_pass_extends_the_first_by_what_was_found(name: str) -> None:
    asked: list[Prompt] = []

    def answer(prompt: Prompt) -> Completion:
        asked.append(prompt)
        names = ["张三"] if prompt.pass_number == 1 else ["李四"]
        return Completion(prompt, json.dumps({"姓名": names}, ensure_ascii=False), usage=Usage(10, 3, 0.5))

    pipeline = Pipeline(_bundled(name), Backend(answer=answer), RunConfig(passes=3))
    (record,) = pipeline.run([a_document(TEXT)])
    first, second, third = (prompt.messages[-1].content for prompt in asked)
    assert second.startswith(first)
    assert '{"姓名": ["张三"]}' in second
    assert '{"姓名": ["张三", "李四"]}' in third
    assert {prompt.sampling.temperature for prompt in asked} == {0.0}
    assert record.usage == Usage(30, 9, 1.5)


def test_passes_of_a_template_without_found_are_sampled_each_with_its_own_seed() -> None:
    asked: list[Prompt] = []

    def answer(prompt: Prompt) -> str:
        asked.append(prompt)
        return json.dumps({"姓名": ["张三", "李四", "王五"][: prompt.pass_number]}, ensure_ascii=False)

    task = Task("custom", TASK.schema, "mine", "找人：{{ document }}")
    (record,) = Pipeline(task, Backend(answer=answer), RunConfig(passes=3, temperature=0.5)).run([a_document(TEXT)])
    assert record.data is not None
    assert record.data["姓名"] == ["张三", "李四", "王五"]
    assert len({prompt.messages for prompt in asked}) == 1
    assert [prompt.sampling.temperature for prompt in asked] == [0.0, 0.5, 0.5]
    assert [(each.pass_number, each.sampling.seed) for each in record.provenance.sampled] == [
        (number, asked[number - 1].sampling.seed) for number in (2, 3)
    ]
    assert asked[1].sampling.seed != asked[2].sampling.seed


def test_each_chunk_has_its_own_passes_and_their_prompts_fit_the_context() -> None:
    names = [f"人{number:03d}" for number in range(150)]
    text = "".join(f"{name}在会上发了言。\n" for name in names)
    longest = 0

    def answer(prompt: Prompt) -> str:
        """Answer with every second name that is not known."""
        nonlocal longest
        longest = max(longest, sum(len(message.content) for message in prompt.messages) + prompt.max_tokens)
        known = (prompt.known or {}).get("姓名") or []
        return json.dumps(
            {"姓名": [name for name in re.findall(r"人\d{3}", prompt.chunk.text) if name not in known][::2]}
        )

    backend = Backend(answer=answer, context=1_600)
    (record,) = Pipeline(_bundled("zh"), backend, RunConfig(max_tokens=400, passes=9)).run([a_document(text)])
    assert record.status == "ok"
    assert record.data is not None
    assert record.data["姓名"] == names
    assert record.provenance.chunks > 2
    assert longest <= 1_600
    assert [text[start:end] for number in range(150) for start, end in record.spans[f"/姓名/{number}"]] == names


def test_the_number_of_passes_is_part_of_the_fingerprint_and_at_least_one() -> None:
    prints = {Pipeline(TASK, Backend(), RunConfig(passes=number)).info.fingerprint for number in (1, 2, 3)}
    assert len(prints) == 3
    with pytest.raises(UsageError, match="number of passes is 0"):
        RunConfig(passes=0)


def test_required_fields_may_be_spread_over_the_chunks() -> None:
    """`required`, `minItems` and the like hold for the document, not for each of its chunks."""
    task = a_task(["电话"], 电话=STRING, 姓名={**STRINGS, "minItems": 2})

    def answer(prompt: Prompt) -> str:
        found = re.findall("张三|李四", prompt.chunk.text)
        phone = re.search(r"1\d{10}", prompt.chunk.text)
        return json.dumps({"电话": phone and phone[0], "姓名": found or None})

    def record(text: str) -> Record:
        (made,) = Pipeline(task, Backend(answer=answer, context=700), RunConfig(max_tokens=100)).run([a_document(text)])
        return made

    filler = "没有别的事。" * 150
    good = record(f"张三{filler}李四{filler}电话13800138000")
    assert (good.status, good.errors) == ("ok", ())
    assert good.provenance.chunks == good.attempts > 3
    bad = record(f"张三{filler}李四{filler}")
    assert (bad.status, bad.data) == ("partial", {"电话": None, "姓名": ["张三", "李四"]})
    assert [error.problem.message for error in bad.errors] == ["/电话: required, not found in the document"]
