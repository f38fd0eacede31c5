"""No template, schema, model folder or document has code of its own run. Each attack would leave a file behind."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.conftest import ROOT
from tests.promises.runs import run
from tests.promises.watched import watch

DEMO = ROOT / "extractor" / "models" / "demo"
RAN = "ran"
EVIL = f"import pathlib\npathlib.Path({RAN!r}).touch()\n"
SHELL = f"touch {RAN}"

TEMPLATES = {
    "globals of a function": "{{ cycler.__init__.__globals__.os.system('%s') }}",
    "globals of a macro": "{{ lipsum.__globals__['os'].popen('%s').read() }}",
    "subclasses": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "attr": "{{ ''|attr('__class__') }}",
    "format": "{{ '{0.__class__.__init__.__globals__}'.format(fields) }}",
    "format_map": "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "map": "{{ ['']|map(attribute='__class__')|list }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}{{ os.system('%s') }}",
    "extends": "{% extends '../../../../etc/passwd' %}",
    "self": "{{ self._TemplateReference__context }}",
    "code of the loop": "{% for a in [1] %}{{ loop.__class__.__init__.__globals__ }}{% endfor %}",
    "what is called changes": "{{ fields.append(1) }}",
    "import of Python": "{{ __import__('os').system('%s') }}",
}
"""Prompt templates that a stranger wrote."""

SECRETS = ("root:", "<class", "__globals__", "module 'os'", "_TemplateReference")


@pytest.mark.parametrize("attack", TEMPLATES)
def test_a_template_reaches_nothing_of_python(
    attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from extractor import cli

    monkeypatch.chdir(tmp_path)
    template = TEMPLATES[attack]
    Path("p.jinja").write_text(template.replace("%s", SHELL) + " {{ text }}", encoding="utf-8")
    Path("a.txt").write_text("text", encoding="utf-8")
    assert cli.main(["prompts", "show", "p.jinja", "--render", "a.txt", "-s", "contact"]) in (1, 2)
    shown = capsys.readouterr()
    assert [secret for secret in SECRETS if secret in shown.out] == []
    code, _ = run("a.txt", "-p", "p.jinja", output=Path("rows.jsonl"))
    assert code in (1, 2)
    assert not Path(RAN).exists()


class _Code:
    """What runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (SHELL,)


def _of_config(**keys: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        (folder / "config.json").write_text(json.dumps(config | keys), encoding="utf-8")
        (folder / "modeling_evil.py").write_text(EVIL)

    return change


def _weights(pickled: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").unlink(missing_ok=True)
        pickled(folder / "pytorch_model.bin")

    return change


FOLDERS: dict[str, Callable[[Path], None]] = {
    "code of a model": _of_config(auto_map={"AutoModel": "modeling_evil.Evil"}, trust_remote_code=True),
    "code of a tokenizer": _of_config(auto_map={"AutoTokenizer": ["modeling_evil.Evil", None]}),
    "a class": _of_config(architectures=["os.system"], model_type="chatglm", torch_dtype="__import__('os')"),
    "pickle": _weights(lambda path: torch.save({"a": _Code()}, path)),
    "bare pickle": _weights(lambda path: path.write_bytes(pickle.dumps(_Code()))),
    "modules beside it": lambda folder: [
        (folder / f"{name}.py").write_text(EVIL) for name in ("json", "torch", "sentencepiece", "__init__", "conftest")
    ] and None,
    "a program beside it": lambda folder: (folder / "gcc").write_text(f"#!/bin/sh\n{SHELL}\n") and None,
}  # fmt: skip
"""What is done to a folder with a model."""


@pytest.mark.slow
@pytest.mark.parametrize("attack", FOLDERS)
def test_a_model_folder_is_numbers_alone(attack: str, tmp_path: Path) -> None:
    model = Path(shutil.copytree(DEMO, tmp_path / "model"))
    FOLDERS[attack](model)
    (tmp_path / "a.txt").write_text("手机号 13800000000", encoding="utf-8")
    done = watch(tmp_path, "extract", "a.txt", "-s", "contact", "-m", "model")
    assert done.code in (0, 1, 3), done.said
    assert not list(tmp_path.rglob(RAN)), done.said
    assert [program for program in done.programs if SHELL in program] == []


SCHEMAS: dict[str, Any] = {
    "a file": {"$ref": "file:///etc/passwd"},
    "a path": {"properties": {"a": {"$ref": "../../etc/passwd"}}},
    "an expression": {"properties": {"a": {"type": "string", "default": "__import__('os').system('touch ran')"}}},
    "a pattern": {"properties": {"a": {"type": "string", "pattern": "(?{system('touch ran')})"}}},
    "a title": {"properties": {"a": {"type": "string", "title": "{{ cycler.__init__.__globals__.os }}"}}},
    "a description": {"properties": {"a": {"type": "string", "description": "{% include '/etc/passwd' %}"}}},
    "a name": {"properties": {"{{ 7*7*7 }}": {"type": "string"}}},
}  # fmt: skip


@pytest.mark.parametrize("attack", SCHEMAS)
def test_a_schema_is_data(attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.json").write_text(json.dumps({"type": "object", **SCHEMAS[attack]}), encoding="utf-8")
    Path("a.txt").write_text("{{ 7*7*7 }} text", encoding="utf-8")
    code, found = run("a.txt", output=Path("rows.jsonl"), schema="s.json")
    assert code in (0, 1, 2)
    assert not Path(RAN).exists()
    assert [secret for secret in (*SECRETS, "343") if secret in json.dumps(found)] == []
