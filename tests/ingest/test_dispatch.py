"""Files, folders and globs become documents: N in, N out, with stable ids, and nothing stops the run."""

import hashlib
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from extractor import ingest
from extractor.data import Document, FailedDocument
from extractor.errors import InputError, UsageError
from extractor.ingest import ReadOptions


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _make(files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content.encode() if isinstance(content, str) else content)


def _read(*inputs: str, **options: object) -> list[Document | FailedDocument]:
    return list(ingest.read(inputs, ReadOptions(**options)))  # type: ignore[arg-type]


def _code(item: Document | FailedDocument) -> str:
    return item.problem.code if isinstance(item, FailedDocument) else "read"


def _ids(*inputs: str) -> list[str]:
    return [item.id for item in _read(*inputs)]


def _only(*inputs: str, **options: object) -> FailedDocument:
    (item,) = _read(*inputs, **options)
    assert isinstance(item, FailedDocument), item
    return item


def test_a_file_becomes_a_document_that_says_where_it_came_from() -> None:
    data = "手机号18888888888\r\n".encode("gb18030")
    _make({"inbox/0001.txt": data})
    (document,) = _read("inbox")
    assert isinstance(document, Document)
    assert document.id == "inbox/0001.txt"
    assert document.text == "手机号18888888888\r\n"
    assert document.source.path == "inbox/0001.txt"
    assert document.source.sha256 == hashlib.sha256(data).hexdigest()
    assert document.source.encoding == "gb18030"
    assert document.source.chars == 16


def test_a_folder_is_read_in_order_without_hidden_files_and_junk() -> None:
    _make(dict.fromkeys(["in/b.txt", "in/a/2.md", "in/a/1.txt", "in/c.log", "in/.hidden/x.txt", "in/.DS_Store"], "文"))
    _make(dict.fromkeys(["in/Thumbs.db", "in/__MACOSX/b.txt", "in/~$b.txt", "in/desktop.ini"], "文"))
    assert _ids("in") == ["in/a/1.txt", "in/a/2.md", "in/b.txt", "in/c.log"]


@pytest.mark.parametrize("argument", ["in", "in/", "./in", "in/../in"])
def test_ids_do_not_depend_on_how_a_folder_is_written(argument: str) -> None:
    _make({"in/a.txt": "文"})
    assert _ids(argument) == ["in/a.txt"]
    assert _ids(os.path.abspath(argument)) == ["in/a.txt"]


def test_the_current_folder_goes_by_its_name(tmp_path: Path) -> None:
    _make({"a.txt": "文"})
    assert _ids(".") == [f"{tmp_path.name}/a.txt"]


def test_a_named_file_goes_by_its_name_and_by_its_path_where_names_clash() -> None:
    _make({"x/a.txt": "一", "y/a.txt": "二", "y/b.txt": "三"})
    assert _ids("x/a.txt") == ["a.txt"]
    assert _ids("x/a.txt", "y/a.txt", "y/b.txt") == ["x/a.txt", "y/a.txt", "b.txt"]
    assert _ids("y/a.txt", "x/a.txt") == ["y/a.txt", "x/a.txt"]


def test_folders_of_one_name_stay_apart() -> None:
    _make({"x/in/a.txt": "一", "y/in/a.txt": "二"})
    assert _ids("x/in", "y/in") == ["x/in/a.txt", "y/in/a.txt"]


def test_a_glob_is_expanded_here_where_no_shell_did_it() -> None:
    _make({"in/a.txt": "一", "in/b.md": "二", "in/sub/c.txt": "三", "in/.d.txt": "四"})
    assert _ids("in/*.txt") == ["a.txt"]
    assert _ids("in/**/*.txt") == ["a.txt", "c.txt"]
    assert _ids("in/**") == ["in/a.txt", "in/b.md", "in/sub/c.txt"]


def test_a_file_whose_name_looks_like_a_glob_is_a_file() -> None:
    _make({"[1].txt": "文"})
    assert _ids("[1].txt") == ["[1].txt"]


def test_what_is_named_twice_is_read_once() -> None:
    _make({"in/a.txt": "一", "in/b.txt": "二"})
    assert _ids("in", "in/a.txt", "in", os.path.abspath("in")) == ["in/a.txt", "in/b.txt"]


@pytest.mark.parametrize(("argument", "word"), [("nowhere", "nowhere"), ("*.nothing", "matches"), ("", "no file")])
def test_an_argument_that_names_nothing_is_refused_at_once(argument: str, word: str) -> None:
    with pytest.raises(InputError, match=word):
        ingest.read([argument])


