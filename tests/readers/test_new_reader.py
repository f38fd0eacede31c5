"""A reader is one file: put into the folder of readers or named as an entry point, it is there for everything."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from extractor.readers._support.signatures import Magic, OleStream, ZipPackage
from tests.cli.conftest import Run
from tests.cli.conftest import extractor as extractor  # the fixture
from tests.readers.making import zipped

READER = """
import sys
from collections.abc import Iterator

from extractor.plugins import Document, File, Magic, ReadError, ReadOptions, TextBuilder, ZipPackage, read_bytes

SUFFIXES = (".shout", ".sht")
NAME = "a shout"
SIGNATURES = (Magic(b"SHOUT!"), ZipPackage(("shout.txt",)))
ISOLATED = True
EXTRA = "shouting"


def read(file: File, options: ReadOptions) -> Iterator[Document]:
    data = read_bytes(file, options.max_bytes)
    if data.endswith(b"lungs"):
        import lungs_that_nobody_has
    if data.endswith(b"silence"):
        raise ReadError("no-text", "nobody shouts: record it again")
    builder = TextBuilder()
    builder.add(data[6:].decode(errors="replace").upper(), {"process": sys.modules["__main__"].__spec__.name})
    yield file.document(builder.text, "0" * 64, "utf-8", builder.segments)
"""
ENTRY_POINTS = "[extractor.readers]\nshout = shouting.shout\n"
METADATA = "Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n"
IN_FOLDER = "import extractor.readers\nextractor.readers.__path__.append({!r})\n"
"""Python imports `sitecustomize` when it starts, in the processes that read files too."""


def _in_the_folder(site: Path) -> None:
    (site / "more").mkdir(parents=True)
    (site / "more" / "shout.py").write_text(READER)
    (site / "sitecustomize.py").write_text(IN_FOLDER.format(str(site / "more")))


def _as_an_entry_point(site: Path) -> None:
    for name in ("shouting", "shouting-1.0.dist-info"):
        (site / name).mkdir(parents=True)
    (site / "shouting" / "__init__.py").touch()
    (site / "shouting" / "shout.py").write_text(READER)
    (site / "shouting-1.0.dist-info" / "METADATA").write_text(METADATA)
    (site / "shouting-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)


@pytest.fixture(params=[_in_the_folder, _as_an_entry_point])
def added(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extractor: Run) -> Run:
    """The command line, with a reader more."""
    add: Callable[[Path], None] = request.param
    add(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    root = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}:{root}")
    return extractor


def test_its_files_are_read_by_their_suffix_in_a_process_of_their_own(added: Run, tmp_path: Path) -> None:
    (tmp_path / "a.sht").write_bytes(b"SHOUT!hello")
    row = json.loads(added("read", "a.sht", "--json").stdout)
    assert row["text"] == "HELLO"
    assert row["segments"] == [{"start": 0, "end": 5, "location": {"process": "extractor.ingest.worker"}}]


def test_its_files_are_told_by_their_signature_and_those_that_lack_it_are_mislabelled(
    added: Run, tmp_path: Path
) -> None:
    (tmp_path / "named").write_bytes(b"SHOUT!one")
    (tmp_path / "packed").write_bytes(zipped({"shout.txt": b"x"}))
    (tmp_path / "plain.shout").write_bytes(b"one")
    (tmp_path / "shout.pdf").write_bytes(b"SHOUT!one")
    (tmp_path / "all.zip").write_bytes(zipped({"inside": b"SHOUT!two"}))
    assert added("read", "named").stdout == "ONE\n"
    assert added("read", "packed").returncode == 0
    assert added("read", "all.zip").stdout == "TWO\n"
    assert ".shout by its name, but plain text by its content: rename it to .txt" in added("read", "plain.shout").stderr
    assert "but a shout by its content: rename it to .shout" in added("read", "shout.pdf").stderr


def test_its_problems_are_reported_and_its_extra_is_named(added: Run, tmp_path: Path) -> None:
    (tmp_path / "a.shout").write_bytes(b"SHOUT!silence")
    (tmp_path / "b.shout").write_bytes(b"SHOUT!lungs")
    (tmp_path / "c.xyz").write_bytes(b"gimp xcf v011\0\0\0")
    assert added("read", "a.shout").stderr == "Failed: a.shout: no-text: nobody shouts: record it again\n"
    assert "pip install 'chatglm3-extractor[shouting]'" in added("read", "b.shout").stderr
    assert added("read", "c.xyz").stderr.endswith("it is not text but data of an unknown kind: leave it out\n")


def test_magic_bytes_are_found_at_the_beginning_after_what_may_come_before_them() -> None:
    assert Magic(b"ab").find(b"abc") == 0
    assert Magic(b"ab").find(b"xab") == -1
    assert Magic(b"ab", within=2).find(b"xxab") == 2
    assert Magic(b"ab", within=2).find(b"xxxab") == -1
    assert Magic(b"ab", skip=b" \n").find(b" \n ab") == 3


def test_a_package_has_all_its_members_and_not_the_one_of_another_format() -> None:
    package = ZipPackage(("types.xml", "xl/"), without="xl/book.bin")
    assert package.matches(["types.xml", "xl/book.xml"])
    assert not package.matches(["types.xml"])
    assert not package.matches(["types.xml", "xl/book.xml", "xl/book.bin"])


def test_a_stream_is_found_by_its_whole_name() -> None:
    assert OleStream("Book").occurs_in(b"\x00" + "Book\0".encode("utf-16-le"))
    assert not OleStream("Book").occurs_in("Bookmark\0".encode("utf-16-le"))
