"""`prompts show --render` shows what the model reads, to the token."""

import json
from pathlib import Path

import pytest

from extractor.backends.chatglm3 import Backend
from extractor.chatglm3 import Tokenizer
from extractor.chatglm3.hub import DEMO_FOLDER
from extractor.config import ModelConfig
from extractor.pipeline import Pipeline
from extractor.task.task import load_task
from tests.builders import a_document
from tests.cli.conftest import SAMPLES, Run

RESUME = SAMPLES / "contact" / "resume.txt"
TEXT = RESUME.read_text("utf-8")


def test_the_text_is_the_one_that_the_pipeline_asks_with(extractor: Run) -> None:
    done = extractor("prompts", "show", "zh", "--render", RESUME, "-s", "contact")
    (prompt,) = Pipeline(load_task("contact"), Backend(ModelConfig())).prompts(a_document(TEXT))
    (message,) = prompt.messages
    assert done.stdout == f"<|user|>\n{message.content}\n<|assistant|>\n"
    assert TEXT.strip() in done.stdout


@pytest.mark.parametrize("name", ["zh", "en", "book"])
def test_the_tokens_are_those_that_the_model_is_given(extractor: Run, name: str) -> None:
    shown = json.loads(extractor("prompts", "show", name, "--render", RESUME, "-s", "contact", "--json").stdout)
    tokenizer = Tokenizer(DEMO_FOLDER)
    assert shown["ids"] == [*tokenizer.chat_prompt(shown["messages"]), *tokenizer.encode("\n")]
    assert shown["tokens"] == len(shown["ids"]) == len(shown["pieces"])
    assert shown["pieces"][:3] == ["[gMASK]", "sop", "<|user|>"]
    assert shown["messages"][0]["content"] in "".join(shown["pieces"])
    done = extractor("prompts", "show", name, "--render", RESUME, "-s", "contact", "-v")
    assert [int(line.split()[0]) for line in done.stdout.splitlines()] == shown["ids"]
    assert f"{shown['tokens']} tokens" in done.stderr


def test_a_long_document_is_shown_part_by_part(tmp_path: Path, extractor: Run) -> None:
    (tmp_path / "long.txt").write_text("".join(f"第{number}句话。" for number in range(900)), encoding="utf-8")
    line = ("prompts", "show", "zh", "--render", "long.txt", "-s", "contact")
    first, second = extractor(*line), extractor(*line, "--chunk", "2")
    assert "Chunk 1 of " in first.stderr
    assert "第0句话" in first.stdout
    assert "第0句话" not in second.stdout
    assert extractor(*line, "--chunk", "99").returncode == 2


def test_a_template_and_fields_of_ones_own_can_be_shown(tmp_path: Path, extractor: Run) -> None:
    (tmp_path / "mine.jinja").write_text(
        "{% block system %}只抄写。{% endblock %}{{ document }}\n找：{{ fields | map(attribute='name') | join('、') }}",
        encoding="utf-8",
    )
    done = extractor(
        "prompts", "show", "mine.jinja", "--render", "-", "--fields", "姓名, 年龄:integer", stdin="王芳，30岁"
    )
    assert done.stdout == "<|system|>\n只抄写。\n<|user|>\n王芳，30岁\n找：姓名、年龄\n<|assistant|>\n"


def test_a_record_names_the_version_of_its_prompt_that_the_list_shows(extractor: Run) -> None:
    hashes = dict(line.split()[:2] for line in extractor("prompts", "list").stdout.splitlines())
    row = json.loads(extractor("extract", RESUME, "-s", "contact", "-p", "en", "--record").stdout)
    assert row["run"]["prompt_hash"] == hashes["en"]
    assert len(set(hashes.values())) == len(hashes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--render", RESUME], "Say what to extract"),
        (["--render", "no-such-file", "-s", "contact"], "no-such-file"),
        (["--render", SAMPLES / "contact" / "tickets.jsonl", "-s", "contact"], "several documents"),
        (["--render", ".", "-s", "contact"], "holds no document"),
    ],
)
def test_what_cannot_be_rendered_is_a_usage_error(extractor: Run, arguments: list[str | Path], message: str) -> None:
    done = extractor("prompts", "show", "zh", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
