"""XML inside of packages that is made to fill time or memory gives a text or a problem; the other formats of this kind
are in `test_hostile_shapes`."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from extractor import ingest
from extractor.data import FailedDocument
from extractor.ingest import ReadOptions
from tests.readers.making import zipped
from tests.readers.test_odf import package

BYTES = 64 << 10
RELATIONS = '<Relationships><Relationship Id="r1" Type="x/{}" Target="{}"/></Relationships>'
NAMES = 'xmlns:a="urn:a" xmlns:r="urn:relationships" xmlns:table="urn:t" xmlns:text="urn:x"'


def _pptx(body: bytes) -> bytes:
    return zipped({
        "[Content_Types].xml": b"<Types/>", "_rels/.rels": RELATIONS.format("officeDocument", "ppt/p.xml").encode(),
        "ppt/p.xml": f'<p {NAMES}><sldId r:id="r1"/></p>'.encode(),
        "ppt/_rels/p.xml.rels": RELATIONS.format("slide", "s.xml").encode(),
        "ppt/s.xml": f"<sld {NAMES}><spTree><sp><txBody>".encode() + body + b"</txBody></sp></spTree></sld>",
    })  # fmt: skip


def _ofd(body: bytes) -> bytes:
    return zipped({
        "OFD.xml": b"<OFD><DocBody><DocRoot>d.xml</DocRoot></DocBody></OFD>",
        "d.xml": b'<Document><Page ID="1" BaseLoc="p.xml"/></Document>',
        "p.xml": f"<Page {NAMES}>".encode() + body + b"</Page>",
    })  # fmt: skip


def _epub(body: bytes) -> bytes:
    return zipped({
        "mimetype": b"application/epub+zip", "META-INF/container.xml": b'<c><rootfile full-path="b.opf"/></c>',
        "b.opf": b'<p><item id="1" href="c.xhtml"/><itemref idref="1"/></p>', "c.xhtml": b"<html>" + body + b"</html>",
    })  # fmt: skip


FORMATS = {
    ".pptx": _pptx,
    ".ofd": _ofd,
    ".epub": _epub,
    ".odt": lambda body: package("text", b"<office:text>" + body + b"</office:text>"),
    ".ods": lambda body: package("spreadsheet", b'<table:table table:name="S">' + body + b"</table:table>"),
}
REPEATED: Mapping[str, tuple[bytes, bytes]] = {
    "nested": (b"<a>", b"</a>"),
    "nested-paragraphs": (b"<text:p>x", b"</text:p>"),
    "unclosed": (b"<b>", b""),
    "siblings": (b"<p/>", b""),
    "paragraphs": (b"<text:p>x</text:p>", b""),
    "spaces": (b'<text:p>x<text:s text:c="999999999"/></text:p>', b""),
    "empty-cells": (b"<table:table-cell/>", b""),
    "text-objects": (b'<TextObject><TextCode DeltaX="g 999999999 1">xy</TextCode></TextObject>', b""),
    "nested-tables": (
        b'<table:table><table:table-row><table:table-cell table:number-columns-repeated="9999"><text:p>x</text:p>',
        b"</table:table-cell></table:table-row></table:table>",
    ),
    "repeated-rows": (
        b'<table:table-row table:number-rows-repeated="999999999"><table:table-cell table:number-columns-repeated='
        b'"999999999"><text:p>x</text:p></table:table-cell></table:table-row>',
        b"",
    ),
    "repeated-empty-rows": (b'<table:table-row table:number-rows-repeated="999999999"/>', b""),
    "hidden-columns": (b'<table:table-column table:visibility="collapse" table:number-columns-repeated="16384"/>', b""),
    "row-of-cells": (b"<table:table-row>" + b"<table:table-cell/>" * 500 + b"</table:table-row>", b""),
}  # fmt: skip


def _shapes() -> dict[str, bytes]:
    shapes = {
        name: start * (BYTES // len(start)) + end * (BYTES // len(start)) for name, (start, end) in REPEATED.items()
    }
    few = REPEATED["nested-tables"]
    shapes["few-nested-tables"] = few[0] * 20 + few[1] * 20
    shapes["long-attribute"] = b'<a b="' + b"x" * BYTES + b'"/>'
    shapes["long-text"] = b"<text:p>" + b"x" * BYTES + b"</text:p>"
    return shapes


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_shape_is_read_or_refused_within_a_limit(suffix: str, tmp_path: Path) -> None:
    for name, body in _shapes().items():
        (tmp_path / f"{name}{suffix}").write_bytes(FORMATS[suffix](body))
    found = list(ingest.read([str(tmp_path)], ReadOptions(timeout=20.0)))
    assert {item.source.path.removeprefix(f"{tmp_path}/").partition(suffix)[0] for item in found} == {*_shapes()}
    problems = [(item.id, item.problem) for item in found if isinstance(item, FailedDocument)]
    assert [each for each in problems if each[1].code in ("timeout", "crashed")] == []


@pytest.mark.parametrize("suffix", [".odt", ".ofd", ".pptx"])
def test_entities_are_not_expanded(suffix: str, tmp_path: Path) -> None:
    declared = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">%s]>' % b"".join(
        b'<!ENTITY a%d "%s">' % (n, (b"&a%d;" % (n - 1) if n else b"&a;") * 10) for n in range(12)
    )
    body = b"<TextObject><TextCode>&a11;</TextCode></TextObject><t>&a11;</t><text:p>&a11;</text:p>"
    names = {".odt": "content.xml", ".ofd": "p.xml", ".pptx": "ppt/s.xml"}
    with zipfile.ZipFile(io.BytesIO(FORMATS[suffix](body))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[names[suffix]] = declared + members[names[suffix]]
    (tmp_path / f"a{suffix}").write_bytes(zipped(members))
    (item,) = ingest.read([str(tmp_path)], ReadOptions(timeout=20.0))
    assert isinstance(item, FailedDocument)
    assert item.problem.code in ("empty", "damaged", "bomb", "no-text")
