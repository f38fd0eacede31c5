"""The questions have the lengths that the figures are quoted for."""

import statistics
from pathlib import Path

import pytest

from benchmarks import workload
from extractor.chatglm3.tokenizer import Tokenizer

ROOT = Path(__file__).resolve().parents[2]
REAL_TOKENIZER = ROOT.parent / "shared" / "reference" / "tokenizer"


@pytest.fixture(scope="module")
def demo() -> Tokenizer:
    return Tokenizer(ROOT / "extractor" / "models" / "demo")


def test_documents_have_80_to_700_characters_and_are_the_same_each_time() -> None:
    documents = workload.documents(64)
    lengths = [len(document.text) for document in documents]
    assert 80 <= min(lengths) < 100
    assert 680 < max(lengths) <= 700
    assert [document.text for document in documents] == [document.text for document in workload.documents(64)]
    assert documents[0].text != workload.documents(1, seed=1)[0].text


@pytest.mark.parametrize("count", [16, 64, 256, 1024])
def test_a_few_documents_are_as_long_on_average_as_many(count: int) -> None:
    documents = workload.documents(count)
    assert statistics.mean(len(document.text) for document in documents) == pytest.approx(390, rel=0.03)
    assert [d.text for d in documents[:8]] == [d.text for d in workload.documents(8)]


def test_every_document_holds_its_four_values() -> None:
    text = max((document.text for document in workload.documents(64)), key=len)
    assert all(f"{name}：" in text for name in workload.schema("verbatim")["properties"])


def test_prompts_share_their_instruction_and_differ_in_the_document() -> None:
    if not REAL_TOKENIZER.is_dir():
        pytest.skip("the real tokenizer is not ours to redistribute; it is read only where it lies")
    tokenizer, task = Tokenizer(REAL_TOKENIZER), workload.task("none")
    questions = [workload.question(document, task, tokenizer) for document in workload.documents(64)]
    assert workload.shared_prefix(questions) == pytest.approx(140, abs=8)
    assert statistics.mean(len(question.ids) for question in questions) == pytest.approx(420, abs=10)


@pytest.mark.parametrize("tokens", [512, 2048, 6144])
def test_long_documents_have_the_tokens_asked_for(tokens: int, demo: Tokenizer) -> None:
    texts = [document.text for document in workload.long_documents(2, tokens, demo)]
    assert [len(demo.encode(text)) for text in texts] == [pytest.approx(tokens, abs=2)] * 2
    assert texts[0] != texts[1]


def test_both_schemas_accept_the_same_answers() -> None:
    names = list(workload.schema("none")["properties"])
    assert workload.plain_schema()["required"] == names
    for ground in ("none", "verbatim"):
        task = workload.task(ground)
        assert [field.name for field in task.fields] == names
        assert not task.validate(dict.fromkeys(names, "十二个字以内"))
        assert task.validate({**dict.fromkeys(names, None), names[0]: "这是一个超过了十二个字的值"})
