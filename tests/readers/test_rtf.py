"""RTF: text in every way that it can be escaped, in the code page of its font."""

from pathlib import Path

import pytest

from extractor.readers._support.word_text import NOT_TICKED, TICKED
from tests.readers.conftest import Read, failure, only, read_all

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "samples-public" / "documents" / "rtf"
FONTS = rb"{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset134 SimSun;}{\f2\fcharset204 Arial;}{\f3\fcharset136 MingLiU;}}"
CASES = [
    (rb"\ansicpg936 \'d6\'d0\'b9\'fa", "中国"),
    (rb"\ansicpg936 " + "原样的字节".encode("gbk"), "原样的字节"),
    (rb"\ansicpg936 \'81|", "亅"),
    (rb"\ansicpg1252\uc1 \u20013?\u22269\'3f!", "中国!"),
    (rb"\ansicpg936\uc2 \u20013\'d6\'d0\u22269" + "国".encode("gbk") + b"!", "中国!"),
    (rb"\uc0\u20013\u22269 !", "中国!"),
    (rb"{\uc0\u20013}\u22269?", "中国"),
    (rb"\u-10179?\u-8704?", "😀"),
    (rb"\u-10179?x", "\ufffdx"),
    (rb"\ansicpg1252" + FONTS + rb"\f1 \'d6\'d0\f0  caf\'e9 \f2\'cf\'f0 \f3\'a4\'a4", "中 café Пр 中"),
    (rb"\ansicpg1252\deff1" + FONTS + rb"\'d6\'d0{\f0 \'e9}\'d6\'d0\f0\plain\'d6\'d0", "中é中中"),
    (rb"\ansicpg1251 \'cf\'f0\'e8\'e2\'e5\'f2", "Привет"),
    (rb"\ansicpg932 \'93\'fa\'96\'7b", "日本"),
    (rb"\mac caf\'8e", "café"),
    (rb"a\par b\line c\tab d\~e\_f\{\}\\", "a\nb\nc\td\u00a0e-f{}\\"),
    (rb"\lquote a\rquote\ldblquote b\rdblquote\emdash\bullet", "‘a’“b”—•"),
    (rb"x{\*\generator y;}{\stylesheet z;}{\info{\title t}}{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}", "xlink"),
    (rb"a{\pict\bin4 }{}\x01}{\*\shppict{\pict 0102}}b", "ab"),
    (rb"{\upr{a}{\*\ud{\u20013?}}}{\info{\upr{a}{\*\ud{b}}}}", "中"),
    (rb"\trowd a\cell b\cell\row c\cell\row", "a\tb\t\nc\t"),
    (rb"{\header top\par}{\listtext 1.\tab}body{\footnote note}", "top\n1.\tbody\nnote"),
    (
        rb"{\headerf A}{\footer\pard B\par}1{\super\chftn{\footnote\pard C\par}}2\par{\header A}{\footnote C}",
        "A\n12\nB\nC\nC",
    ),
    (rb'a{\field{\*\fldinst{\rtlch HYPERLINK "https://a.cn/b" }}{\fldrslt{\ul b}}}c', "ab (https://a.cn/b)c"),
    (rb'{\field{\*\fldinst HYPERLINK \\l "x"}{\fldrslt b}}{\field{\*\fldinst PAGE}{\fldrslt 1}}', "b1"),
    (rb"{\field{\*\fldinst FORMCHECKBOX {\*\formfield{\fftype1\ffres25\ffdefres1}}}{\fldrslt}}a", TICKED + "a"),
    (rb"{\field{\*\fldinst FORMCHECKBOX {\*\formfield{\fftype1\ffres0\ffdefres1}}}{\fldrslt}}a", NOT_TICKED + "a"),
    (
        rb"{\field{\*\fldinst FORMDROPDOWN {\*\formfield{\fftype2\ffres1{\*\ffname x}{\*\ffl no}"
        rb"{\*\ffl \u26159?}}}}{\fldrslt}}",
        "是",
    ),
    (rb"{\field{\*\fldinst FORMTEXT {\*\formfield{\fftype0{\*\ffdeftext x}}}}{\fldrslt Li}}", "Li"),
    (rb"a{\v b}c\v d\v0 e\v f\plain g", "aceg"),
    (rb"{\*\shpinst{\sp{\sn x}{\sv 1}}{\shptxt box}}{\shprslt box}", "box"),
    (b"a\r\nb\nc", "abc"),
    (b"a{\\loch\\*\\cs7\\cf0 b}{\n\\*\\unknown c}", "ab"),
]


def test_text_is_read_as_it_is_written(tmp_path: Path) -> None:
    found = read_all(tmp_path, [rb"{\rtf1\ansi " + body + b"}" for body, _ in CASES], ".rtf")
    assert found == [expected for _, expected in CASES]


def test_the_code_page_is_recorded_and_so_are_broken_bytes(read: Read) -> None:
    assert only(read("a.rtf", rb"{\rtf1\ansi\ansicpg936 \'d6\'d0}")).source.encoding == "gb18030"
    document = only(read("a.rtf", rb"{\rtf1\ansi\ansicpg936 a\'d6 b}"))
    assert document.source.encoding == "gb18030 (1 broken bytes read as U+FFFD)"


def test_a_file_that_is_cut_off_is_damaged(tmp_path: Path) -> None:
    cut = [rb"{\rtf1 text", rb"{\rtf1 {\b text}", rb"{\rtf1 text" + b"\\", rb"{\rtf1\bin999 x}"]
    assert set(read_all(tmp_path, cut, ".rtf")) == {"!damaged"}


def test_a_document_without_text_is_empty(read: Read) -> None:
    assert failure(read("a.rtf", rb"{\rtf1{\pict 00}}")).code == "empty"


def test_rtf_with_the_suffix_doc_is_read(read: Read) -> None:
    assert only(read("a.doc", rb"{\rtf1 text}")).text == "text"


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not here")
def test_a_document_of_an_office_program_is_read(read: Read) -> None:
    assert only(read("a.rtf", (SAMPLES / "striprtf__hello.rtf").read_bytes())).text == "Hello"


def test_hidden_words_are_left_out_and_counted_unless_they_are_asked_for(read: Read) -> None:
    data = rb"{\rtf1\ansi\ansicpg936 a{\v \'c3\'dc\u30721?}\par b}"
    document = only(read("a.rtf", data))
    assert (document.text, document.source.notes) == ("a\nb", ("left out: 2 hidden characters",))
    found = only(read("a.rtf", data, hidden=True))
    assert (found.text, found.source.notes) == ("a密码\nb", ())
