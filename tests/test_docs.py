"""The documentation is true: each command on it runs, each output is what comes, each link and path leads somewhere."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from extractor.errors import CODES
from extractor.task.task import load_task
from extractor.text.places import TextIndex
from tests.backends.chat_server import ChatServer, read
from tests.backends.chat_server import serving as serving_chat
from tests.chatglm3.hub_server import Hub, folder_as_files, serving
from tests.documentation import BIN, DEMO, NOT_RUN, ROOT, Clone, blocks, follow, lines

PAGES = sorted(
    str(path.relative_to(ROOT))
    for folder in (".", "docs", "docs/zh", "examples")
    for path in (ROOT / folder).glob("*.md")
)
TRANSLATED = {
    page: page.replace(".zh.md", ".md").replace("/zh/", "/") for page in PAGES if ".zh." in page or "/zh/" in page
}
ELSEWHERE = ("docs/from-the-book.md", "docs/python.md")
"""Pages with a test file of their own."""
FOLLOWED = [
    page
    for page in PAGES
    if page not in (*TRANSLATED, *ELSEWHERE) and any(block.language in ("bash", "python") for block in blocks(page))
]
SHOWN = {
    "README.md": 5,
    "docs/schemas-and-prompts.md": 3,
    "docs/schemas.md": 2,
    "docs/outputs.md": 1,
}
PATH = re.compile(r"`((?:extractor|tests|benchmarks|training|docs|examples|schemas|prompts|data)/[\w./-]*)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^\| `([a-z][a-z_-]*)` \|", re.MULTILINE)


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    """A hub that serves the demo model under the name of the 6B model: the download is real, the model small."""
    with serving(Hub(folder_as_files(DEMO))) as address:
        yield address


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server of a model, in place of the one that the pages name."""
    with serving_chat(ChatServer(read)) as address:
        yield address


@pytest.fixture
def clone(tmp_path: Path, hub: str, server: str, program: Path) -> Clone:
    return Clone.make(tmp_path / "clone", hub, server, program.parent)


@pytest.mark.slow
@pytest.mark.parametrize("page", FOLLOWED)
def test_every_command_of_a_page_runs_and_prints_what_the_page_shows(page: str, clone: Clone) -> None:
    compared = follow(page, replace(clone, programs=BIN) if page == "README.md" else clone)
    assert compared == SHOWN.get(page, 0)


def test_a_line_that_no_test_runs_is_on_some_page_and_its_tools_exist() -> None:
    typed = [line for page in PAGES for line in lines(page)]
    assert [pattern for pattern in NOT_RUN if not any(re.search(pattern, line) for line in typed)] == []
    tools = {tool for line in typed for tool in re.findall(r"\.venv/bin/([\w-]+)", line)}
    assert tools == {tool for tool in tools if (BIN / tool).exists()}
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = {target for line in typed for target in re.findall(r"^make (\w+)", line)}
    assert targets == {target for target in targets if re.search(rf"^{target}:", makefile, re.MULTILINE)}


@pytest.mark.parametrize("page", TRANSLATED)
def test_a_translation_shows_the_same_blocks_under_as_many_headings(page: str) -> None:
    original = TRANSLATED[page]
    assert [block for block in blocks(page) if block.language == "bash"] == [
        block for block in blocks(original) if block.language == "bash"
    ]
    assert [block.content for block in blocks(page)] == [block.content for block in blocks(original)]
    assert _headings(page) == _headings(original)


def _headings(page: str) -> list[str]:
    return re.findall(r"^#+(?= )", re.sub(BLOCK_BODY, "", (ROOT / page).read_text("utf-8")), re.MULTILINE)


BLOCK_BODY = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_every_path_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    lost = [link for link in LINK.findall(text) if "://" not in link and not _leads(page, link)]
    lost += [path for path in PATH.findall(text) if not (ROOT / path).exists()]
    assert lost == []


def _leads(page: str, link: str) -> bool:
    """Whether a link names a file of the project and, after `#`, one of its headings."""
    name, _, anchor = link.partition("#")
    target = (ROOT / page).parent / name if name else ROOT / page
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", re.sub(BLOCK_BODY, "", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_every_problem_code_is_documented_and_no_other() -> None:
    documented = set(CODE.findall((ROOT / "docs" / "problems.md").read_text("utf-8")))
    assert documented == set(CODES)


NOTATIONS = "docs/grounding-and-confidence.md"
NOTATION = re.compile(r"^\| `([^`]+)`[^|]*\| (`[^|]+) \| (`[^|]+) \|$", re.MULTILINE)


@pytest.mark.parametrize("line", [match.groups() for match in NOTATION.finditer((ROOT / NOTATIONS).read_text("utf-8"))])
def test_the_table_of_notations_is_true_line_by_line(line: tuple[str, str, str]) -> None:
    value, found, missed = json.loads(line[0]), re.findall("`([^`]+)`", line[1]), re.findall("`([^`]+)`", line[2])
    assert [text for text in found if not TextIndex(text).find_by_meaning(value)] == []
    assert [text for text in missed if TextIndex(text).find_by_meaning(value)] == []


def test_the_table_of_notations_is_found() -> None:
    assert len(NOTATION.findall((ROOT / NOTATIONS).read_text("utf-8"))) == 24


WORKED = "docs/schemas-and-prompts.md"


@pytest.fixture
def folder(clone: Clone) -> Path:
    """Where a reader has written down the files of the worked example."""
    for block in blocks(WORKED):
        if block.name:
            clone.write(block.name, block.content)
    return clone.folder


def test_the_files_of_the_worked_example_are_a_schema_and_a_prompt(folder: Path) -> None:
    task = load_task(str(folder / "repair.json"), str(folder / "my-prompt.jinja"))
    assert [field.name for field in task.fields] == ["报修人", "电话", "地点", "报修日期", "紧急程度"]
    assert "system" in task.template


def test_a_date_that_the_model_cannot_convert_is_not_made_up(folder: Path, clone: Clone) -> None:
    schema = (folder / "repair.json").read_text("utf-8")
    (folder / "dates.json").write_text(
        schema.replace(
            '"报修日期": {"type": "string", "maxLength": 20}', '"报修日期": {"type": "string", "format": "date"}'
        ),
        encoding="utf-8",
    )
    done = clone.run("extractor extract repairs/1.txt -s dates.json --record")
    assert done.returncode == 0
    record = json.loads(done.stdout)
    assert record["data"]["报修日期"] is None
    assert [each["field"] for each in record["provenance"]["withheld"]] == ["报修日期"]
