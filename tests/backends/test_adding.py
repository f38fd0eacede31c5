"""A backend is added with one file, in this folder or in another package under an entry point, and no other edit."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT

PARROT = '''"""Answers with what the document says after a colon."""

import json

from extractor.backends.scripted import Backend as Scripted


def _answer(prompt):
    name, _, value = prompt.chunk.text.partition(":")
    return json.dumps({field.name: value if field.name == name else None for field in prompt.task.fields})


class Backend(Scripted):
    name = "parrot"

    def __init__(self, config):
        super().__init__(config, answer=_answer)
'''


def _in_the_folder(root: Path) -> None:
    """Copy the package, as links, and add the file."""
    shutil.copytree(ROOT / "extractor", root / "extractor", copy_function=os.symlink)
    for kind in ("prompts", "schemas"):
        (root / kind).symlink_to(ROOT / kind)
    (root / "extractor" / "backends" / "parrot.py").write_text(PARROT, "utf-8")


def _in_another_package(root: Path) -> None:
    """Write a package with an entry point, as pip would have installed it."""
    (root / "extractor").symlink_to(ROOT / "extractor")
    (root / "birds.py").write_text(PARROT, "utf-8")
    installed = root / "birds-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: birds\nVersion: 1.0\n", "utf-8")
    (installed / "entry_points.txt").write_text("[extractor.backends]\nparrot = birds\n", "utf-8")


@pytest.mark.parametrize("add", [_in_the_folder, _in_another_package], ids=["file", "entry point"])
def test_a_backend_in_one_file_answers_on_the_real_command_line(tmp_path: Path, add: Callable[[Path], None]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    add(root)
    (tmp_path / "a.txt").write_text("phone:18888888888", "utf-8")

    def extractor(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "extractor", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "parrot" in extractor("run", "--help")
    row = json.loads(extractor("run", "a.txt", "--fields", "phone", "--backend", "parrot", "-q"))
    assert (row["status"], row["data"], row["run"]["model"]) == ("ok", {"phone": "18888888888"}, "parrot")
    assert row["spans"] == {"/phone": [[6, 17]]}