def test_the_output_of_the_run_is_left_out_of_its_input() -> None:
    _make({"in/a.txt": "文", "in/results.jsonl": '{"id": "x"}\n'})
    assert [item.id for item in _read("in", exclude=("in/results.jsonl",))] == ["in/a.txt"]


def test_every_file_gives_a_document_or_a_problem() -> None:
    _make(
        {
            "in/a.txt": "文",
            "in/b.txt": b"",
            "in/c.txt": b"\x89PNG\r\n\x1a\n\x00\x00",
            "in/d.jpg": b"\xff\xd8\xff\xe0\x00",
        }
    )
    _make(
        {
            "in/e": "没有后缀",
            "in/f.xyz": "不认识的后缀",
            "in/g.txt": b"\xe6\x89\x8b\xff\xe6\x9c\xba" * 3,
            "in/h.md": " \n",
        }
    )
    outcome = {item.id: _code(item) for item in _read("in")}
    assert outcome == {
        "in/a.txt": "read",
        "in/b.txt": "empty",
        "in/c.txt": "binary",
        "in/d.jpg": "damaged",
        "in/e": "read",
        "in/f.xyz": "read",
        "in/g.txt": "encoding",
        "in/h.md": "empty",
    }


def test_the_message_for_an_unknown_format_names_it_and_what_to_do() -> None:
    _make({"photo.xcf": b"gimp xcf v011\0\0\0"})
    failure = _only("photo.xcf")
    assert failure.problem.code == "unsupported"
    assert failure.problem.message == (
        "no reader for .xcf, and it is not text but data of an unknown kind: leave it out"
    )


def test_a_document_above_the_limit_is_not_read_and_the_message_names_the_option() -> None:
    _make({"a.txt": "文" * 100})
    failure = _only("a.txt", max_bytes=299)
    assert failure.problem.code == "too-large"
    assert "--max-bytes" in failure.problem.message
    assert failure.source.sha256 == ""
    assert isinstance(_read("a.txt", max_bytes=300)[0], Document)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_failure() -> None:
    _make({"a.txt": "文"})
    Path("a.txt").chmod(0)
    failure = _only("a.txt")
    assert failure.problem.code == "io"
    assert "permission" in failure.problem.message


def test_links_to_nothing_folders_with_suffixes_and_loops_do_no_harm() -> None:
    _make({"in/folder.txt/a.txt": "文"})
    os.symlink("nothing", "in/broken.txt")
    os.symlink(os.path.abspath("in"), "in/folder.txt/loop")
    outcome = {item.id: _code(item) for item in _read("in")}
    assert outcome == {"in/broken.txt": "io", "in/folder.txt/a.txt": "read"}
    assert _only("in/broken.txt").problem.code == "io"  # a shell's * names it too


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("argument", ["in", "in/pipe.txt"])
def test_a_named_pipe_does_not_stop_the_run(argument: str) -> None:
    Path("in").mkdir()
    os.mkfifo("in/pipe.txt")
    failure = _only(argument)
    assert failure.problem.code == "io"
    assert "regular file" in failure.problem.message


def test_a_file_that_is_removed_during_the_run_is_a_failure() -> None:
    _make({"in/a.txt": "一", "in/b.txt": "二"})
    documents = ingest.read(["in"])
    first = next(documents)
    Path("in/b.txt").unlink()
    (second,) = documents
    assert first.id == "in/a.txt"
    assert isinstance(second, FailedDocument)
    assert (second.id, second.problem.code) == ("in/b.txt", "io")


@pytest.mark.skipif(os.name == "nt", reason="file names are text on Windows")
def test_a_file_name_that_is_not_utf8_gives_an_id_that_can_be_written() -> None:
    os.mkdir("in")
    Path(os.fsdecode(b"in/\xc4\xe3.txt")).write_text("文", encoding="utf-8")
    (document,) = _read("in")
    assert isinstance(document, Document)
    assert document.id == "in/\\xc4\\xe3.txt"


def test_options_that_make_no_sense_are_refused() -> None:
    for options in ({"rows": "some"}, {"stdin": "xml"}, {"max_bytes": 0}):
        with pytest.raises(UsageError):
            ReadOptions(**options)  # type: ignore[arg-type]


def test_a_large_folder_is_never_held_in_memory() -> None:
    for folder in range(20):
        _make({f"in/{folder}/{number}.txt": "文" * 1000 for number in range(50)})
    documents: Iterator[Document | FailedDocument] = ingest.read(["in"])
    next(documents)
    tracemalloc.start()
    count = sum(1 for _ in documents)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 999
    assert peak < 600_000
