"""What the model is asked, to the letter."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from extractor.data import Chunk, Completion, Document, Json, Message, Rejection, Source
from extractor.errors import PromptError
from extractor.stages import prompting
from extractor.task import rendering
from extractor.task.bundled import PROMPTS, SCHEMAS
from extractor.task.task import Task, load_task, make_task
from tests.builders import rendered

BOOK = (
    '从上文中，提取"信息"(keyword,content)，包括:"手机号"、"邮箱"、"账号"、"密码"类型的实体，'
    "只输出这些实体，不要其他的。输出JSON格式内容"
)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "title": "A", "description": "the first"}}}


def _chunk(text: str) -> Chunk:
    return Chunk(Document("d", text, Source("d", "")), 0, 0, len(text))


def _task(template: str) -> Task:
    return replace(make_task(SCHEMA), template=template)


def test_the_prompt_of_the_book_is_rendered_to_the_letter() -> None:
    prompt = rendered(load_task("contact", "book"), _chunk("手机号18888888888"), 64)
    assert prompt.messages == (Message("user", f"手机号18888888888\n\n{BOOK}"),)


@pytest.mark.parametrize("schema", SCHEMAS.names())
@pytest.mark.parametrize("name", PROMPTS.names())
def test_every_bundled_prompt_names_every_field_of_every_bundled_schema(name: str, schema: str) -> None:
    task = load_task(schema, name)
    prompt = rendered(task, _chunk("正文 the text"), 64)
    (turn,) = prompt.messages
    assert "正文 the text" in turn.content
    assert all(field.name in turn.content for field in task.fields)


@pytest.mark.parametrize("name", PROMPTS.names())
def test_a_retry_begins_as_the_first_attempt_and_shows_answer_and_errors(name: str) -> None:
    task, chunk = load_task("contact", name), _chunk("手机号18888888888")
    first = rendered(task, chunk, 64)
    rejection = Rejection.of(Completion(first, '{"手机号": 1}'), "schema", "/手机号: must be of type string")
    second = rendered(task, chunk, 64, rejected=(rejection,))
    assert second.attempt == 2
    assert second.messages[0].content.startswith(first.messages[0].content)
    assert '{"手机号": 1}' in second.messages[0].content
    assert "/手机号: must be of type string" in second.messages[0].content
    assert prompting.render(second, previous=False).messages == first.messages


def test_half_of_a_chunk_is_not_shown_the_answer_about_the_whole() -> None:
    task, chunk = load_task("contact"), _chunk("手机号18888888888")
    rejection = Rejection.of(Completion(rendered(task, chunk, 64), "{...", "length"), "length", "cut off")
    half = replace(chunk, end=3)
    assert rendered(task, half, 64, rejected=(rejection,)).messages == rendered(task, half, 64).messages


def test_a_document_is_never_parsed_as_a_template() -> None:
    text = "{{ 7 * 7 }} {% for x in y %} {# gone #}"
    assert text in rendered(load_task("contact"), _chunk(text), 64).messages[0].content


def test_a_system_block_becomes_the_system_turn() -> None:
    task = _task("{% block system %}You extract {{ fields[0].name }}.{% endblock %}\nText: {{ document }}")
    system, user = rendered(task, _chunk("x"), 64).messages
    assert (system.role, system.content) == ("system", "You extract a.")
    assert (user.role, user.content) == ("user", "Text: x")


def test_a_field_comes_with_title_description_and_type() -> None:
    task = _task("{% for f in fields %}{{ f.name }}|{{ f.title }}|{{ f.description }}|{{ f.type }}{% endfor %}")
    assert rendered(task, _chunk("x"), 64).messages[0].content == "a|A|the first|string"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ documnt }}", "documnt"),
        ("{% for %}", "line 1"),
        ("{{ document.__class__.__mro__ }}", "unsafe"),
        ("{{ fields.append(1) }}", "unsafe|not safe"),
        ("{% include 'secret' %}", "does not render"),
        ("{{ 1 / 0 }}", "division by zero"),
    ],
)
def test_a_wrong_template_is_refused_before_the_run(template: str, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        prompting.check(_task(template))


def test_a_template_is_sent_what_it_uses_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema may have megabytes, and goes to another process."""
    sent: list[Mapping[str, Json]] = []
    ask = rendering.Renderer.ask

    def recorded(renderer: rendering.Renderer, request: Mapping[str, Json]) -> dict[str, Json]:
        sent.append(request)
        return ask(renderer, request)

    monkeypatch.setattr(rendering.Renderer, "ask", recorded)
    for template in (*(load_task("contact", name).template for name in PROMPTS.names()), "{{ document }}{{ schema }}"):
        rendered(_task(template), _chunk("x"), 64)
        assert ("schema" in sent[-1]["variables"]) == ("{{ schema }}" in template)
