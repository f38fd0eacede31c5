"""What a model is taught: the prompts of a run, and of their answers what the constraint leaves open."""

from __future__ import annotations

import json

import pytest

from extractor import backends
from extractor.annotation_formats import AnnotatedText, Notes
from extractor.chatglm3 import read_dims, resolve
from extractor.chatglm3.chat_tokenizer import ChatTokenizer, load_tokenizer
from extractor.config import ModelConfig, RunConfig
from extractor.data import Json
from extractor.engine.constraint import Constraint, Vocabulary
from extractor.pipeline import Pipeline
from extractor.task.task import Task, make_task
from extractor.tuning.questions import as_document, questions, shares_present, split
from extractor.tuning.targets import LEAST_ABSENT, PRESENT, Target, Writer
from tests.tuning.gold import CONTACT, texts

PEOPLE = make_task(
    {
        "type": "object",
        "properties": {
            "人名": {"type": "array", "items": {"type": "string"}},
            "城市": {"type": "array", "items": {"type": "string"}},
        },
    }
)
LOCATION = resolve("demo")
DIMS = read_dims(LOCATION.path)


@pytest.fixture(scope="module")
def tokenizer() -> ChatTokenizer:
    return load_tokenizer(LOCATION.path, DIMS)


@pytest.fixture(scope="module")
def vocabulary(tokenizer: ChatTokenizer) -> Vocabulary:
    return Vocabulary(tokenizer, DIMS.vocab_size)


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline(CONTACT, backends.make("chatglm3", ModelConfig("demo")), RunConfig())


def _targets(
    tokenizer: ChatTokenizer, vocabulary: Vocabulary, items: list[AnnotatedText], task: Task = CONTACT
) -> tuple[list[Target], Notes]:
    notes = Notes()
    ask = Pipeline(task, backends.make("chatglm3", ModelConfig("demo")), RunConfig()).prompts
    asked = list(questions(items, ask, notes))
    writer = Writer(tokenizer, vocabulary, DIMS.vocab_size, DIMS.context, shares_present(asked), notes)
    return writer.targets(asked), notes


def _pieces(tokenizer: ChatTokenizer, target: Target) -> list[str]:
    return [tokenizer.piece_bytes(int(token)).decode() for token in target.ids[target.start :]]


def _item(text: str, **data: Json) -> AnnotatedText:
    return AnnotatedText("1", text, data)


def test_the_prompt_is_that_of_a_run_and_the_answer_is_the_gold(
    tokenizer: ChatTokenizer, vocabulary: Vocabulary, pipeline: Pipeline
) -> None:
    item = texts(1)[0]
    ([target], _) = _targets(tokenizer, vocabulary, [item])
    (prompt,) = pipeline.prompts(as_document(item))
    assert list(target.ids[: target.start]) == tokenizer.answer_prompt(prompt.messages)
    assert json.loads("".join(_pieces(tokenizer, target))) == CONTACT.completed(item.data or {})
    assert target.ids[-1] == tokenizer.eos_id


def test_only_what_the_constraint_leaves_open_counts(tokenizer: ChatTokenizer, vocabulary: Vocabulary) -> None:
    ([target], _) = _targets(tokenizer, vocabulary, [_item("账号 root，密码 x1y2", 账号="root", 密码="x1y2")])
    pieces = _pieces(tokenizer, target)
    counted = {at for at, weight in enumerate(target.weights) if weight > 0}
    forced = "".join(piece for at, piece in enumerate(pieces) if at not in counted)
    assert '"手机号": null' in forced  # the text has nothing of its form
    assert '"账号": ' in forced
    assert counted == target.allowed.keys()
    assert all(len(allowed) > 1 and target.ids[target.start + at] in allowed for at, allowed in target.allowed.items())


def test_nulls_of_a_field_that_is_seldom_filled_count_less(tokenizer: ChatTokenizer, vocabulary: Vocabulary) -> None:
    filled = _item("王芳在北京", 人名=["王芳"], 城市=["北京"])
    empty = [_item(f"李伟第{n}天来", 人名=["李伟"], 城市=[]) for n in range(30)]
    found, _ = _targets(tokenizer, vocabulary, [filled, *empty], PEOPLE)
    place = _pieces(tokenizer, found[1]).index("null")
    assert found[1].weights[place] == pytest.approx(PRESENT * LEAST_ABSENT)
    assert found[0].weights.max() == PRESENT


def test_a_value_that_the_text_lacks_teaches_nothing_and_is_noted(
    tokenizer: ChatTokenizer, vocabulary: Vocabulary
) -> None:
    ([target], notes) = _targets(
        tokenizer, vocabulary, [_item("王芳在北京", 人名=["王芳", "赵敏"], 城市=["上海"])], PEOPLE
    )
    assert json.loads("".join(_pieces(tokenizer, target))) == {"人名": ["王芳"], "城市": None}
    place = _pieces(tokenizer, target).index("null")
    assert target.weights[place] == 0
    assert notes.lines() == ["fields with a value that a run could not answer so, changed or left out: 2"]


def test_items_are_listed_as_often_as_the_text_has_them_and_a_prompt_costs_one_grammar(
    tokenizer: ChatTokenizer, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    constrain = Vocabulary.constrain

    def counted(self: Vocabulary, task: Task, text: str) -> Constraint | None:
        made.append(text)
        return constrain(self, task, text)

    monkeypatch.setattr(Vocabulary, "constrain", counted)
    names = [*["王芳"] * 5, *(f"赵{number}" for number in range(50))]
    ([target], _) = _targets(tokenizer, vocabulary, [_item("王芳在北京", 人名=names, 城市=["北京"])], PEOPLE)
    assert json.loads("".join(_pieces(tokenizer, target))) == {"人名": ["王芳"], "城市": ["北京"]}
    assert made == ["王芳在北京"]


def test_targets_know_how_much_of_their_instructions_they_share(
    tokenizer: ChatTokenizer, vocabulary: Vocabulary
) -> None:
    found, _ = _targets(tokenizer, vocabulary, texts(5))
    (instructions,) = {each.instructions for each in found}
    shared = found[0].shared
    assert instructions == found[0].ids[:shared].tobytes()
    assert len({int(each.ids[shared]) for each in found}) > 1
    ([alone], _) = _targets(tokenizer, vocabulary, texts(1))
    assert alone.shared == alone.start - 1


def test_what_is_held_out_follows_from_the_texts_alone() -> None:
    items = [*texts(20), *texts(20)]
    one, other = split(items, 0.2, 0), split(reversed(items), 0.2, 0)
    held_out = {item.text for item in one.held_out}
    assert held_out == {item.text for item in other.held_out}
    assert held_out.isdisjoint(item.text for item in one.training)
    assert len(one.held_out) == 8
    assert held_out != {item.text for item in split(items, 0.2, 1).held_out}
