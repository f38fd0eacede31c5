"""One row a document, however often and by whatever names it is given, and nothing that is done is done again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from extractor.backends import scripted
from tests.cli.conftest import by_id
from tests.promises.runs import answer_with, run
from tests.sinks.reading import read

LINES = [{"id": f"r{number}", "text": f"手机号 1380000000{number}"} for number in range(3)]


def _file_twice(folder: Path) -> list[str]:
    return [str(folder / "a.txt"), str(folder / "a.txt")]


def _folder_and_file(folder: Path) -> list[str]:
    return [str(folder), str(folder / "a.txt")]


def _other_spelling(folder: Path) -> list[str]:
    return [str(folder / "a.txt"), str(folder / ".." / folder.name / "a.txt"), os.path.relpath(folder / "a.txt")]


def _link(folder: Path) -> list[str]:
    (folder / "link.txt").symlink_to("a.txt")
    return [str(folder)]


def _hard_link(folder: Path) -> list[str]:
    (folder / "link.txt").hardlink_to(folder / "a.txt")
    return [str(folder)]


def _folder_in_itself(folder: Path) -> list[str]:
    (folder / "again").symlink_to(folder)
    return [str(folder)]


def _copy(folder: Path) -> list[str]:
    shutil.copy(folder / "a.txt", folder / "copy.txt")
    return [str(folder)]


def _rows_of_one_id(folder: Path) -> list[str]:
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, [*LINES, *LINES])), encoding="utf-8")
    return [str(folder / "rows.jsonl")]


def _files_of_the_same_rows(folder: Path) -> list[str]:
    for name in ("x", "y"):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, LINES)), encoding="utf-8")
    return [str(folder)]


def _names_of_one_form(folder: Path) -> list[str]:
    for name in ("caf\u00e9.txt", "cafe\u0301.txt", "CAF\u00c9.txt"):
        (folder / name).write_text("手机号 13800000000", encoding="utf-8")
    return [str(folder)]


WAYS: dict[str, tuple[Callable[[Path], list[str]], int]] = {
    "a file twice": (_file_twice, 1),
    "a folder and a file in it": (_folder_and_file, 2),
    "a path in other spellings": (_other_spelling, 1),
    "a link to a file": (_link, 3),
    "a hard link": (_hard_link, 3),
    "a folder in itself": (_folder_in_itself, 2),
    "a copy": (_copy, 3),
    "rows of one id": (_rows_of_one_id, 6),
    "files of the same rows": (_files_of_the_same_rows, 8),
    "names that look alike": (_names_of_one_form, 5),
}
"""How a document is given more than once, in a folder with `a.txt` and `b.txt`; and how many rows there are then: what
has a name of its own is a document of its own."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.txt").write_text(f"手机号 13800000000 {name}", encoding="utf-8")
    return folder


@pytest.mark.parametrize("way", WAYS)
def test_each_has_one_row_and_the_same_line_again_asks_nothing(
    way: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give, count = WAYS[way]
    inputs, output = give(folder), folder.parent / "rows.jsonl"
    asked: list[str] = []
    answer_with(monkeypatch, lambda prompt: asked.append(prompt.chunk.text) or scripted.nothing_found(prompt))
    code, found = run(*inputs, output=output)
    assert (code, len(by_id(found)), len(asked)) == (0, count, count)
    before = output.read_bytes()
    assert run(*inputs, output=output)[0] == 0
    assert len(asked) == count
    assert output.read_bytes() == before


CHANGES: dict[str, Callable[[Path], object]] = {
    "another text": lambda folder: (folder / "a.txt").write_text("账号 abc", encoding="utf-8"),
    "touched": lambda folder: os.utime(folder / "a.txt", (1, 1)),
    "gone": lambda folder: (folder / "a.txt").unlink(),
    "one more": lambda folder: (folder / "c.txt").write_text("密码 x", encoding="utf-8"),
    "unreadable": lambda folder: (folder / "a.txt").write_bytes(bytes(range(256)) * 4),
    "swapped": lambda folder: [(folder / "a.txt").rename(folder / "t"), (folder / "b.txt").rename(folder / "a.txt"),
                               (folder / "t").rename(folder / "b.txt")],
}  # fmt: skip
"""What happens to the folder between two runs."""


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("suffix", [".jsonl", ".sqlite"])
def test_what_changes_between_two_runs_has_one_row(change: str, suffix: str, folder: Path) -> None:
    output = folder.parent / f"rows{suffix}"
    run(folder, output=output)
    CHANGES[change](folder)
    for options in ([], [], ["--retry-failed"]):
        run(folder, *options, output=output)
        ids = [row["id"] for row in read(output)]
        assert sorted(ids) == sorted(set(ids))
        assert len(ids) == (3 if change == "one more" else 2)
