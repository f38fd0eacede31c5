"""The worked example of the documentation works: its files, its commands, and what they print."""

import re
import subprocess
from pathlib import Path

import pytest

from extractor.task.task import load_task
from tests.cli.conftest import ROOT, command, environment, rows

PAGE = ROOT / "docs" / "schemas-and-prompts.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`([\w./-]+)`:\s*\Z")


def _blocks() -> list[tuple[str, str, str]]:
    """Name of the file (empty for none), language and content of each block, in order."""
    text = PAGE.read_text("utf-8")
    found = []
    for match in BLOCK.finditer(text):
        named = NAMED.search(text[: match.start()])
        found.append((named[1] if named else "", match[1], match[2]))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader has written down the files of the page."""
    folder = tmp_path_factory.mktemp("docs")
    for name, _, content in _blocks():
        if name:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content, encoding="utf-8")
    return folder


def _run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command line of the page, through a shell, as a reader would type it."""
    program = " ".join(command())
    return subprocess.run(
        ["bash", "-c", line.replace("extractor", program, 1)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def test_every_command_of_the_page_runs_and_prints_what_the_page_shows(folder: Path) -> None:
    printed, compared = "", 0
    for name, language, content in _blocks():
        if language == "bash":
            for line in content.splitlines():
                done = _run(line, folder)
                assert done.returncode == 0, f"{line}\n{done.stderr}"
                printed = done.stdout
        elif not name:
            assert printed == content
            compared += 1
    assert compared == 3
    assert len(rows(folder / "results-mine.jsonl")) == 3
    assert "13655218074" in (folder / "repairs.html").read_text("utf-8")


def test_the_files_of_the_page_are_the_schema_and_the_prompt_that_it_talks_about(folder: Path) -> None:
    task = load_task(str(folder / "repair.json"), str(folder / "my-prompt.jinja"))
    assert [field.name for field in task.fields] == ["报修人", "电话", "地点", "报修日期", "紧急程度"]
    assert "system" in task.template


def test_a_date_that_the_model_cannot_convert_fails_instead_of_being_made_up(folder: Path) -> None:
    schema = (folder / "repair.json").read_text("utf-8")
    (folder / "dates.json").write_text(
        schema.replace(
            '"报修日期": {"type": "string", "maxLength": 20}', '"报修日期": {"type": "string", "format": "date"}'
        ),
        encoding="utf-8",
    )
    done = _run("extractor extract repairs/1.txt -s dates.json", folder)
    assert done.returncode == 1
    assert "ungrounded: /报修日期: not found in the document" in done.stderr
