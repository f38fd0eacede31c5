"""With `--offline` nobody is asked for anything, and a document, schema or model folder never has anything fetched."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import SAMPLES
from tests.promises.watched import watch
from tests.readers.making import word, zipped

URL = "http://192.0.2.1/x"
"""An address of a network that is reserved for documentation."""


ENTITY = f'<?xml version="1.0"?><!DOCTYPE a SYSTEM "{URL}" [<!ENTITY b SYSTEM "{URL}">]><a>&b;</a>'.encode()
DOCUMENTS: dict[str, bytes] = {
    "page.html": f'<base href="{URL}"><link rel=stylesheet href="{URL}"><script src="{URL}"></script><img src="{URL}">'
    f'<style>@import "{URL}"; a {{background: url({URL})}}</style><iframe src="{URL}"></iframe>text'.encode(),
    "mail.eml": f'Content-Type: message/external-body; access-type=URL; URL="{URL}"\n\n\ntext'.encode(),
    "mail page.eml": f'Content-Type: text/html\n\n<img src="{URL}">text'.encode(),
    "link.rtf": f'{{\\rtf1 {{\\field{{\\*\\fldinst INCLUDETEXT "{URL}"}}}}text}}'.encode(),
    "a.docx": word("text"),
    "entity.docx": zipped({"[Content_Types].xml": b"<a/>", "word/document.xml": ENTITY}),
    "entity.odt": zipped({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": ENTITY}),
    "entity.epub": zipped({"mimetype": b"application/epub+zip", "META-INF/container.xml": ENTITY}),
    "entity.ofd": zipped({"OFD.xml": ENTITY}),
    "address.jsonl": json.dumps({"text": URL, "url": URL}).encode(),
    "address.csv": f'text,url\n"=WEBSERVICE(""{URL}"")",{URL}\n'.encode(),
}
"""Documents that name an address for something to be fetched from."""

SCHEMAS = {
    "reference": {"$ref": URL},
    "part": {"properties": {"a": {"$ref": f"{URL}#/a"}}},
    "draft": {"$schema": URL, "properties": {"a": {"type": "string"}}},
    "name": {"$id": URL, "properties": {"a": {"$ref": "b.json"}}},
}
COMMANDS = {
    "a model that is not here": ("run", "in", "-s", "contact", "-o", "rows.jsonl", "-m", "chatglm3-6b"),
    "one answer": ("extract", "in/address.jsonl", "-s", "contact", "-m", "chatglm3-6b"),
    "chat": ("chat", "hello", "-m", "chatglm3-6b"),
    "the plan": ("plan", "in", "-s", "contact", "-m", "chatglm3-6b"),
}
"""What would download a model, were it not for `--offline`."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name, data in DOCUMENTS.items():
        (tmp_path / "in" / name).write_bytes(data)
    return tmp_path


def test_no_document_has_anything_fetched(folder: Path) -> None:
    done = watch(folder, "run", "in", "-s", "contact", "--backend", "scripted", "-o", "rows.jsonl")
    assert done.connections == []
    sources = [json.loads(line)["id"] for line in (folder / "rows.jsonl").read_text("utf-8").splitlines()]
    assert {re.split("[#/]", source.removeprefix("in/"))[0] for source in sources} == DOCUMENTS.keys(), done.said
    assert done.programs == []
    assert any("extractor.ingest.worker" in event for event in done.events if event.startswith("watched.begun"))


def test_what_is_watched_is_seen(folder: Path) -> None:
    server = ("--backend", "openai", "--base-url", "http://127.0.0.1:9/v1")
    assert watch(folder, "extract", "in/page.html", "-s", "contact", *server).connections


@pytest.mark.parametrize("kind", SCHEMAS)
def test_no_schema_has_anything_fetched(kind: str, folder: Path) -> None:
    (folder / "s.json").write_text(json.dumps(SCHEMAS[kind]), encoding="utf-8")
    assert watch(folder, "schemas", "check", "s.json").connections == []


def test_no_model_folder_has_anything_fetched(folder: Path) -> None:

    model = Path(shutil.copytree(SAMPLES.parents[1] / "extractor" / "models" / "demo", folder / "model"))
    config = json.loads((model / "config.json").read_text("utf-8"))
    config |= {"_name_or_path": "someone/model", "auto_map": {"AutoModel": f"{URL}--modeling.Evil"}}
    (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
    done = watch(folder, "extract", "in/address.jsonl", "-s", "contact", "-m", "model")
    assert done.code in (0, 1), done.said
    assert done.connections == []


@pytest.mark.parametrize("name", COMMANDS)
def test_offline_asks_nobody_and_says_what_to_do(name: str, folder: Path) -> None:
    done = watch(folder, *COMMANDS[name], "--offline", MODELSCOPE_CACHE=str(folder / "cache"))
    assert done.connections == []
    assert done.code == 3, done.said
    assert "--offline forbids" in done.said
