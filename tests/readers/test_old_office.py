"""Old Word and PowerPoint files: converted by LibreOffice, for which a program of its name stands in here.

How it is called, and what becomes of it when it fails or hangs. What LibreOffice itself makes of a document is tested
where it is installed.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.readers.compound import compound
from tests.readers.conftest import Read, failure, only
from tests.readers.making import word

PROGRAM = """#!{python} -IS
import json, pathlib, resource, subprocess, sys, time
arguments = sys.argv[1:]
source, out = pathlib.Path(arguments[-1]), pathlib.Path(arguments[arguments.index("--outdir") + 1])
wanted = arguments[arguments.index("--convert-to") + 1]
pathlib.Path({log!r}).write_text(json.dumps([arguments, str(pathlib.Path.cwd())]))
data = source.read_bytes()
if b"hang" in data:
    pathlib.Path({pid!r}).write_text(str(subprocess.Popen(["sleep", "60"]).pid))
    time.sleep(60)
if b"fail" in data:
    sys.exit("the words of the program")
if b"nothing" not in data:
    out.mkdir()
    (out / (source.stem + "." + wanted)).write_bytes(pathlib.Path({made!r}).read_bytes())
"""


@pytest.fixture
def soffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the stand-in: `made` is what it gives, `log` how it was called, `pid` what it has started."""
    folder = tmp_path / "bin"
    folder.mkdir()
    paths = {name: str(folder / name) for name in ("log", "pid", "made")}
    (folder / "soffice").write_text(PROGRAM.format(python=sys.executable, **paths))
    (folder / "soffice").chmod(0o755)
    (folder / "made").write_bytes(word("转换后的正文"))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def _old(what: bytes, stream: str = "WordDocument") -> bytes:
    return compound({stream: what})


def test_an_old_document_is_converted_and_keeps_its_id_and_hash(read: Read, soffice: Path) -> None:
    found = only(read("a.doc", _old(b"x")))
    again = only(read("a.doc", _old(b"x")))
    assert (found.text, found.id, found.source.path) == ("转换后的正文", "a.doc", "a.doc")
    (soffice / "made").write_bytes(word("转换后的正文", "又一段"))
    assert found.source.sha256 == again.source.sha256 == only(read("a.wps", _old(b"x"))).source.sha256


def test_the_program_has_a_profile_and_a_folder_of_its_own_which_are_removed(read: Read, soffice: Path) -> None:
    read("a.doc", _old(b"x"))
    arguments, folder = json.loads((soffice / "log").read_text())
    assert f"-env:UserInstallation=file://{folder}/profile" in arguments
    assert {"--headless", "--norestore"} <= set(arguments)
    assert arguments[-1] == f"{folder}/in/a.doc"
    assert not Path(folder).exists()


def test_one_that_fails_or_makes_nothing_says_so(read: Read, soffice: Path) -> None:
    problem = failure(read("a.doc", _old(b"fail")))
    assert (problem.code, "the words of the program" in problem.message) == ("damaged", True)
    assert failure(read("a.doc", _old(b"nothing"))).code == "damaged"


def test_one_that_hangs_ends_with_the_time_limit_and_all_that_it_started(read: Read, soffice: Path) -> None:
    problem = failure(read("a.doc", _old(b"hang"), timeout=4.0))
    assert (problem.code, "--read-timeout" in problem.message) == ("timeout", True)
    pid = (soffice / "pid").read_text()
    deadline = time.monotonic() + 10
    while _is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(pid)


def _is_running(pid: str) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


@pytest.mark.parametrize(
    ("name", "stream", "wanted"), [("a.doc", "WordDocument", ".docx"), ("a.ppt", "PowerPoint Document", ".pptx")]
)
def test_where_it_is_not_installed_the_message_says_what_to_do(
    read: Read, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, stream: str, wanted: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    problem = failure(read(name, _old(b"x", stream)))
    assert problem.code == "extra"
    assert "LibreOffice" in problem.message
    assert f"save it as {wanted}" in problem.message


@pytest.mark.skipif(not shutil.which("soffice"), reason="needs LibreOffice")
@pytest.mark.parametrize("old", ["合同 1;.doc", "合同.ppt", "合同.odp"])
def test_what_libreoffice_wrote_is_read_with_it(read: Read, tmp_path: Path, old: str) -> None:
    stem, suffix = os.path.splitext(old)
    source = tmp_path / f"{stem}{'.docx' if suffix == '.doc' else '.pptx'}"
    source.write_bytes(_contract() if suffix == ".doc" else _slide())
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    convert = ["soffice", profile, "--headless", "--convert-to", suffix[1:], "--outdir", str(tmp_path / "out")]
    subprocess.run([*convert, str(source)], check=True, capture_output=True, timeout=60)
    found = only(read(old, (tmp_path / "out" / old).read_bytes()))
    assert found.text == (
        "合同编号：HT-7\n品名\t数量\n螺栓\t250\n此致" if suffix == ".doc" else "合同编号：HT-7\n螺栓 250 件"
    )


def _contract() -> bytes:
    import docx

    document = docx.Document()
    document.add_paragraph("合同编号：HT-7")
    table = document.add_table(2, 2, style="Table Grid")
    for cell, text in zip(
        (cell for row in table.rows for cell in row.cells), "品名 数量 螺栓 250".split(), strict=True
    ):
        cell.text = text
    document.add_paragraph("此致")
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def _slide() -> bytes:
    import pptx

    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text, slide.placeholders[1].text = "合同编号：HT-7", "螺栓 250 件"
    out = io.BytesIO()
    presentation.save(out)
    return out.getvalue()


def test_streams_are_told_whatever_their_case(read: Read, soffice: Path) -> None:
    assert only(read("a.doc", _old(b"x", "WORDDOCUMENT"))).text == "转换后的正文"


def test_what_calls_itself_doc_and_is_not_is_read_as_what_it_is(read: Read) -> None:
    assert only(read("a.doc", word("今"))).text == "今"
    assert only(read("b.doc", "<html><body>页</body></html>")).text == "页"
