"""The book's chapter: each of its listings has a twin in the documentation, and the twins run as readers type them."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chatglm3.hub_server import Hub, folder_as_files, serving
from tests.documentation import DEMO, ROOT, Clone, blocks, follow
from tests.in_process import runner

PAGE = "docs/from-the-book.md"
BOOK = ROOT.parent / "shared" / "seed"
LISTING = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
CHAT = re.compile(r"^ *(response, history = model\.chat\(.*\))$", re.MULTILINE)


@pytest.fixture
def clone(tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clone]:
    """A folder with a hub in place of ModelScope, where the twins run in this process."""
    with serving(Hub(folder_as_files(DEMO))) as hub:
        made = Clone.make(tmp_path / "clone", hub, "", program.parent)
        monkeypatch.chdir(made.folder)
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub)
        monkeypatch.setenv("MODELSCOPE_CACHE", str(made.folder / "cache"))
        yield made


def test_the_twins_run_one_after_the_other_and_print_what_the_page_shows(clone: Clone) -> None:
    names: dict[str, Any] = {}
    answers: list[str] = []

    run = runner(names)

    def typed(listing: str) -> str:
        answers.append(run(listing))
        return answers[-1]

    assert follow(PAGE, clone, typed) == 2
    assert (clone.folder / "contacts.jsonl").read_text("utf-8").count("\n") == 9
    assert [turn["role"] for turn in names["history"]] == ["user", "assistant"]
    precisions = [twin for twin in re.findall(r'load\("chatglm3-6b", precision="(\w+)"', "".join(_twins()))]
    assert precisions == ["float32", "int4", "int8", "half", "float32"]
    extracted = next(answer for answer in answers if answer.startswith("{") and "手机号" in answer)
    # Nothing constrains a chat: the toy copies three of the four, and takes another text for the mail address.
    found = json.loads(extracted)
    book = {"手机号": "18888888888", "邮箱": "123456789@qq.com", "账号": "root", "密码": "xiaohua123"}
    assert list(found) == list(book)
    assert sum(found[name] == value for name, value in book.items()) >= 3, found


@pytest.mark.skipif(not BOOK.is_dir(), reason="the book's chapter is not at hand")
def test_the_lines_of_the_book_that_ask_the_model_are_there_as_they_are() -> None:
    (chapter,) = BOOK.glob("*.txt")
    listings = LISTING.findall(chapter.read_text("utf-8"))
    asked = [line for listing in listings for line in CHAT.findall(listing)]
    assert len(asked) == 7
    assert [line for twin in _twins() for line in CHAT.findall(twin)] == asked
    (text,) = (listing for listing in listings if "content=" in listing)
    assert len(_long_strings(text)) == 2  # the text and the prompt
    assert _long_strings(text) <= _long_strings("".join(_twins()))


def _long_strings(program: str) -> set[str]:
    constants = (node.value for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str) and len(value) > 50}


def _twins() -> list[str]:
    return [block.content for block in blocks(PAGE) if block.language == "python"]
