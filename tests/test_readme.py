"""The READMEs: short enough to be read, what they show is what comes. `test_docs` follows their commands."""

import json
from collections.abc import Iterator

import pytest

from tests.chatglm3.hub_server import Hub, folder_as_files, serving
from tests.documentation import DEMO, ROOT, Clone, blocks, lines

READMES = ["README.md", "README.zh.md"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    with serving(Hub(folder_as_files(DEMO))) as hub:
        yield Clone.make(tmp_path_factory.mktemp("readme") / "clone", hub, "")


@pytest.mark.parametrize("readme", READMES)
def test_a_readme_is_short(readme: str) -> None:
    assert len((ROOT / readme).read_text("utf-8").splitlines()) <= 250


@pytest.mark.parametrize("readme", READMES)
def test_the_document_that_is_shown_is_the_sample(readme: str) -> None:
    book = (ROOT / "data/samples/contact/book.txt").read_text("utf-8")
    assert next(block.content for block in blocks(readme) if block.language == "text") == book


def test_make_demo_writes_rows_of_the_samples_and_shows_them(clone: Clone) -> None:
    assert "make demo" in lines(READMES[0])
    done = clone.run("make demo")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (clone.folder / "results.jsonl").read_text("utf-8").splitlines()]
    assert all(row["status"] == "ok" for row in rows)
    assert "document" in done.stderr
    assert "18888888888" in done.stderr


def test_ci_runs_the_tests_of_the_readme() -> None:
    assert "make test" in lines(READMES[0])
    assert "make test" in (ROOT / ".ci" / "run").read_text("utf-8")
