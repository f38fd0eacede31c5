"""The page about Python: what it shows is what comes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chatglm3.hub_server import Hub, folder_as_files, serving
from tests.documentation import DEMO, Clone, follow
from tests.in_process import runner


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clone]:
    with serving(Hub(folder_as_files(DEMO))) as hub:
        made = Clone.make(tmp_path / "clone", hub, "")
        monkeypatch.chdir(made.folder)
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub)
        monkeypatch.setenv("MODELSCOPE_CACHE", str(made.folder / "cache"))
        yield made


def test_every_program_prints_what_the_page_shows(clone: Clone) -> None:
    assert follow("docs/python.md", clone, runner()) == 9
