"""Whatever a template asks for, rendering ends within about a second and 256 MiB, and says why; it runs no code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from extractor.backends.scripted import Backend
from extractor.data import Document, Source
from extractor.errors import PromptError
from extractor.pipeline import Pipeline
from extractor.stages import prompting
from extractor.task import rendering
from extractor.task.task import Task, load_task

TOO_LONG, TOO_MUCH, TOO_DEEP = "more than a second", "more than 256 MiB|characters", "without an end"
ENDLESS = {
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}": TOO_LONG,
    "{{ 9 ** (9 ** 9) }}": TOO_LONG,
    "{% set n = namespace(a=[1], b=[1]) %}{% for i in range(40) %}{% set n.a = [n.a, n.a] %}{% set n.b = [n.b, n.b] %}"
    "{% endfor %}{{ n.a == n.b }}": TOO_LONG,
    '{{ "a" * 10 ** 11 }}': TOO_MUCH,
    '{{ "%999999999d" | format(1) }}': TOO_MUCH,
    '{{ "{:>999999999}".format(1) }}': TOO_MUCH,
    '{{ "a".center(10 ** 9) }}{{ "a" | center(10 ** 9) }}': TOO_MUCH,
    "{{ 'a\nb' | indent(10 ** 10) }}": TOO_MUCH,
    "{{ [0] * 10 ** 10 }}": TOO_MUCH,
    "{{ range(99999) | batch(10 ** 9, 0) | list }}": TOO_MUCH,
    "{{ {'a': 1} | tojson(indent=10 ** 9) }}": TOO_MUCH,
    "{% set n = namespace(s='a') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}": TOO_MUCH,
    "{% for i in range(99999) %}{{ 'a' * 100 }}{% endfor %}": TOO_MUCH,
    "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}": TOO_DEEP,
    "{{ lipsum(n=10 ** 9) }}": "'lipsum' is undefined",
    "{{ " + "(" * 500 + "1" + ")" * 500 + " }}": TOO_DEEP,
}
"""A template and what its refusal says: what one line of Jinja can cost."""

CODE = [
    "{{ document.__class__.__mro__ }}",
    '{{ cycler.__init__.__globals__.os.popen("touch pwned").read() }}',
    '{{ "{0.__class__}".format(document) }}',
    '{% import "/etc/passwd" as x %}',
    '{% include "/etc/passwd" %}',
    '{% set x = schema.update({"properties": {}}) %}',
]


def _task(template: str) -> Task:
    return replace(load_task("contact"), template=template)


@pytest.mark.parametrize("template", ENDLESS, ids=range(len(ENDLESS)))
def test_a_template_that_would_not_end_is_refused_before_the_run(template: str) -> None:
    with pytest.raises(PromptError, match=f"does not render: .*({ENDLESS[template]})"):
        prompting.check(_task(template))
    assert rendering.render("x", "{{ a }}", {"a": "the next one is as ever"}).user == "the next one is as ever"


@pytest.mark.parametrize("template", CODE)
def test_a_template_runs_no_code_and_reads_no_file(
    template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PromptError, match="does not render"):
        prompting.check(_task(template))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ document }}{% if document %}{{ document.splitlines()[3] }}{% endif %}", "no element 3"),
        ("{{ document }}{{ 1 // document.count('\n') }}", "by zero"),
        ("{{ document * (10 ** 9) }}", "more than 256 MiB"),
    ],
)
def test_an_error_that_depends_on_the_document_fails_that_document(template: str, reason: str) -> None:
    texts = ["1\n2\n3\n4", "one line", "5\n6\n7\n8"]
    safe = "{% if document and not '\n' in document %}" + template + "{% endif %}{{ document }}"
    documents = [Document(str(n), text, Source("", str(n))) for n, text in enumerate(texts)]
    pipeline = Pipeline(_task(safe), Backend())
    pipeline.check()
    records = {record.id: record for record in pipeline.run(documents)}
    assert {id: record.code for id, record in records.items()} == {"0": None, "1": "template", "2": None}
    assert reason in records["1"].errors[0].problem.message


def test_a_process_that_somebody_ends_is_replaced() -> None:
    assert rendering.render("x", "{{ a }}", {"a": 1}).user == "1"
    for child in psutil.Process().children():
        if "render_worker.py" in " ".join(child.cmdline()):
            child.kill()
    assert rendering.render("x", "{{ a }}", {"a": "\ud800"}).user == "\ud800"
