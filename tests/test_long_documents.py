"""The values of a long document are found whatever the context: once, in order, at their places."""

import random
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor import Extractor, backends
from extractor.backends.scripted import Backend
from extractor.config import ModelConfig, RunConfig
from extractor.data import Json, Prompt, Record, Span
from extractor.pipeline import Pipeline
from extractor.task.task import Schema, make_task
from tests import contracts
from tests.builders import a_document

TASK = make_task(contracts.SCHEMA)
Answer = Callable[[Prompt], str]


def _record(text: str, context: int, answer: Answer = contracts.perfect, **config: Json) -> Record:
    backend = Backend(answer=answer, context=context)
    (record,) = Pipeline(TASK, backend, RunConfig(**config)).run([a_document(text)])
    return record


def _places(record: Record, name: str) -> list[Span]:
    """Return the places of all values of a field, in order."""
    below = re.compile(rf"/{name}(/.*)?$")
    return sorted(span for pointer, spans in record.spans.items() if below.match(pointer) for span in spans)


def _assert_true(record: Record, text: str) -> None:
    expected = contracts.truth(text)
    assert record.status == "ok", record.errors[:5]
    assert record.data is not None
    for name, value in expected.data.items():
        assert record.data[name] == value, name
    for name, places in expected.places.items():
        assert _places(record, name) == (places if isinstance(expected.data[name], list) else places[:1]), name
    assert record.conflicts == {}


@pytest.mark.parametrize("context", [2_048, 8_192, 32_768])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_contract_of_30_000_characters_gives_the_same_in_any_context(context: int, seed: int) -> None:
    text = contracts.contract(30_000, seed)
    record = _record(text, context)
    _assert_true(record, text)
    whole = _record(text, 65_536)
    assert whole.provenance.chunks == 1
    assert (record.data, record.spans) == (whole.data, whole.spans)
    assert record.provenance.chunks >= 30_000 / context


@pytest.mark.parametrize("filler", ["字", "字，", "句。", "w ", "9,"])
def test_a_value_is_found_wherever_the_chunk_border_falls(filler: str) -> None:
    """Move the values over the border in steps of three characters."""
    value = (
        "签订，联系电话13800138000，价款为人民币1,234,567.00元，由「北京蓝亭新能源有限公司」负责，应当交付服务器20台"
    )
    head = "合同编号：CG-2024-1234\n2024年3月5日"
    for shift in range(0, 90, 3):
        front = (filler * 400)[: 250 + shift]
        text = f"{head}{front}{value}{(filler * 400)[:700]}"
        text = text.replace("2024年3月5日", "2024年3月5日签订", 1)
        record = _record(text, 900, max_tokens=200, overlap=120)
        _assert_true(record, text)
        assert record.provenance.chunks > 1


VALUES = (
    *("联系电话1380013{0:04d}", "人民币1,{0:03d}.00元", "「北京蓝亭商贸第{0}有限公司」", "交付服务器{0}台"),
    *("甲乙双方", "（abc）", "a1b2", "x" * 30),
)
PAUSES = ("，", "。", "；", "\n", "， ")


def _unbroken(seed: int) -> str:
    """Make a text of values one after the other, with nowhere to pause."""
    chance = random.Random(seed)
    return "".join(chance.choice(VALUES).format(number) for number in range(100, chance.randrange(130, 180)))


REPEATED = st.lists(st.tuples(st.sampled_from(VALUES), st.integers(1, 3), st.sampled_from(PAUSES)), max_size=80).map(
    lambda words: "".join(word.format(number) + pause for word, number, pause in words)
)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.integers().map(_unbroken), REPEATED), st.integers(430, 700), st.integers(80, 110))
def test_perfect_answers_about_chunks_give_the_perfect_record(words: str, context: int, overlap: int) -> None:
    """Check texts without a place to pause, and texts whose values and rows are repeated."""
    text = f"合同编号：CG-2024-1234，2024年3月5日签订{words}"
    _assert_true(_record(text, context, max_tokens=100, overlap=overlap), text)


def test_the_demo_model_gives_for_the_whole_what_it_gives_for_the_chunks() -> None:
    """Compare the record with those of each chunk as a document of its own."""
    names: Schema = {"type": "array", "items": {"type": "string", "maxLength": 20}}
    schema = {
        "type": "object",
        "properties": {"公司": names, "电话": names, "合同编号": {"type": "string", "maxLength": 20}},
    }
    text = contracts.contract(9_000, seed=3)
    with Extractor(schema=schema, model=ModelConfig("demo", precision="float32")) as extractor:
        pipeline = Pipeline(extractor.task, backends.make("chatglm3", ModelConfig("demo")), extractor.config)
        chunks = [prompt.chunk for prompt in pipeline.prompts(a_document(text))]
        records = extractor.run([text, *(chunk.text for chunk in chunks)])
        whole, *parts = sorted(records, key=lambda record: int(record.id))
    assert whole.provenance.chunks == len(parts) > 3
    expected = [_shifted(record, chunk.start) for record, chunk in zip(parts, chunks, strict=True)]
    for name in ("公司", "电话"):
        said = {place for part in expected for place in part[name]}
        kept = set(_places(whole, name))
        assert kept <= said
        assert all(any(low < end and start < high for low, high in kept) for start, end in said)
    assert whole.data is not None
    first = next(part["合同编号"][0] for part in expected if part["合同编号"])
    assert whole.data["合同编号"] == text[first[0] : first[1]]


def _shifted(record: Record, start: int) -> dict[str, list[Span]]:
    assert record.status == "ok", record.errors
    return {
        name: [(start + low, start + high) for low, high in _places(record, name)]
        for name in ("公司", "电话", "合同编号")
    }
